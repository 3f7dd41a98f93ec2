// Budgets: the table beside a plain model, and Spending with many threads over the store in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <limits>
#include <random>
#include <thread>

#include "account/budget_table.h"
#include "account/spending.h"
#include "async/run_blocking.h"
#include "async/shards.h"
#include "base/random.h"
#include "store/memory/memory_store.h"

namespace tessera::account {
namespace {

using async::sync_wait;
using core::Budget;
using core::BudgetPeriod;
using core::BudgetScope;
using core::Money;

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kNow = 1'735'689'600'000;  // 2025-01-01T00:00:00Z

Budget make_budget(std::string id, BudgetScope scope, std::string subject, int64_t limit) {
  Budget budget;
  budget.budget_id = std::move(id);
  budget.tenant = {"a"};
  budget.scope = scope;
  budget.subject = std::move(subject);
  budget.period = BudgetPeriod::day;
  budget.limit = {limit};
  return budget;
}

/// Real time for waits, a moved calendar for periods.
class MovedClock final : public base::Clock {
 public:
  [[nodiscard]] base::SteadyTime now() const override { return system_.now(); }
  [[nodiscard]] int64_t unix_ms() const override { return now_ms_; }
  void advance(int64_t ms) { now_ms_ += ms; }

 private:
  base::SystemClock system_;
  std::atomic<int64_t> now_ms_{kNow};
};

/// A ledger that can be told to fail.
class StubbornLedger final : public core::Ledger {
 public:
  explicit StubbornLedger(core::Ledger& inner) : inner_(inner) {}
  core::Task<base::Result<>> append_entries(std::vector<core::LedgerEntry> entries) override {
    if (failing) co_return base::fail(base::Code::unavailable, "STORAGE_FULL", "full");
    co_return co_await inner_.append_entries(std::move(entries));
  }
  core::Task<base::Result<std::vector<core::UsageRow>>> sum_usage(core::LedgerFilter filter,
                                                                  std::vector<core::LedgerGroup> groups,
                                                                  int64_t limit) override {
    return inner_.sum_usage(std::move(filter), std::move(groups), limit);
  }
  core::Task<base::Result<int64_t>> erase_user(core::Tenant tenant, std::string user_id) override {
    return inner_.erase_user(std::move(tenant), std::move(user_id));
  }
  core::Task<base::Result<std::vector<core::LedgerEntry>>> load_held() override { return inner_.load_held(); }
  std::atomic<bool> failing{false};

 private:
  core::Ledger& inner_;
};

TEST(Periods, BeginAtMidnightAndOnTheFirstInUtc) {
  constexpr int64_t kLeap = 1'709'164'800'000;  // 2024-02-29T00:00:00Z
  EXPECT_EQ(period_begin(BudgetPeriod::day, kLeap - 1), kLeap - kDayMs);
  EXPECT_EQ(period_begin(BudgetPeriod::day, kLeap), kLeap);
  EXPECT_EQ(period_end(BudgetPeriod::day, kLeap), kLeap + kDayMs);
  EXPECT_EQ(period_begin(BudgetPeriod::month, kLeap + 5), kLeap - 28 * kDayMs);
  EXPECT_EQ(period_end(BudgetPeriod::month, kLeap + 5), kLeap + kDayMs);
  EXPECT_EQ(period_end(BudgetPeriod::month, kNow - 1), kNow) << "December ends with the year";
  EXPECT_EQ(period_begin(BudgetPeriod::total, kLeap), 0);
  EXPECT_EQ(period_end(BudgetPeriod::total, kLeap), std::numeric_limits<int64_t>::max());
}

TEST(Table, AHardBudgetRefusesWithWhatToDoAndAWarningLetsPass) {
  BudgetTable table;
  ASSERT_TRUE(table.put(make_budget("hard", BudgetScope::app, "", 100), {{"", Money{30}}}, kNow).has_value());
  auto soft = make_budget("soft", BudgetScope::user, "*", 50);
  soft.hard = false;
  ASSERT_TRUE(table.put(soft, {}, kNow).has_value());
  const CallOwner ann{.app_id = "a", .key_id = "", .user_id = "ann", .workflow = ""};
  auto first = table.reserve(ann, {60}, kNow);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->warns, std::vector<std::string>{"soft"});
  ASSERT_EQ(first->passed.size(), 1U);
  const auto refused = table.reserve(ann, {11}, kNow);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, base::Code::budget);
  EXPECT_EQ(refused.error().name, "BUDGET_EXCEEDED");
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("hard"));
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("2025-01-02T00:00:00"));
  EXPECT_EQ(refused.error().retry_after, base::Millis(kDayMs));
  EXPECT_TRUE(table.reserve(ann, {0}, kNow).has_value()) << "what is free is never refused";
  auto exact = table.reserve(ann, {10}, kNow);
  ASSERT_TRUE(exact.has_value()) << "the last of it may be spent";
  EXPECT_TRUE(exact->passed.empty()) << "told once in a period";
  table.settle(ann, *exact, {0}, kNow);
  table.settle(ann, *first, {70}, kNow);
  const auto states = table.list({"a"}, kNow, 10);
  ASSERT_EQ(states.size(), 2U);
  EXPECT_EQ(states[0].spent, Money{100});
  EXPECT_EQ(states[0].reserved, Money{0});
  EXPECT_EQ(states[1].subject, "ann");
  EXPECT_EQ(states[1].spent, Money{70});
}

