#pragma once

#include <memory>
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

/// The ledger of a database file that another process may be writing: reads only, takes no lock, changes nothing.
/// Blocking; one thread at a time. For the command line.
class LedgerFile {
 public:
  /// Errors: unavailable DATABASE_CANNOT_OPEN; invalid DATABASE_NOT_OURS (also one of another version).
  static base::Result<std::unique_ptr<LedgerFile>> open(const std::string& path);
  /// The apps that have entries, in order.
  [[nodiscard]] base::Result<std::vector<std::string>> list_apps();
  /// As core::Ledger::sum_usage, of what is written.
  [[nodiscard]] base::Result<std::vector<core::UsageRow>> sum_usage(const core::LedgerFilter& filter,
                                                                    const std::vector<core::LedgerGroup>& groups,
                                                                    int64_t limit);

 private:
  explicit LedgerFile(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
  std::unique_ptr<Connection> connection_;
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
