#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/accounts.h"

namespace tessera::store {

/// Ledger in a map.
class MemoryLedger final : public core::Ledger {
 public:
  core::Task<base::Result<>> append_entries(std::vector<core::LedgerEntry> entries) override;
  core::Task<base::Result<std::vector<core::LedgerEntry>>> load_held() override;
  core::Task<base::Result<std::vector<core::UsageRow>>> sum_usage(core::LedgerFilter filter,
                                                                  std::vector<core::LedgerGroup> groups,
                                                                  int64_t limit) override;
  core::Task<base::Result<int64_t>> erase_user(core::Tenant tenant, std::string user_id) override;

 private:
  std::mutex mutex_;
  std::map<std::pair<core::Tenant, std::string>, core::LedgerEntry> entries_;  // guarded by mutex_; by call
  std::map<std::pair<core::Tenant, std::string>, core::LedgerEntry> held_;     // guarded by mutex_; by call
};

/// BudgetStore in a map.
class MemoryBudgets final : public core::BudgetStore {
 public:
  core::Task<base::Result<>> put_budget(core::Budget budget) override;
  core::Task<base::Result<std::vector<core::Budget>>> load_budgets() override;
  core::Task<base::Result<>> delete_budget(core::Tenant tenant, std::string budget_id) override;

 private:
  std::mutex mutex_;
  std::map<std::pair<core::Tenant, std::string>, core::Budget> budgets_;  // guarded by mutex_
};

}  // namespace tessera::store
