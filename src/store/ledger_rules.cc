#include "store/ledger_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "store/rules.h"

namespace tessera::store {

using base::Code;
using base::fail;

namespace {

// Year 9999: nothing is recorded later, and a day beyond it has no text.
constexpr int64_t kTimeMaxMs = 253'402'300'800'000;

bool whole(const core::LedgerEntry& entry) {
  return !entry.call_id.empty() && entry.at_ms >= 0 && entry.at_ms < kTimeMaxMs && entry.prompt_tokens >= 0 &&
         entry.cached_prompt_tokens >= 0 && entry.cache_write_tokens >= 0 && entry.completion_tokens >= 0 &&
         entry.cost.pico_usd >= 0;
}

}  // namespace

base::Result<> check_entries(const std::vector<core::LedgerEntry>& entries) {
  for (const core::LedgerEntry& entry : entries) {
    TESSERA_CHECK(check_tenant(entry.tenant));
    if (!whole(entry)) {
      return fail(Code::invalid, "LEDGER_ENTRY_INVALID",
                  "An entry of the ledger needs an id, a time and amounts that are not negative.");
    }
  }
  return {};
}

base::Result<> check_usage(const core::LedgerFilter& filter, const std::vector<core::LedgerGroup>& groups) {
  TESSERA_CHECK(check_tenant(filter.tenant));
  std::vector<core::LedgerGroup> sorted = groups;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    return fail(Code::invalid, "LEDGER_FILTER_INVALID", "Usage is added up by each thing once; name none twice.", "",
                "group_by");
  }
  if (filter.from_ms > filter.to_ms) {
    return fail(Code::invalid, "LEDGER_FILTER_INVALID", "The time asked for ends before it begins.", "", "from");
  }
  return {};
}

base::Result<> check_budget(const core::Budget& budget) {
  TESSERA_CHECK(check_tenant(budget.tenant));
  if (budget.budget_id.empty()) return fail(Code::invalid, "BUDGET_INVALID", "A budget needs an id.", "", "budget_id");
  if (budget.limit.pico_usd < 0) {
    return fail(Code::invalid, "BUDGET_INVALID", "A budget's limit is an amount of zero or more.", "", "limit_usd");
  }
  if ((budget.scope == core::BudgetScope::app) != budget.subject.empty()) {
    return fail(Code::invalid, "BUDGET_INVALID",
                "A budget of a key, a user or a workflow names it, or '*' for each of them; one of the app names none.",
                "", "subject");
  }
  return {};
}

base::Error budget_not_found() {
  return base::make_error(Code::not_found, "BUDGET_NOT_FOUND", "There is no such budget; list them to see their ids.");
}

std::string day_text(int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

UsageSpan usage_span(int64_t from_ms, int64_t to_ms) {
  const int64_t from = std::clamp<int64_t>(from_ms, 0, kTimeMaxMs);
  const int64_t to = std::clamp<int64_t>(to_ms, from, kTimeMaxMs);
  const int64_t first_day = (from + kDayMs - 1) / kDayMs;
  const int64_t last_day = to / kDayMs;
  if (first_day >= last_day) {
    return {.from = from, .head_end = to, .first_day = 0, .last_day = 0, .tail_begin = to, .to = to};
  }
  return {.from = from,
          .head_end = first_day * kDayMs,
          .first_day = first_day,
          .last_day = last_day,
          .tail_begin = last_day * kDayMs,
          .to = to};
}

}  // namespace tessera::store
