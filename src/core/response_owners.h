#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/context.h"

namespace tessera::core {

/// Whose a response is that a provider keeps, and which model to ask for it: providers know one key for all apps.
struct ResponseOwner {
  std::string response_id;  ///< as the provider gave it
  Tenant tenant;
  std::string model;  ///< as the app asked for it
  int64_t created_at_ms = 0;
  std::string endpoint = {};  ///< of those that serve the model, the one that made it; empty: the first
};

/// How long owners are known: providers keep responses for 30 days.
inline constexpr int64_t kResponseKeptMs = int64_t{30} * 24 * 60 * 60 * 1000;

/// Owners of the responses of all tenants: for the routes that ask whose a response is before anything is said of it.
/// Durable when a task completes. What is older than kResponseKeptMs is not found; each new owner removes a few of
/// those that have grown too old, so nobody has to sweep. Thread-safe. Errors as DocumentStore.
class ResponseOwnerStore {
 public:
  virtual ~ResponseOwnerStore() = default;
  /// The first to name a response owns it; naming it again changes nothing.
  virtual Task<base::Result<>> add_owner(ResponseOwner owner) = 0;
  /// Of whatever tenant; nothing when nobody is known.
  virtual Task<base::Result<std::optional<ResponseOwner>>> find_owner(std::string response_id, int64_t now_ms) = 0;
  /// Forgets the tenant's own; nothing happens when it is not there.
  virtual Task<base::Result<>> delete_owner(Tenant tenant, std::string response_id) = 0;
};

}  // namespace tessera::core
