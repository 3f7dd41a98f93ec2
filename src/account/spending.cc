#include "account/spending.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "async/deadline.h"

namespace tessera::account {
namespace {

using base::Code;
using core::Budget;
using core::LedgerEntry;
using core::Money;
using core::Task;

constexpr int64_t kTotalsMax = 100'000;
// How long a question or a new budget waits for the ledger.
constexpr base::Millis kWriteWait{5000};

CallOwner owner_of(const LedgerEntry& entry) {
  return {.app_id = entry.tenant.app_id, .key_id = entry.key_id, .user_id = entry.user_id, .workflow = entry.workflow};
}

core::LedgerGroup group_of(core::BudgetScope scope) {
  switch (scope) {
    case core::BudgetScope::app:
      return core::LedgerGroup::app;
    case core::BudgetScope::key:
      return core::LedgerGroup::key;
    case core::BudgetScope::user:
      return core::LedgerGroup::user;
    case core::BudgetScope::workflow:
      return core::LedgerGroup::workflow;
  }
  return core::LedgerGroup::app;
}

const std::string& subject_of(const LedgerEntry& entry, core::BudgetScope scope) {
  static const std::string kApp;
  switch (scope) {
    case core::BudgetScope::app:
      return kApp;
    case core::BudgetScope::key:
      return entry.key_id;
    case core::BudgetScope::user:
      return entry.user_id;
    case core::BudgetScope::workflow:
      return entry.workflow;
  }
  return kApp;
}

bool counts_for(const Budget& budget, const LedgerEntry& entry, int64_t begin_ms) {
  if (entry.tenant != budget.tenant || entry.at_ms < begin_ms) return false;
  if (entry.outcome == core::CallOutcome::held) return false;
  if (budget.scope == core::BudgetScope::app) return true;
  const std::string& subject = subject_of(entry, budget.scope);
  return !subject.empty() && (budget.subject == "*" || budget.subject == subject);
}

base::Error behind() {
  auto error = base::make_error(Code::unavailable, "LEDGER_BEHIND",
                                "The ledger cannot be written fast enough; try again in a moment.");
  error.retry_after = base::Millis(1000);
  return error;
}

}  // namespace

// While it lives, no batch is begun, so the ledger and the entries in memory stay apart.
class Spending::Pause {
 public:
  explicit Pause(Spending& owner) : owner_(owner) {
    const std::lock_guard lock(owner_.mutex_);
    ++owner_.pauses_;
  }
  ~Pause() {
    {
      const std::lock_guard lock(owner_.mutex_);
      --owner_.pauses_;
    }
    owner_.filled_.ring();
  }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  Spending& owner_;
};

Spending::Spending(Means means, SpendingOptions options)
    : means_(std::move(means)), options_(options), scope_(means_.executor) {}

Spending::~Spending() {
  stop(base::Millis(5000));
}

Task<base::Result<>> Spending::load() {
  TESSERA_CO_TRY(std::vector<Budget> budgets, co_await means_.budgets.load_budgets());
  const int64_t now_ms = means_.clock.unix_ms();
  for (Budget& budget : budgets) {
    TESSERA_CO_TRY(const Totals totals, co_await load_totals(budget, now_ms));
    const std::lock_guard lock(mutex_);
    TESSERA_CO_CHECK(table_.put(std::move(budget), totals, now_ms));
  }
  TESSERA_CO_TRY(std::vector<LedgerEntry> held, co_await means_.ledger.load_held());
  adopt_held(std::move(held), now_ms);
  scope_.spawn([this](async::CancelToken token) { return write_loop(std::move(token)); });
  scope_.spawn([this](async::CancelToken token) { return overdue_loop(std::move(token)); });
  co_return base::Result<>{};
}

bool Spending::stop(base::Millis grace) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  filled_.ring();
  hurry_.ring();
  closing_.ring();
  scope_.close();
  if (!scope_.join_blocking(grace)) {
    scope_.cancel();
    (void)scope_.join_blocking();
  }
  const std::lock_guard lock(mutex_);
  if (!waiting_.empty()) {
    means_.log.failure("ledger_lost", base::make_error(Code::unavailable, "LEDGER_LOST", "",
                                                       std::to_string(waiting_.size()) + " entries were not written"));
  }
  return waiting_.empty();
}

bool Spending::has_budgets(std::string_view app_id) const {
  const std::lock_guard lock(mutex_);
  return table_.any(app_id);
}

base::Result<BudgetHold> Spending::reserve(const CallOwner& owner, Money amount) {
  const int64_t now_ms = means_.clock.unix_ms();
  base::Result<BudgetHold> hold = std::unexpected(base::Error{});
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return base::fail(Code::unavailable, "SHUTTING_DOWN", "The server is stopping; try again in a moment.");
    }
    if (full_locked()) return std::unexpected(behind());
    hold = table_.reserve(owner, amount, now_ms);
    if (hold) ++under_way_;
  }
  if (!hold) {
    if (hold.error().code == Code::budget) means_.metrics.budget_refusals.increment();
    return hold;
  }
  if (!hold->warns.empty()) means_.metrics.budget_warnings.increment();
  if (!hold->passed.empty()) note_passed(*hold);
  return hold;
}

