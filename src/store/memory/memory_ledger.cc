#include "store/memory/memory_ledger.h"

#include <algorithm>

#include "store/ledger_rules.h"
#include "store/rules.h"

namespace tessera::store {
namespace {

using core::LedgerEntry;
using core::LedgerGroup;
using core::Task;

bool wanted(const LedgerEntry& entry, const core::LedgerFilter& filter) {
  const auto matches = [](const std::string& asked, const std::string& value) {
    return asked.empty() || asked == value;
  };
  return matches(filter.key_id, entry.key_id) && matches(filter.user_id, entry.user_id) &&
         matches(filter.workflow, entry.workflow) && matches(filter.model, entry.model) &&
         entry.at_ms >= filter.from_ms && entry.at_ms < filter.to_ms;
}

std::string value_of(const LedgerEntry& entry, LedgerGroup group) {
  switch (group) {
    case LedgerGroup::app:
      return entry.tenant.app_id;
    case LedgerGroup::key:
      return entry.key_id;
    case LedgerGroup::user:
      return entry.user_id;
    case LedgerGroup::workflow:
      return entry.workflow;
    case LedgerGroup::provider:
      return entry.provider;
    case LedgerGroup::model:
      return entry.model;
    case LedgerGroup::day:
      return day_text(day_of(entry.at_ms));
  }
  return "";
}

}  // namespace

Task<base::Result<int64_t>> MemoryLedger::erase_user(core::Tenant tenant, std::string user_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  if (user_id.empty()) co_return std::unexpected(user_required());
  int64_t erased = 0;
  const std::lock_guard lock(mutex_);
  for (auto it = entries_.lower_bound({tenant, ""}); it != entries_.end() && it->first.first == tenant; ++it) {
    if (it->second.user_id != user_id) continue;
    it->second.user_id.clear();
    ++erased;
  }
  for (auto it = held_.lower_bound({tenant, ""}); it != held_.end() && it->first.first == tenant; ++it) {
    if (it->second.user_id == user_id) it->second.user_id.clear();
  }
  co_return erased;
}

Task<base::Result<>> MemoryLedger::append_entries(std::vector<LedgerEntry> entries) {
  TESSERA_CO_CHECK(check_entries(entries));
  const std::lock_guard lock(mutex_);
  for (LedgerEntry& entry : entries) {
    std::pair id(entry.tenant, entry.call_id);
    if (entry.outcome == core::CallOutcome::held) {
      if (!entries_.contains(id)) held_.try_emplace(std::move(id), std::move(entry));
      continue;
    }
    held_.erase(id);
    entries_.try_emplace(std::move(id), std::move(entry));
  }
  co_return base::Result<>{};
}

Task<base::Result<std::vector<LedgerEntry>>> MemoryLedger::load_held() {
  std::vector<LedgerEntry> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : held_) all.push_back(entry);
  co_return all;
}

Task<base::Result<std::vector<core::UsageRow>>> MemoryLedger::sum_usage(core::LedgerFilter filter,
                                                                        std::vector<LedgerGroup> groups,
                                                                        int64_t limit) {
  TESSERA_CO_CHECK(check_usage(filter, groups));
  std::map<std::vector<std::string>, core::UsageRow> sums;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = entries_.lower_bound({filter.tenant, ""}); it != entries_.end() && it->first.first == filter.tenant;
         ++it) {
      const LedgerEntry& entry = it->second;
      if (!wanted(entry, filter)) continue;
      std::vector<std::string> keys;
      for (const LedgerGroup group : groups) keys.push_back(value_of(entry, group));
      core::UsageRow& row = sums[keys];
      ++row.calls;
      row.prompt_tokens += entry.prompt_tokens;
      row.cached_prompt_tokens += entry.cached_prompt_tokens;
      row.cache_write_tokens += entry.cache_write_tokens;
      row.completion_tokens += entry.completion_tokens;
      row.cost += entry.cost;
    }
  }
  std::vector<core::UsageRow> rows;
  for (auto& [keys, row] : sums) {
    if (static_cast<int64_t>(rows.size()) >= std::clamp<int64_t>(limit, 0, kUsageRowsMax)) break;
    row.keys = keys;
    rows.push_back(std::move(row));
  }
  co_return rows;
}

Task<base::Result<>> MemoryBudgets::put_budget(core::Budget budget) {
  TESSERA_CO_CHECK(check_budget(budget));
  const std::lock_guard lock(mutex_);
  std::pair id(budget.tenant, budget.budget_id);
  budgets_.insert_or_assign(std::move(id), std::move(budget));
  co_return base::Result<>{};
}

Task<base::Result<std::vector<core::Budget>>> MemoryBudgets::load_budgets() {
  std::vector<core::Budget> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, budget] : budgets_) all.push_back(budget);
  co_return all;
}

Task<base::Result<>> MemoryBudgets::delete_budget(core::Tenant tenant, std::string budget_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  if (budgets_.erase({tenant, budget_id}) == 0) co_return std::unexpected(budget_not_found());
  co_return base::Result<>{};
}

}  // namespace tessera::store
