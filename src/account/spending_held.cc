// What Spending keeps for responses that their providers go on making in the background.
#include <utility>

#include "account/spending.h"

namespace tessera::account {
namespace {

using core::LedgerEntry;
using core::Task;

// How often somebody looks for responses in the background that were waited for long enough.
constexpr base::Millis kOverdueEvery{std::chrono::minutes(10)};

}  // namespace

// Those of the last run.
void Spending::adopt_held(std::vector<LedgerEntry> entries, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  for (LedgerEntry& entry : entries) {
    const CallOwner owner{
        .app_id = entry.tenant.app_id, .key_id = entry.key_id, .user_id = entry.user_id, .workflow = entry.workflow};
    BudgetHold hold = table_.hold_anyway(owner, entry.cost, now_ms);
    std::pair id(entry.tenant.app_id, entry.response_id);
    held_.try_emplace(std::move(id), Held{std::move(entry), std::move(hold)});
  }
}

void Spending::keep_held(BudgetHold hold, LedgerEntry entry) {
  {
    const std::lock_guard lock(mutex_);
    --under_way_;
    std::pair id(entry.tenant.app_id, entry.response_id);
    if (held_.size() >= options_.held_max || held_.contains(id)) {
      settle_locked(std::move(hold), std::move(entry));
    } else {
      entry.outcome = core::CallOutcome::held;
      entry.at_ms = means_.clock.unix_ms();
      waiting_.push_back(entry);
      ++settled_;
      held_.try_emplace(std::move(id), Held{std::move(entry), std::move(hold)});
    }
  }
  filled_.ring();
}

std::optional<LedgerEntry> Spending::find_held(const core::Tenant& tenant, std::string_view response_id) const {
  const std::lock_guard lock(mutex_);
  if (held_.empty()) return std::nullopt;
  const auto found = held_.find({tenant.app_id, std::string(response_id)});
  if (found == held_.end()) return std::nullopt;
  return found->second.entry;
}

bool Spending::settle_held(LedgerEntry entry) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find({entry.tenant.app_id, entry.response_id});
    if (found == held_.end()) return false;
    BudgetHold hold = std::move(found->second.hold);
    entry.user_id = found->second.entry.user_id;  // which may have been erased meanwhile
    held_.erase(found);
    settle_locked(std::move(hold), std::move(entry));
  }
  filled_.ring();
  return true;
}

// Nobody asks any more: what may have been spent was.
void Spending::settle_overdue() {
  const int64_t before_ms = means_.clock.unix_ms() - options_.held_for.count();
  std::vector<LedgerEntry> overdue;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, held] : held_) {
      if (held.entry.at_ms <= before_ms) overdue.push_back(held.entry);
    }
  }
  for (LedgerEntry& entry : overdue) {
    entry.outcome = core::CallOutcome::complete;
    settle_held(std::move(entry));
  }
}

Task<> Spending::overdue_loop(async::CancelToken token) {
  for (;;) {
    settle_overdue();
    (void)co_await closing_.wait({.deadline = means_.clock.now() + kOverdueEvery, .token = token});
    const std::lock_guard lock(mutex_);
    if (token.cancelled() || stopping_) co_return;
  }
}

}  // namespace tessera::account
