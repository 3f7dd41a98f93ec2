#pragma once

#include <array>
#include <string>

#include "api/api.h"
#include "api/call.h"

namespace tessera::api {

/// Probes, metrics, the contract and the page. Thread-safe; lives in the Api.
class OperationRoutes {
 public:
  OperationRoutes(const ApiParts& parts, const ApiOptions& options);
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> health(Call& call);
  async::Task<base::Result<Reply>> ready(Call& call);
  async::Task<base::Result<Reply>> api_health(Call& call);
  async::Task<base::Result<Reply>> health_detailed(Call& call);
  async::Task<base::Result<Reply>> performance_metrics(Call& call);
  async::Task<base::Result<Reply>> metrics(Call& call);
  async::Task<base::Result<Reply>> show_config(Call& call);
  async::Task<base::Result<Reply>> openapi(Call& call);
  async::Task<base::Result<Reply>> docs(Call& call);
  async::Task<base::Result<Reply>> page(Call& call);

  const ApiParts& parts_;
  const ApiOptions& options_;
  std::string alive_;  ///< the body of /health, made once
};

}  // namespace tessera::api