std::optional<BudgetHold> Spending::reserve_amply(const CallOwner& owner, Money amount) {
  const int64_t now_ms = means_.clock.unix_ms();
  const std::lock_guard lock(mutex_);
  if (stopping_ || full_locked()) return std::nullopt;
  if (!table_.ample(owner, amount, now_ms)) return std::nullopt;
  auto hold = table_.reserve(owner, amount, now_ms);
  if (!hold) return std::nullopt;
  ++under_way_;
  return *std::move(hold);
}

base::Result<> Spending::admit_unpriced(const CallOwner& owner, std::string_view model) const {
  std::string budget_id;
  {
    const std::lock_guard lock(mutex_);
    const Budget* const hard = table_.hard_budget(owner);
    if (hard == nullptr) return {};
    budget_id = hard->budget_id;
  }
  means_.metrics.budget_refusals.increment();
  return base::fail(
      Code::budget, "PRICE_UNKNOWN",
      fmt::format("The budget {} limits what may be spent, and what {} costs is not known here, so nobody "
                  "could keep to it. Ask for another model, or have its price set in models: (0 where it "
                  "costs nothing).",
                  budget_id, model),
      std::string(), "model");
}

void Spending::note_passed(const BudgetHold& hold) {
  for (const auto& [scope, id] : hold.passed) {
    means_.log.log(base::LogLevel::warn, "budget_passed", {{"scope", to_string(scope)}, {"budget_id", id}});
  }
}

void Spending::settle(BudgetHold hold, LedgerEntry entry) {
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    --under_way_;
    wakes = waiting_.empty();
    settle_locked(std::move(hold), std::move(entry));
  }
  if (wakes) filled_.ring();
}

// In the lock, so that times do not decrease in the queue by much and a budget's period is that of its entry.
void Spending::settle_locked(BudgetHold hold, LedgerEntry entry) {
  entry.at_ms = means_.clock.unix_ms();
  table_.settle(owner_of(entry), hold, entry.cost, entry.at_ms);
  waiting_.push_back(std::move(entry));
  ++settled_;
}

base::Result<> Spending::note(LedgerEntry entry) {
  TESSERA_TRY(BudgetHold hold, reserve(owner_of(entry), Money{}));
  settle(std::move(hold), std::move(entry));
  return {};
}

Task<> Spending::write_loop(async::CancelToken token) {
  for (;;) {
    bool empty = false;
    bool stopping = false;
    bool paused = false;
    {
      const std::lock_guard lock(mutex_);
      empty = waiting_.empty();
      stopping = stopping_;
      paused = pauses_ > 0;
    }
    if (token.cancelled() || (stopping && empty)) co_return;
    if (empty || paused) {
      (void)co_await filled_.wait({.deadline = {}, .token = token});
      if (!stopping) (void)co_await hurry_.wait({.deadline = means_.clock.now() + options_.gather, .token = token});
      continue;
    }
    const bool written = co_await write_batch();
    // Also between batches: under load, what comes within a moment shares one commit.
    if (!written) (void)co_await async::sleep_for(options_.retry, token);
    if (written && !stopping)
      (void)co_await hurry_.wait({.deadline = means_.clock.now() + options_.gather, .token = token});
  }
}

Task<bool> Spending::write_batch() {
  std::vector<LedgerEntry> batch;
  {
    const std::lock_guard lock(mutex_);
    if (pauses_ > 0) co_return true;
    writing_ = std::min(waiting_.size(), options_.batch_max);
    batch.assign(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(writing_));
  }
  const size_t size = batch.size();
  auto written = co_await means_.ledger.append_entries(std::move(batch));
  std::vector<async::Waiter> ready;
  bool first_failure = false;
  {
    const std::lock_guard lock(mutex_);
    if (written) {
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(size));
      written_ += size;
      const auto late = std::ranges::partition(flushes_, [&](const auto& item) { return item.first > written_; });
      for (auto& [until, waiter] : late) ready.push_back(std::move(waiter));
      flushes_.erase(late.begin(), late.end());
    }
    first_failure = !written && !failing_;
    failing_ = !written;
    writing_ = 0;
    std::ranges::move(idle_, std::back_inserter(ready));
    idle_.clear();
  }
  for (const auto& waiter : ready) waiter.wake();
  if (written) {
    means_.metrics.ledger_entries.increment(size);
  } else {
    means_.metrics.ledger_failures.increment();
    if (first_failure) means_.log.failure("ledger_write_failed", written.error());
  }
  co_return written.has_value();
}