TEST(Table, ACallThatCrossesMidnightIsPaidByTheDayItEndsIn) {
  BudgetTable table;
  ASSERT_TRUE(table.put(make_budget("b", BudgetScope::app, "", 100), {{"", Money{90}}}, kNow).has_value());
  const CallOwner owner{.app_id = "a", .key_id = "", .user_id = "", .workflow = ""};
  auto over_midnight = table.reserve(owner, {10}, kNow + kDayMs - 1);
  ASSERT_TRUE(over_midnight.has_value());
  // The new day has all of its money but what is still held.
  EXPECT_FALSE(table.reserve(owner, {91}, kNow + kDayMs).has_value());
  auto morning = table.reserve(owner, {90}, kNow + kDayMs);
  ASSERT_TRUE(morning.has_value());
  table.settle(owner, *over_midnight, {7}, kNow + kDayMs);
  table.settle(owner, *morning, {3}, kNow + kDayMs - 5);  // a clock that was set back begins nothing anew
  EXPECT_EQ(table.list({"a"}, kNow + kDayMs, 1).at(0).spent, Money{10});
  EXPECT_EQ(table.list({"a"}, kNow + 2 * kDayMs, 1).at(0).spent, Money{0});
}

TEST(Table, AChangedLimitKeepsWhatIsHeldAndSpent) {
  BudgetTable table;
  const CallOwner owner{.app_id = "a", .key_id = "k", .user_id = "", .workflow = ""};
  ASSERT_TRUE(table.put(make_budget("b", BudgetScope::key, "k", 100), {}, kNow).has_value());
  auto hold = table.reserve(owner, {60}, kNow);
  ASSERT_TRUE(table.put(make_budget("b", BudgetScope::key, "k", 70), {}, kNow).has_value());
  EXPECT_FALSE(table.reserve(owner, {11}, kNow).has_value());
  EXPECT_TRUE(table.remove({"a"}, "b"));
  EXPECT_FALSE(table.remove({"a"}, "b"));
  EXPECT_FALSE(table.any("a"));
  EXPECT_TRUE(table.reserve(owner, {1000}, kNow).has_value());
  table.settle(owner, *hold, {60}, kNow);
  EXPECT_EQ(table.reserved(), (std::array<Money, 4>{}));
}

/// Random budgets and calls beside plain lists of what was spent and is held.
class TableWalk {
 public:
  explicit TableWalk(uint64_t seed) : random_(seed) {}
  void step() {
    switch (random_.below(10)) {
      case 0:
        return put();
      case 1:
        if (random_.below(3) == 0) remove();
        return;
      case 2:
        now_ += static_cast<int64_t>(random_.below(kDayMs / 6));
        return;
      case 3:
      case 4:
      case 5:
        return settle();
      default:
        return reserve();
    }
  }

 private:
  struct Spent {
    std::string key, user;
    int64_t amount = 0;
    int64_t at = 0;
  };
  struct Open {
    Spent call;
    BudgetHold hold;
    std::vector<std::string> counted;  // "budget id/subject" that it is held against
  };

