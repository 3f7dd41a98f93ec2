#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "account/budget_table.h"
#include "async/event.h"
#include "async/task_scope.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/accounts.h"
#include "observe/metrics.h"

namespace tessera::account {

struct SpendingOptions {
  /// Entries that wait for the ledger, those of calls under way included; beyond that calls are refused for a moment.
  size_t entries_max = 32'768;
  size_t batch_max = 4096;  ///< entries of one write
  base::Millis gather{20};  ///< how long the first entry of a batch waits for others
  base::Millis retry{250};  ///< after a write that failed
  /// How long a response in the background is waited for; then it costs what was held for it.
  base::Millis held_for{std::chrono::hours(24)};
  size_t held_max = 10'000;  ///< such responses; those beyond cost what was held at once
};

/// What is spent and what may be: budgets, reservations and the way into the ledger. A call reserves, and settles what
/// it cost; the entry then waits in memory, at most `gather` and one commit long, so no answer waits for the disk. An
/// orderly stop writes all that waits; a crash loses that window, of the ledger and of the budgets alike. When the
/// ledger cannot be written, entries are kept and tried again, and calls are refused before the queue is full.
/// Thread-safe; a call takes one mutex twice. What it refers to outlives it. Stops: `stop`, after the calls have ended.
class Spending {
 public:
  struct Means {
    core::Ledger& ledger;
    core::BudgetStore& budgets;
    const base::Clock& clock;
    base::Logger& log;
    observe::Metrics& metrics;
    boost::asio::any_io_executor executor;  ///< of the loop that writes
  };
  Spending(Means means, SpendingOptions options);
  ~Spending();
  Spending(const Spending&) = delete;
  Spending& operator=(const Spending&) = delete;

  /// Reads budgets and what was spent in their periods, and begins to write; once, before anything else. Errors: the
  /// stores'.
  core::Task<base::Result<>> load();
  /// Writes what waits. True when nothing is left. Blocking; idempotent; not from the loop's own thread.
  bool stop(base::Millis grace);

  /// Whether calls of this app need an estimate of their cost.
  [[nodiscard]] bool has_budgets(std::string_view app_id) const;
  /// Holds `amount` for a call until `settle`, which must follow. Errors: budget BUDGET_EXCEEDED; unavailable
  /// LEDGER_BEHIND; unavailable SHUTTING_DOWN; exhausted TOO_MANY_BUDGET_SUBJECTS.
  base::Result<BudgetHold> reserve(const CallOwner& owner, core::Money amount);
  /// The same where the budgets have room for `amount` many times over, so that the caller may ask with a bound that is
  /// cheap and too high; nothing elsewhere, and where reserve would refuse.
  std::optional<BudgetHold> reserve_amply(const CallOwner& owner, core::Money amount);
  /// Whether a call that nobody knows the price of may be made: not against a hard budget. Errors: budget
  /// PRICE_UNKNOWN.
  [[nodiscard]] base::Result<> admit_unpriced(const CallOwner& owner, std::string_view model) const;
  /// Ends a call: the hold is given back, the entry's cost counts, the entry goes to the ledger. Its time is set here,
  /// so that it counts for the same day there.
  void settle(BudgetHold hold, core::LedgerEntry entry);
  /// Instead of settle, where the call's provider goes on in the background and gave it a response_id: the hold and
  /// `entry`, which says what it may cost at most, are kept, over restarts too, until settle_held.
  void keep_held(BudgetHold hold, core::LedgerEntry entry);
  /// The entry that is kept for a response; nothing when it was settled or never held.
  [[nodiscard]] std::optional<core::LedgerEntry> find_held(const core::Tenant& tenant,
                                                           std::string_view response_id) const;
  /// Ends a call that was kept, by its tenant and response_id, as settle does; the first to come counts. False when
  /// nothing is held.
  bool settle_held(core::LedgerEntry entry);
  /// Notes something that no budget was asked for, an answer from a cache for one. Errors: as reserve.
  base::Result<> note(core::LedgerEntry entry);

  /// Durable when it completes. What was spent before in its period counts. Errors: the store's; TOO_MANY_BUDGETS.
  core::Task<base::Result<>> put_budget(core::Budget budget);
  /// Errors: not_found BUDGET_NOT_FOUND; the store's.
  core::Task<base::Result<>> delete_budget(core::Tenant tenant, std::string budget_id);
  [[nodiscard]] std::vector<BudgetState> list_budgets(const core::Tenant& tenant, size_t limit) const;
  /// From the ledger, with all that was settled before. Errors: the store's.
  core::Task<base::Result<std::vector<core::UsageRow>>> sum_usage(core::LedgerFilter filter,
                                                                  std::vector<core::LedgerGroup> groups, int64_t limit);
  /// Takes a person's name off the ledger: what was settled before this is called included. Errors: as the ledger's;
  /// unavailable LEDGER_BEHIND.
  core::Task<base::Result<int64_t>> erase_user(core::Tenant tenant, std::string user_id);
  /// Waits until all that was settled before is in the ledger. Errors: unavailable LEDGER_BEHIND.
  core::Task<base::Result<>> flush();
  /// Sets the gauges.
  void collect() const;

 private:
  using Totals = BudgetTable::Totals;
  class Pause;
  struct Held {
    core::LedgerEntry entry;
    BudgetHold hold;
  };
  using HeldCalls = std::map<std::pair<std::string, std::string>, Held>;  ///< by app and response

  [[nodiscard]] bool full_locked() const { return waiting_.size() + under_way_ >= options_.entries_max; }
  void settle_locked(BudgetHold hold, core::LedgerEntry entry);
  void adopt_held(std::vector<core::LedgerEntry> entries, int64_t now_ms);
  void settle_overdue();
  core::Task<> overdue_loop(async::CancelToken token);
  core::Task<> write_loop(async::CancelToken token);
  core::Task<bool> write_batch();
  core::Task<base::Result<Totals>> load_totals(const core::Budget& budget, int64_t now_ms);
  core::Task<base::Result<>> settle_writes();
  void note_passed(const BudgetHold& hold);

  const Means means_;
  const SpendingOptions options_;
  async::Doorbell filled_;   ///< something came
  async::Doorbell closing_;  ///< nobody waits for what is overdue any more
  async::Doorbell hurry_;    ///< somebody waits for the batch that is being gathered

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  BudgetTable table_;
  std::deque<core::LedgerEntry> waiting_;
  HeldCalls held_;
  size_t under_way_ = 0;  ///< calls that will settle
  size_t writing_ = 0;    ///< entries of the batch that is being written; they stand at the front of waiting_
  uint64_t settled_ = 0;  ///< entries that ever came
  uint64_t written_ = 0;  ///< and those in the ledger
  size_t pauses_ = 0;     ///< while not 0, no batch is begun
  bool stopping_ = false;
  bool failing_ = false;                                     ///< the last write failed
  std::vector<std::pair<uint64_t, async::Waiter>> flushes_;  ///< for written_ to come so far
  std::vector<async::Waiter> idle_;                          ///< for writing_ to be 0

  async::TaskScope scope_;
};

}  // namespace tessera::account
