#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "core/accounts.h"

namespace tessera::account {

/// On whose behalf a model is called; views of the request.
struct CallOwner {
  std::string_view app_id;
  std::string_view key_id;
  std::string_view user_id;
  std::string_view workflow;
};

/// When the period that `at_ms` is in began (0: total), and when the next begins (INT64_MAX: never). UTC.
int64_t period_begin(core::BudgetPeriod period, int64_t at_ms);
int64_t period_end(core::BudgetPeriod period, int64_t at_ms);

/// What one subject of one budget spent in the present period, and what calls under way may still spend. What is held
/// outlives the period in which it was held; what is spent counts for the period in which its call ended.
struct BudgetCounter {
  int64_t period_begin_ms = 0;
  core::Money spent;
  core::Money reserved;
  bool warned = false;  ///< in this period
  core::BudgetScope scope = core::BudgetScope::app;
};

/// Money held for a call. Moves; given back by BudgetTable::settle.
struct BudgetHold {
  core::Money amount;
  std::vector<std::shared_ptr<BudgetCounter>> counters;
  std::vector<std::string> warns = {};  ///< budgets that only warn and are passed by this call
  std::vector<std::pair<core::BudgetScope, std::string>> passed;  ///< those of them passed for the first time
};

/// A budget with where it stands for one subject.
struct BudgetState {
  core::Budget budget;
  std::string subject;  ///< of the counter: a name also where the budget says "*"
  core::Money spent;
  core::Money reserved;
  int64_t resets_at_ms = 0;  ///< 0: never
};

inline constexpr size_t kBudgetsPerAppMax = 10'000;
inline constexpr size_t kBudgetSubjectsMax = 1'000'000;

/// Budgets of all tenants and their counters. A value for one thread at a time (Spending guards it). Look-ups cost one
/// hash for the app and one for each of the call's names.
class BudgetTable {
 public:
  /// What each subject of a budget spent in the present period.
  using Totals = std::map<std::string, core::Money, std::less<>>;

  /// Adds or replaces. Counters are kept when scope, subject and period stay; else they begin with `totals`.
  /// Errors: exhausted TOO_MANY_BUDGETS.
  base::Result<> put(core::Budget budget, const Totals& totals, int64_t now_ms);
  bool remove(const core::Tenant& tenant, std::string_view budget_id);
  [[nodiscard]] const core::Budget* find(const core::Tenant& tenant, std::string_view budget_id) const;
  /// In order of id, then subject; budgets whose subjects spent nothing yet have one row.
  [[nodiscard]] std::vector<BudgetState> list(const core::Tenant& tenant, int64_t now_ms, size_t limit) const;
  /// Whether calls of this app need an estimate.
  [[nodiscard]] bool any(std::string_view app_id) const { return apps_.contains(app_id); }

  /// Holds `amount` against every budget of the owner, or none. An amount of 0 is never refused.
  /// Errors: budget BUDGET_EXCEEDED; exhausted TOO_MANY_BUDGET_SUBJECTS.
  base::Result<BudgetHold> reserve(const CallOwner& owner, core::Money amount, int64_t now_ms);
  /// The same, though there be no room: for what was let in before.
  BudgetHold hold_anyway(const CallOwner& owner, core::Money amount, int64_t now_ms);
  /// A hard budget that the owner's calls count against; null: there is none.
  [[nodiscard]] const core::Budget* hard_budget(const CallOwner& owner) const;
  /// Whether every budget of the owner has room for `amount` many times over: then its size need not be known closely.
  [[nodiscard]] bool ample(const CallOwner& owner, core::Money amount, int64_t now_ms);
  /// Gives back what was held and counts what was spent.
  void settle(const CallOwner& owner, BudgetHold& hold, core::Money spent, int64_t now_ms);

  /// Sums over all budgets by scope.
  [[nodiscard]] std::array<core::Money, 4> reserved() const { return reserved_; }

 private:
  struct Rule {
    core::Budget budget;
    std::map<std::string, std::shared_ptr<BudgetCounter>, std::less<>> counters;  ///< by subject
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class T>
  using ByName = std::unordered_map<std::string, T, Hash, std::equal_to<>>;
  struct App {
    std::map<std::string, std::unique_ptr<Rule>, std::less<>> rules;  ///< by id
    std::array<ByName<std::vector<Rule*>>, 4> named;                  ///< by scope and subject
    std::array<std::vector<Rule*>, 4> each;                           ///< by scope: for "*"
  };

  template <class A, class F>
  static void for_each_rule(A& app, const CallOwner& owner, F f);
  static void index(App& app, Rule& rule);
  static void unindex(App& app, const Rule& rule);
  std::shared_ptr<BudgetCounter> counter(Rule& rule, std::string_view subject, int64_t now_ms);
  bool make_room(int64_t now_ms);

  ByName<App> apps_;
  size_t counters_ = 0;
  int64_t swept_at_ms_ = 0;
  std::array<core::Money, 4> reserved_{};  ///< by scope
};

std::string_view to_string(core::BudgetScope scope);
std::string_view to_string(core::BudgetPeriod period);
std::optional<core::BudgetScope> parse_budget_scope(std::string_view text);
std::optional<core::BudgetPeriod> parse_budget_period(std::string_view text);

/// a + b, at most the largest amount there is.
core::Money add_saturated(core::Money a, core::Money b);

}  // namespace tessera::account