  std::string name(const char* prefix) {
    const size_t n = random_.below(4);
    return n == 0 ? "" : prefix + std::to_string(n);
  }
  static std::string subject_of(const Budget& budget, const Spent& call) {
    return budget.scope == BudgetScope::key ? call.key : budget.scope == BudgetScope::user ? call.user : "";
  }
  static bool counts(const Budget& budget, const Spent& call) {
    if (budget.scope == BudgetScope::app) return true;
    const std::string subject = subject_of(budget, call);
    return !subject.empty() && (budget.subject == "*" || budget.subject == subject);
  }
  int64_t spent(const Budget& budget, const std::string& subject) const {
    int64_t sum = 0;
    for (const Spent& call : spent_) {
      if (counts(budget, call) && subject_of(budget, call) == subject && call.at >= period_begin(budget.period, now_)) {
        sum += call.amount;
      }
    }
    return sum;
  }
  int64_t held(const std::string& place) const {
    int64_t sum = 0;
    for (const Open& open : open_) {
      sum += std::ranges::count(open.counted, place) * open.call.amount;
    }
    return sum;
  }

  void put() {
    Budget budget = make_budget("b" + std::to_string(random_.below(6)), BudgetScope::app, "",
                                static_cast<int64_t>(random_.below(400)));
    budget.scope = static_cast<BudgetScope>(random_.below(3));
    if (budget.scope == BudgetScope::key) budget.subject = random_.below(2) == 0 ? "*" : "key1";
    if (budget.scope == BudgetScope::user) budget.subject = random_.below(2) == 0 ? "*" : "user2";
    budget.period = static_cast<BudgetPeriod>(random_.below(3));
    const auto known = budgets_.find(budget.budget_id);
    const bool kept = known != budgets_.end() && known->second.scope == budget.scope &&
                      known->second.subject == budget.subject && known->second.period == budget.period;
    if (!kept) {
      for (Open& open : open_) {
        std::erase_if(open.counted, [&](const auto& place) { return place.starts_with(budget.budget_id + "/"); });
      }
    }
    BudgetTable::Totals totals;
    for (const Spent& call : spent_) {
      if (counts(budget, call)) totals[subject_of(budget, call)] = {spent(budget, subject_of(budget, call))};
    }
    ASSERT_TRUE(table_.put(budget, totals, now_).has_value());
    budgets_[budget.budget_id] = budget;
  }

  void remove() {
    const std::string id = "b" + std::to_string(random_.below(6));
    EXPECT_EQ(table_.remove({"a"}, id), budgets_.erase(id) == 1);
    for (Open& open : open_) {
      std::erase_if(open.counted, [&](const auto& place) { return place.starts_with(id + "/"); });
    }
  }

  void reserve() {
    Spent call{.key = name("key"), .user = name("user"), .amount = static_cast<int64_t>(random_.below(120)), .at = 0};
    bool fits = true;
    std::vector<std::string> places;
    for (const auto& [id, budget] : budgets_) {
      if (!counts(budget, call)) continue;
      const std::string place = id + "/" + subject_of(budget, call);
      places.push_back(place);
      fits = fits && (call.amount == 0 ||
                      spent(budget, subject_of(budget, call)) + held(place) + call.amount <= budget.limit.pico_usd);
    }
    auto hold =
        table_.reserve({.app_id = "a", .key_id = call.key, .user_id = call.user, .workflow = ""}, {call.amount}, now_);
    ASSERT_EQ(hold.has_value(), fits);
    if (hold) open_.push_back({call, *std::move(hold), places});
  }

  void settle() {
    if (open_.empty()) return;
    std::swap(open_[random_.below(open_.size())], open_.back());
    Open open = std::move(open_.back());
    open_.pop_back();
    open.call.amount = static_cast<int64_t>(random_.below(120));
    open.call.at = now_;
    table_.settle({.app_id = "a", .key_id = open.call.key, .user_id = open.call.user, .workflow = ""}, open.hold,
                  {open.call.amount}, now_);
    spent_.push_back(open.call);
    for (const BudgetState& state : table_.list({"a"}, now_, 1000)) {
      EXPECT_EQ(state.spent.pico_usd, state.subject == "*" ? 0 : spent(state.budget, state.subject));
      EXPECT_EQ(state.reserved.pico_usd, held(state.budget.budget_id + "/" + state.subject));
    }
  }

