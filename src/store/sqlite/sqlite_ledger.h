#pragma once

#include <string>
#include <vector>

#include "core/accounts.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {

/// Ledger over the writer thread and the readers; a view of them, which outlive it. Beside the entries it keeps their
/// sums by day, so that a month of any traffic is added up from a few rows.
class SqliteLedger final : public core::Ledger {
 public:
  SqliteLedger(WriteQueue& writer, ReaderPool& readers) : writer_(writer), readers_(readers) {}

  core::Task<base::Result<>> append_entries(std::vector<core::LedgerEntry> entries) override;
  core::Task<base::Result<std::vector<core::LedgerEntry>>> load_held() override;
  core::Task<base::Result<std::vector<core::UsageRow>>> sum_usage(core::LedgerFilter filter,
                                                                  std::vector<core::LedgerGroup> groups,
                                                                  int64_t limit) override;
  core::Task<base::Result<int64_t>> erase_user(core::Tenant tenant, std::string user_id) override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
};

/// BudgetStore over the same.
class SqliteBudgets final : public core::BudgetStore {
 public:
  SqliteBudgets(WriteQueue& writer, ReaderPool& readers) : writer_(writer), readers_(readers) {}

  core::Task<base::Result<>> put_budget(core::Budget budget) override;
  core::Task<base::Result<std::vector<core::Budget>>> load_budgets() override;
  core::Task<base::Result<>> delete_budget(core::Tenant tenant, std::string budget_id) override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
};

}  // namespace tessera::store