Task<base::Result<>> Spending::flush() {
  settle_overdue();
  async::Waiter waiter;
  {
    const std::lock_guard lock(mutex_);
    if (written_ == settled_) co_return base::Result<>{};
    flushes_.emplace_back(settled_, waiter);
  }
  filled_.ring();
  hurry_.ring();
  const async::Wake why = co_await waiter.wait({.deadline = means_.clock.now() + kWriteWait, .token = {}});
  if (why == async::Wake::ready) co_return base::Result<>{};
  const std::lock_guard lock(mutex_);
  std::erase_if(flushes_, [&](const auto& item) { return item.second == waiter; });
  co_return std::unexpected(behind());
}

// Until no batch is being written.
Task<base::Result<>> Spending::settle_writes() {
  async::Waiter waiter;
  {
    const std::lock_guard lock(mutex_);
    if (writing_ == 0) co_return base::Result<>{};
    idle_.push_back(waiter);
  }
  const async::Wake why = co_await waiter.wait({.deadline = means_.clock.now() + kWriteWait, .token = {}});
  if (why == async::Wake::ready) co_return base::Result<>{};
  const std::lock_guard lock(mutex_);
  std::erase(idle_, waiter);
  co_return std::unexpected(behind());
}

Task<base::Result<Spending::Totals>> Spending::load_totals(const Budget& budget, int64_t now_ms) {
  core::LedgerFilter filter;
  filter.tenant = budget.tenant;
  filter.from_ms = period_begin(budget.period, now_ms);
  if (budget.subject != "*") {
    if (budget.scope == core::BudgetScope::key) filter.key_id = budget.subject;
    if (budget.scope == core::BudgetScope::user) filter.user_id = budget.subject;
    if (budget.scope == core::BudgetScope::workflow) filter.workflow = budget.subject;
  }
  std::vector<core::LedgerGroup> groups;
  groups.push_back(group_of(budget.scope));
  TESSERA_CO_TRY(const auto rows, co_await means_.ledger.sum_usage(std::move(filter), std::move(groups), kTotalsMax));
  Totals totals;
  for (const core::UsageRow& row : rows) {
    const std::string subject = budget.scope == core::BudgetScope::app ? "" : row.keys.at(0);
    if (budget.scope != core::BudgetScope::app && subject.empty()) continue;
    totals.emplace(subject, row.cost);
  }
  co_return totals;
}

Task<base::Result<>> Spending::put_budget(Budget budget) {
  const Pause pause(*this);
  TESSERA_CO_CHECK(co_await settle_writes());
  const int64_t now_ms = means_.clock.unix_ms();
  // What the ledger has, now that nothing goes in; what waits in memory is added below.
  TESSERA_CO_TRY(Totals totals, co_await load_totals(budget, now_ms));
  TESSERA_CO_CHECK(co_await means_.budgets.put_budget(budget));
  const std::lock_guard lock(mutex_);
  const int64_t begin = period_begin(budget.period, now_ms);
  for (const LedgerEntry& entry : waiting_) {
    if (!counts_for(budget, entry, begin)) continue;
    Money& spent = totals[subject_of(entry, budget.scope)];
    spent = add_saturated(spent, entry.cost);
  }
  co_return table_.put(std::move(budget), totals, now_ms);
}

Task<base::Result<>> Spending::delete_budget(core::Tenant tenant, std::string budget_id) {
  TESSERA_CO_CHECK(co_await means_.budgets.delete_budget(tenant, budget_id));
  const std::lock_guard lock(mutex_);
  table_.remove(tenant, budget_id);
  co_return base::Result<>{};
}

std::vector<BudgetState> Spending::list_budgets(const core::Tenant& tenant, size_t limit) const {
  const int64_t now_ms = means_.clock.unix_ms();
  const std::lock_guard lock(mutex_);
  return table_.list(tenant, now_ms, limit);
}

Task<base::Result<std::vector<core::UsageRow>>> Spending::sum_usage(core::LedgerFilter filter,
                                                                    std::vector<core::LedgerGroup> groups,
                                                                    int64_t limit) {
  TESSERA_CO_CHECK(co_await flush());
  co_return co_await means_.ledger.sum_usage(std::move(filter), std::move(groups), limit);
}

core::Task<base::Result<int64_t>> Spending::erase_user(core::Tenant tenant, std::string user_id) {
  {
    const std::lock_guard lock(mutex_);
    for (auto it = held_.lower_bound({tenant.app_id, ""}); it != held_.end() && it->first.first == tenant.app_id;
         ++it) {
      if (it->second.entry.user_id == user_id) it->second.entry.user_id.clear();
    }
  }
  TESSERA_CO_CHECK(co_await flush());
  co_return co_await means_.ledger.erase_user(std::move(tenant), std::move(user_id));
}

void Spending::collect() const {
  const std::lock_guard lock(mutex_);
  Money reserved;
  for (const Money each : table_.reserved()) reserved = add_saturated(reserved, each);
  means_.metrics.budget_reserved.set(reserved.usd());
  means_.metrics.ledger_waiting.set(static_cast<double>(waiting_.size()));
}

}  // namespace tessera::account
