#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"

namespace tessera::api {

/// API keys. A caller manages those of its own app; where no keys are asked for, those of every app. Thread-safe; lives
/// in the Api.
class AccountRoutes {
 public:
  AccountRoutes(const ApiParts& parts, const ApiOptions& options) : parts_(parts), options_(options) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> create_key(Call& call);
  async::Task<base::Result<Reply>> list_keys(Call& call);
  async::Task<base::Result<Reply>> revoke_key(Call& call);
  [[nodiscard]] base::Result<core::Tenant> subject(const Call& call, std::string app_id) const;

  const ApiParts& parts_;
  const ApiOptions& options_;
};

}  // namespace tessera::api
