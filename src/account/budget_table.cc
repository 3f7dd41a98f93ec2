#include "account/budget_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/clock.h"

namespace tessera::account {
namespace {

using base::Code;
using core::Budget;
using core::BudgetPeriod;
using core::BudgetScope;
using core::Money;

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kSweepEveryMs = 60'000;
constexpr int64_t kAmpleTimes = 256;
constexpr std::array<std::string_view, 4> kScopes = {"app", "key", "user", "workflow"};
constexpr std::array<std::string_view, 3> kPeriods = {"day", "month", "total"};

int64_t month_begin(int64_t at_ms, int months_on) {
  using namespace std::chrono;
  const sys_days day{days{at_ms / kDayMs}};
  const year_month_day date{day};
  const year_month month = year_month{date.year(), date.month()} + months{months_on};
  return sys_days{month / 1}.time_since_epoch().count() * kDayMs;
}

// A clock that was set back must not begin a period anew.
void roll(BudgetCounter& counter, BudgetPeriod period, int64_t now_ms) {
  const int64_t begin = period_begin(period, now_ms);
  if (begin <= counter.period_begin_ms) return;
  counter.period_begin_ms = begin;
  counter.spent = {};
  counter.warned = false;
}

Money after(const BudgetCounter& counter, Money amount) {
  return add_saturated(add_saturated(counter.spent, counter.reserved), amount);
}

base::Error exceeded(const Budget& budget, const BudgetCounter& counter, Money amount, int64_t now_ms) {
  const int64_t end = period_end(budget.period, now_ms);
  const bool resets = end != std::numeric_limits<int64_t>::max();
  const std::string period =
      budget.period == BudgetPeriod::total ? "in all" : fmt::format("a {}", to_string(budget.period));
  auto error = base::make_error(
      Code::budget, "BUDGET_EXCEEDED",
      fmt::format(
          "The budget {} of this {} allows {} USD {}: {} USD are spent, {} USD are held for calls under way, and "
          "this call may cost {} USD. {}Ask for fewer tokens (max_tokens) or a cheaper model, or have the "
          "budget raised.",
          budget.budget_id, to_string(budget.scope), core::usd_text(budget.limit), period,
          core::usd_text(counter.spent), core::usd_text(counter.reserved), core::usd_text(amount),
          resets ? fmt::format("It begins anew at {}. ", base::format_rfc3339(end)) : ""));
  if (resets) error.retry_after = base::Millis(end - now_ms);
  return error;
}

}  // namespace

Money add_saturated(Money a, Money b) {
  int64_t sum = 0;
  if (__builtin_add_overflow(a.pico_usd, b.pico_usd, &sum)) return {std::numeric_limits<int64_t>::max()};
  return {sum};
}

std::string_view to_string(BudgetScope scope) {
  return kScopes.at(static_cast<size_t>(scope));
}
std::string_view to_string(BudgetPeriod period) {
  return kPeriods.at(static_cast<size_t>(period));
}
std::optional<BudgetScope> parse_budget_scope(std::string_view text) {
  const auto* const found = std::ranges::find(kScopes, text);
  if (found == kScopes.end()) return std::nullopt;
  return static_cast<BudgetScope>(found - kScopes.begin());
}
std::optional<BudgetPeriod> parse_budget_period(std::string_view text) {
  const auto* const found = std::ranges::find(kPeriods, text);
  if (found == kPeriods.end()) return std::nullopt;
  return static_cast<BudgetPeriod>(found - kPeriods.begin());
}

int64_t period_begin(BudgetPeriod period, int64_t at_ms) {
  switch (period) {
    case BudgetPeriod::day:
      return at_ms / kDayMs * kDayMs;
    case BudgetPeriod::month:
      return month_begin(at_ms, 0);
    case BudgetPeriod::total:
      return 0;
  }
  return 0;
}

int64_t period_end(BudgetPeriod period, int64_t at_ms) {
  switch (period) {
    case BudgetPeriod::day:
      return (at_ms / kDayMs + 1) * kDayMs;
    case BudgetPeriod::month:
      return month_begin(at_ms, 1);
    case BudgetPeriod::total:
      return std::numeric_limits<int64_t>::max();
  }
  return 0;
}

void BudgetTable::index(App& app, Rule& rule) {
  const auto scope = static_cast<size_t>(rule.budget.scope);
  if (rule.budget.subject == "*") {
    app.each.at(scope).push_back(&rule);
  } else {
    app.named.at(scope)[rule.budget.subject].push_back(&rule);
  }
}

void BudgetTable::unindex(App& app, const Rule& rule) {
  const auto scope = static_cast<size_t>(rule.budget.scope);
  const auto is_it = [&](const Rule* each) { return each == &rule; };
  if (rule.budget.subject == "*") {
    std::erase_if(app.each.at(scope), is_it);
    return;
  }
  auto& named = app.named.at(scope);
  const auto found = named.find(rule.budget.subject);
  if (found == named.end()) return;
  std::erase_if(found->second, is_it);
  if (found->second.empty()) named.erase(found);
}

base::Result<> BudgetTable::put(Budget budget, const Totals& totals, int64_t now_ms) {
  auto found = apps_.find(budget.tenant.app_id);
  const bool known = found != apps_.end() && found->second.rules.contains(budget.budget_id);
  if (!known && found != apps_.end() && found->second.rules.size() >= kBudgetsPerAppMax) {
    return base::fail(
        Code::exhausted, "TOO_MANY_BUDGETS",
        fmt::format("An app has at most {} budgets; delete some, or use one for '*'.", kBudgetsPerAppMax));
  }
  if (found == apps_.end()) found = apps_.try_emplace(budget.tenant.app_id).first;
  App& app = found->second;
  std::unique_ptr<Rule>& rule = app.rules[budget.budget_id];
  if (rule && rule->budget.scope == budget.scope && rule->budget.subject == budget.subject &&
      rule->budget.period == budget.period) {
    rule->budget = std::move(budget);
    return {};
  }
  if (rule) {
    unindex(app, *rule);
    counters_ -= rule->counters.size();
  }
  rule = std::make_unique<Rule>();
  rule->budget = std::move(budget);
  index(app, *rule);
  for (const auto& [subject, spent] : totals) {
    if (const auto counted = counter(*rule, subject, now_ms)) counted->spent = spent;
  }
  return {};
}

bool BudgetTable::remove(const core::Tenant& tenant, std::string_view budget_id) {
  const auto found = apps_.find(tenant.app_id);
  if (found == apps_.end()) return false;
  App& app = found->second;
  const auto rule = app.rules.find(budget_id);
  if (rule == app.rules.end()) return false;
  unindex(app, *rule->second);
  counters_ -= rule->second->counters.size();
  app.rules.erase(rule);
  if (app.rules.empty()) apps_.erase(found);
  return true;
}

const Budget* BudgetTable::find(const core::Tenant& tenant, std::string_view budget_id) const {
  const auto app = apps_.find(tenant.app_id);
  if (app == apps_.end()) return nullptr;
  const auto rule = app->second.rules.find(budget_id);
  return rule == app->second.rules.end() ? nullptr : &rule->second->budget;
}

std::vector<BudgetState> BudgetTable::list(const core::Tenant& tenant, int64_t now_ms, size_t limit) const {
  std::vector<BudgetState> states;
  const auto app = apps_.find(tenant.app_id);
  if (app == apps_.end()) return states;
  for (const auto& [id, rule] : app->second.rules) {
    const Budget& budget = rule->budget;
    const int64_t end = period_end(budget.period, now_ms);
    const int64_t resets = end == std::numeric_limits<int64_t>::max() ? 0 : end;
    if (rule->counters.empty() && states.size() < limit) {
      states.push_back(
          {.budget = budget, .subject = budget.subject, .spent = {}, .reserved = {}, .resets_at_ms = resets});
    }
    for (const auto& [subject, counter] : rule->counters) {
      if (states.size() >= limit) return states;
      const bool past = period_begin(budget.period, now_ms) > counter->period_begin_ms;
      states.push_back({.budget = budget,
                        .subject = subject,
                        .spent = past ? Money{} : counter->spent,
                        .reserved = counter->reserved,
                        .resets_at_ms = resets});
    }
  }
  return states;
}

// Calls f(rule, subject) for each budget that a call of the owner counts against.
template <class A, class F>
void BudgetTable::for_each_rule(A& app, const CallOwner& owner, F f) {
  const std::array<std::string_view, 4> names = {"", owner.key_id, owner.user_id, owner.workflow};
  for (size_t scope = 0; scope < names.size(); ++scope) {
    const std::string_view name = names.at(scope);
    if (scope > 0 && name.empty()) continue;
    if (const auto named = app.named.at(scope).find(name); named != app.named.at(scope).end()) {
      for (Rule* const rule : named->second) f(*rule, name);
    }
    for (Rule* const rule : app.each.at(scope)) f(*rule, name);
  }
}

// Forgets what past periods spent, where no call is under way.
bool BudgetTable::make_room(int64_t now_ms) {
  if (now_ms < swept_at_ms_ + kSweepEveryMs) return false;
  swept_at_ms_ = now_ms;
  for (auto& [app_id, app] : apps_) {
    for (auto& [id, rule] : app.rules) {
      const int64_t begin = period_begin(rule->budget.period, now_ms);
      counters_ -= std::erase_if(rule->counters, [&](const auto& item) {
        const BudgetCounter& counter = *item.second;
        return counter.reserved == Money{} && (counter.period_begin_ms < begin || counter.spent == Money{});
      });
    }
  }
  return counters_ < kBudgetSubjectsMax;
}

std::shared_ptr<BudgetCounter> BudgetTable::counter(Rule& rule, std::string_view subject, int64_t now_ms) {
  const auto found = rule.counters.find(subject);
  if (found != rule.counters.end()) {
    roll(*found->second, rule.budget.period, now_ms);
    return found->second;
  }
  if (counters_ >= kBudgetSubjectsMax && !make_room(now_ms)) return nullptr;
  auto made = std::make_shared<BudgetCounter>();
  made->period_begin_ms = period_begin(rule.budget.period, now_ms);
  made->scope = rule.budget.scope;
  rule.counters.emplace(subject, made);
  ++counters_;
  return made;
}

base::Result<BudgetHold> BudgetTable::reserve(const CallOwner& owner, Money amount, int64_t now_ms) {
  BudgetHold hold{.amount = amount, .counters = {}, .warns = {}, .passed = {}};
  const auto app = apps_.find(owner.app_id);
  if (app == apps_.end()) return hold;
  std::optional<base::Error> refused;
  for_each_rule(app->second, owner, [&](Rule& rule, std::string_view subject) {
    if (refused) return;
    auto counted = counter(rule, subject, now_ms);
    if (!counted) {
      if (rule.budget.hard) {
        refused = base::make_error(Code::exhausted, "TOO_MANY_BUDGET_SUBJECTS",
                                   "More names spend money than budgets are kept for; try again in the next period.");
      }
      return;
    }
    if (amount > Money{} && after(*counted, amount) > rule.budget.limit) {
      if (rule.budget.hard) {
        refused = exceeded(rule.budget, *counted, amount, now_ms);
        return;
      }
      hold.warns.push_back(rule.budget.budget_id);
      if (!std::exchange(counted->warned, true)) hold.passed.emplace_back(rule.budget.scope, rule.budget.budget_id);
    }
    hold.counters.push_back(std::move(counted));
  });
  if (refused) return std::unexpected(*std::move(refused));
  for (const auto& counted : hold.counters) {
    counted->reserved += amount;
    reserved_.at(static_cast<size_t>(counted->scope)) += amount;
  }
  return hold;
}

BudgetHold BudgetTable::hold_anyway(const CallOwner& owner, Money amount, int64_t now_ms) {
  BudgetHold hold{.amount = amount, .counters = {}, .warns = {}, .passed = {}};
  const auto app = apps_.find(owner.app_id);
  if (app == apps_.end()) return hold;
  for_each_rule(app->second, owner, [&](Rule& rule, std::string_view subject) {
    auto counted = counter(rule, subject, now_ms);
    if (!counted) return;
    counted->reserved += amount;
    reserved_.at(static_cast<size_t>(counted->scope)) += amount;
    hold.counters.push_back(std::move(counted));
  });
  return hold;
}

bool BudgetTable::ample(const CallOwner& owner, Money amount, int64_t now_ms) {
  const auto app = apps_.find(owner.app_id);
  if (app == apps_.end()) return true;
  Money many;
  if (__builtin_mul_overflow(amount.pico_usd, kAmpleTimes, &many.pico_usd)) return false;
  bool has_room = true;
  for_each_rule(app->second, owner, [&](Rule& rule, std::string_view subject) {
    if (!has_room) return;
    const auto counted = counter(rule, subject, now_ms);
    has_room = counted && after(*counted, many) <= rule.budget.limit;
  });
  return has_room;
}

const Budget* BudgetTable::hard_budget(const CallOwner& owner) const {
  const auto app = apps_.find(owner.app_id);
  if (app == apps_.end()) return nullptr;
  const Budget* hard = nullptr;
  for_each_rule(app->second, owner, [&](const Rule& rule, std::string_view) {
    if (rule.budget.hard) hard = &rule.budget;
  });
  return hard;
}

void BudgetTable::settle(const CallOwner& owner, BudgetHold& hold, Money spent, int64_t now_ms) {
  for (const auto& counted : hold.counters) {
    counted->reserved -= hold.amount;
    reserved_.at(static_cast<size_t>(counted->scope)) -= hold.amount;
  }
  hold.counters.clear();
  hold.amount = {};
  if (spent == Money{}) return;
  const auto app = apps_.find(owner.app_id);
  if (app == apps_.end()) return;
  for_each_rule(app->second, owner, [&](Rule& rule, std::string_view subject) {
    if (const auto counted = counter(rule, subject, now_ms)) counted->spent = add_saturated(counted->spent, spent);
  });
}

}  // namespace tessera::account
