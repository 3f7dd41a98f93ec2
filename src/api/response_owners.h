#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "core/response_owners.h"

namespace tessera::api {

/// Which app made which of the responses that providers keep, and with which model: providers know one key for all
/// apps, so whose a response is must be known here. A view of the store, clock and log, which outlive it. Thread-safe.
class ResponseOwners {
 public:
  ResponseOwners(core::ResponseOwnerStore& store, const base::Clock& clock, base::Logger& log)
      : store_(store), clock_(clock), log_(log) {}

  /// `created_at_ms` is filled in. Durable when it completes, so that whoever has seen an id gets at its response
  /// whatever becomes of this server; writes that wait share a commit. A store that cannot is in the log and no reason
  /// to keep an answer back.
  async::Task<> note(core::ResponseOwner owner);
  /// Whoever made it, another app perhaps; nothing when nobody is known. Errors: the store's.
  async::Task<base::Result<std::optional<core::ResponseOwner>>> find(std::string response_id);
  /// Logs what the store cannot, as note().
  async::Task<> forget(core::Tenant tenant, std::string response_id);

 private:
  core::ResponseOwnerStore& store_;
  const base::Clock& clock_;
  base::Logger& log_;
};

}  // namespace tessera::api
