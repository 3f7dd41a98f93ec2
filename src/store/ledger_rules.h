#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/accounts.h"

/// What both kinds of store decide alike about the ledger and budgets.
namespace tessera::store {

inline constexpr int64_t kDayMs = 86'400'000;
inline constexpr size_t kLedgerGroups = 7;
inline constexpr int64_t kUsageRowsMax = 100'000;

/// Also that amounts are not negative, so that sums only grow. Errors: TENANT_REQUIRED, LEDGER_ENTRY_INVALID.
base::Result<> check_entries(const std::vector<core::LedgerEntry>& entries);
/// Errors: TENANT_REQUIRED, LEDGER_FILTER_INVALID (no groups, one twice, from > to).
base::Result<> check_usage(const core::LedgerFilter& filter, const std::vector<core::LedgerGroup>& groups);
/// Errors: TENANT_REQUIRED, BUDGET_INVALID.
base::Result<> check_budget(const core::Budget& budget);
base::Error budget_not_found();

/// Days since 1970-01-01 UTC.
constexpr int64_t day_of(int64_t at_ms) {
  return at_ms >= 0 ? at_ms / kDayMs : -((-at_ms + kDayMs - 1) / kDayMs);
}
/// "2026-11-21".
std::string day_text(int64_t day);

/// How a span of time is answered from sums of whole days and single entries at its ends: days in
/// [first_day, last_day), entries in [from, head_end) and [tail_begin, to). Empty spans have equal ends.
struct UsageSpan {
  int64_t from = 0;
  int64_t head_end = 0;
  int64_t first_day = 0;
  int64_t last_day = 0;
  int64_t tail_begin = 0;
  int64_t to = 0;
};
UsageSpan usage_span(int64_t from_ms, int64_t to_ms);

}  // namespace tessera::store
