#pragma once

#include <array>
#include <vector>

#include "api/api.h"
#include "api/call.h"
#include "core/accounts.h"

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
/// "user,day". Errors: invalid INVALID_FIELD.
base::Result<std::vector<core::LedgerGroup>> parse_groups(std::string_view text);
std::string_view name_of(core::LedgerGroup group);
/// The report of GET /api/usage in both forms.
std::string usage_json(const std::vector<core::LedgerGroup>& groups, const std::vector<core::UsageRow>& rows,
                       bool truncated);
std::string usage_csv(const std::vector<core::LedgerGroup>& groups, const std::vector<core::UsageRow>& rows);
/// A value of a CSV file, quoted where it must be (RFC 4180); what a spreadsheet would run begins with an apostrophe.
std::string csv_value(std::string_view text);

}  // namespace tessera::api
