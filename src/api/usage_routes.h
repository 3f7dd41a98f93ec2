#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"

namespace tessera::api {

/// What was spent and what may be: the ledger's sums and the budgets of the caller's own app. Thread-safe; lives in the
/// Api.
class UsageRoutes {
 public:
  explicit UsageRoutes(const ApiParts& parts) : parts_(parts) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> usage(Call& call);
  async::Task<base::Result<Reply>> list_budgets(Call& call);
  async::Task<base::Result<Reply>> put_budget(Call& call);
  async::Task<base::Result<Reply>> delete_budget(Call& call);

  const ApiParts& parts_;
};

/// A moment as "2026-11-21", "2026-11-21T10:00:00Z" or with an offset or a fraction; milliseconds since 1970.
base::Result<int64_t> parse_moment(std::string_view text, std::string_view param);
/// A value of a CSV file, quoted where it must be (RFC 4180); what a spreadsheet would run begins with an apostrophe.
std::string csv_value(std::string_view text);

}  // namespace tessera::api
