#pragma once

#include <string_view>

#include "account/spending.h"
#include "core/chat_model.h"
#include "core/model_profile.h"

namespace tessera::account {

/// Settles the calls whose responses their providers went on making in the background, by what those say of them later.
/// A view of both, which outlive it. Thread-safe.
class BackgroundCalls {
 public:
  BackgroundCalls(Spending& spending, const core::ModelProfiles& profiles) : spending_(spending), profiles_(profiles) {}

  /// The provider told of a response (core::StoredResponses): when it has ended, its call is settled, once. What ended
  /// without usage costs what came of it by our count.
  void saw(const core::Tenant& tenant, std::string_view response_id, const core::RelayReport& report);
  /// The provider forgot it, so that nobody will ever tell: a call that is still held costs what was held.
  void forgotten(const core::Tenant& tenant, std::string_view response_id);

 private:
  Spending& spending_;
  const core::ModelProfiles& profiles_;
};

}  // namespace tessera::account