  base::SeededRandom random_;
  BudgetTable table_;
  int64_t now_ = kNow;
  std::map<std::string, Budget> budgets_;
  std::vector<Spent> spent_;
  std::vector<Open> open_;
};

TEST(Table, FollowsTheModel) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  TableWalk walk(seed);
  for (int i = 0; i < 3000 && !::testing::Test::HasFailure(); ++i) walk.step();
}

class SpendingTest : public ::testing::Test {
 protected:
  SpendingTest() { open({}); }
  void open(SpendingOptions options) {
    spending_.reset();
    spending_ = std::make_unique<Spending>(
        Spending::Means{ledger_, store_.budgets(), clock_, *log_, metrics_, loop_.executor(0)}, options);
    ASSERT_TRUE(sync_wait(spending_->load()).has_value());
  }
  core::LedgerEntry entry(int64_t cost) {
    core::LedgerEntry made;
    made.call_id = "call" + std::to_string(next_++);
    made.tenant = {"a"};
    made.key_id = "k";
    made.cost = {cost};
    return made;
  }
  int64_t ledger_sum() {
    core::LedgerFilter filter;
    filter.tenant = {"a"};
    const auto rows = sync_wait(spending_->sum_usage(filter, {}, 10));
    return rows && !rows->empty() ? rows->at(0).cost.pico_usd : 0;
  }

  MovedClock clock_;
  std::unique_ptr<base::Logger> log_ = base::silent_logger();
  observe::Metrics metrics_;
  async::Shards loop_{1};
  store::MemoryStore store_{clock_};
  StubbornLedger ledger_{store_.ledger()};
  std::atomic<int> next_{0};
  std::unique_ptr<Spending> spending_;
  const CallOwner owner_{.app_id = "a", .key_id = "k", .user_id = "", .workflow = ""};
};

TEST_F(SpendingTest, AThousandParallelCallsOnABudgetForTenNeverExceedIt) {
  ASSERT_TRUE(sync_wait(spending_->put_budget(make_budget("b", BudgetScope::key, "*", 1000))).has_value());
  std::atomic<int> admitted{0};
  std::atomic<int> most{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 125; ++i) {
          auto hold = spending_->reserve(owner_, {100});
          if (!hold) {
            EXPECT_EQ(hold.error().name, "BUDGET_EXCEEDED");
            continue;
          }
          most = std::max<int>(most, ++admitted);
          std::this_thread::yield();
          spending_->settle(*std::move(hold), entry(100));
        }
      });
    }
  }
  EXPECT_EQ(admitted, 10);
  EXPECT_EQ(ledger_sum(), 1000);
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).spent, Money{1000});
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).reserved, Money{0});
}

TEST_F(SpendingTest, ANewBudgetKnowsWhatWasSpentBeforeWhileCallsGoOn) {
  std::atomic<bool> done{false};
  std::atomic<int64_t> spent{0};
  std::jthread caller([&] {
    while (!done) {
      auto hold = spending_->reserve(owner_, {1});
      ASSERT_TRUE(hold.has_value());
      spending_->settle(*std::move(hold), entry(3));
      spent += 3;
    }
  });
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(sync_wait(spending_->put_budget(make_budget("b" + std::to_string(i), BudgetScope::app, "",
                                                            std::numeric_limits<int64_t>::max())))
                    .has_value());
  }
  done = true;
  caller.join();
  for (const BudgetState& state : spending_->list_budgets({"a"}, 100)) EXPECT_EQ(state.spent.pico_usd, spent);
  EXPECT_EQ(ledger_sum(), spent);
  open({});  // and so after a restart
  EXPECT_EQ(spending_->list_budgets({"a"}, 100).at(7).spent.pico_usd, spent);
}

TEST_F(SpendingTest, EntriesOutliveALedgerThatFailsAndCallsAreRefusedBeforeTheyWouldBeLost) {
  open({.entries_max = 3, .batch_max = 2, .gather = base::Millis(1), .retry = base::Millis(1)});
  ledger_.failing = true;
  for (int i = 0; i < 3; ++i) {
    auto hold = spending_->reserve(owner_, {1});
    ASSERT_TRUE(hold.has_value());
    spending_->settle(*std::move(hold), entry(5));
  }
  EXPECT_EQ(spending_->reserve(owner_, {1}).error().name, "LEDGER_BEHIND");
  ledger_.failing = false;
  EXPECT_EQ(ledger_sum(), 15);
  EXPECT_TRUE(spending_->note(entry(0)).has_value());
}

TEST_F(SpendingTest, AnOrderlyStopWritesWhatWaits) {
  open({.entries_max = 1000, .batch_max = 7, .gather = base::Millis(10'000), .retry = base::Millis(1)});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(spending_->note(entry(2)).has_value());
  open({});
  EXPECT_EQ(ledger_sum(), 200);
}

TEST_F(SpendingTest, WhatIsHeldForAResponseInTheBackgroundStaysUntilItIsSettledOnce) {
  ASSERT_TRUE(sync_wait(spending_->put_budget(make_budget("b", BudgetScope::key, "k", 1000))).has_value());
  const auto keep = [&](std::string id) {
    auto hold = spending_->reserve(owner_, {300});
    ASSERT_TRUE(hold.has_value());
    auto held = entry(300);
    held.response_id = std::move(id);
    held.user_id = "ann";
    held.estimated = true;
    spending_->keep_held(*std::move(hold), std::move(held));
  };
  keep("resp_1");
  keep("resp_2");
  keep("resp_3");
  ASSERT_TRUE(sync_wait(spending_->flush()).has_value());
  EXPECT_EQ(sync_wait(spending_->erase_user({"a"}, "ann")).value(), 0);
  open({});  // over a restart
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).reserved, Money{900});
  EXPECT_EQ(spending_->reserve(owner_, {200}).error().name, "BUDGET_EXCEEDED");
  EXPECT_FALSE(spending_->find_held({"b"}, "resp_1").has_value()) << "another app's";
  auto settled = spending_->find_held({"a"}, "resp_1");
  ASSERT_TRUE(settled.has_value());
  EXPECT_EQ(settled->user_id, "");
  settled->outcome = core::CallOutcome::complete;
  settled->cost = {40};
  EXPECT_TRUE(spending_->settle_held(*settled));
  EXPECT_FALSE(spending_->settle_held(*settled)) << "once";
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).reserved, Money{600});
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).spent, Money{40});
  open({});
  EXPECT_FALSE(spending_->find_held({"a"}, "resp_1").has_value());
  EXPECT_EQ(ledger_sum(), 40);

  clock_.advance(kDayMs - 1);
  EXPECT_EQ(ledger_sum(), 40);
  clock_.advance(1);  // nobody asked for a day
  EXPECT_EQ(ledger_sum(), 640);
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).reserved, Money{0});
  open({.held_max = 0});
  keep("resp_4");
  EXPECT_EQ(ledger_sum(), 940) << "more than can be kept is settled at once";
}

TEST_F(SpendingTest, TheBudgetOfYesterdayDoesNotCountToday) {
  ASSERT_TRUE(sync_wait(spending_->put_budget(make_budget("b", BudgetScope::app, "", 10))).has_value());
  ASSERT_TRUE(spending_->note(entry(10)).has_value());
  EXPECT_FALSE(spending_->reserve(owner_, {1}).has_value());
  clock_.advance(kDayMs);
  auto hold = spending_->reserve(owner_, {10});
  ASSERT_TRUE(hold.has_value());
  spending_->settle(*std::move(hold), entry(4));
  ASSERT_TRUE(sync_wait(spending_->flush()).has_value());
  open({});
  EXPECT_EQ(spending_->list_budgets({"a"}, 10).at(0).spent, Money{4});
  ASSERT_TRUE(sync_wait(spending_->delete_budget({"a"}, "b")).has_value());
  EXPECT_EQ(sync_wait(spending_->delete_budget({"a"}, "b")).error().name, "BUDGET_NOT_FOUND");
  EXPECT_FALSE(spending_->has_budgets("a"));
}

}  // namespace
}  // namespace tessera::account
