// What both kinds of ledger and budget store promise, and random walks beside a trivial model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "async/run_blocking.h"
#include "store/ledger_rules.h"
#include "store/testing.h"

namespace tessera::store {
namespace {

using async::sync_wait;
using core::LedgerEntry;
using core::LedgerGroup;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kDay0 = 20'000 * kDayMs;  // 2024-10-04

template <class T>
std::string error_name(const base::Result<T>& result) {
  return result ? "none" : result.error().name;
}

LedgerEntry entry(const std::string& app, const std::string& id, int64_t at_ms, int64_t pico) {
  LedgerEntry made;
  made.tenant = {app};
  made.call_id = id;
  made.at_ms = at_ms;
  made.provider = "p";
  made.model = "m";
  made.prompt_tokens = 10;
  made.completion_tokens = 3;
  made.cost = {pico};
  return made;
}

core::LedgerFilter of(const std::string& app) {
  core::LedgerFilter filter;
  filter.tenant = {app};
  return filter;
}

std::string day_of_row(const LedgerEntry& e) {
  return day_text(e.at_ms / kDayMs);
}

class LedgerContract : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<testing::Harness> harness_ =
      std::string(GetParam()) == "sqlite" ? testing::make_sqlite_harness() : testing::make_memory_harness();
  uint64_t seed_ = std::random_device()();
  core::Ledger& ledger() { return harness_->ledger(); }
  core::BudgetStore& budgets() { return harness_->budgets(); }

  std::vector<core::UsageRow> sum(const core::LedgerFilter& filter, const std::vector<LedgerGroup>& groups) {
    return *sync_wait(ledger().sum_usage(filter, groups, 1000));
  }
};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerContract, ::testing::Values("memory", "sqlite"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(LedgerContract, AnEntryCountsOnce) {
  const std::vector<LedgerEntry> both = {entry("a", "1", kDay0, 5), entry("a", "1", kDay0 + 1, 900)};
  ASSERT_TRUE(sync_wait(ledger().append_entries(both)).has_value());
  ASSERT_TRUE(sync_wait(ledger().append_entries({both[1], entry("a", "2", kDay0, 7)})).has_value());
  harness_->reopen();
  ASSERT_TRUE(sync_wait(ledger().append_entries(both)).has_value());
  const auto rows = sum(of("a"), {});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].calls, 2);
  EXPECT_EQ(rows[0].cost.pico_usd, 12);
  EXPECT_EQ(rows[0].prompt_tokens, 20);
}

TEST_P(LedgerContract, TheSameIdOfAnotherAppIsAnotherEntry) {
  ASSERT_TRUE(sync_wait(ledger().append_entries({entry("a", "1", kDay0, 5), entry("b", "1", kDay0, 6)})).has_value());
  EXPECT_EQ(sum(of("a"), {}).at(0).cost.pico_usd, 5);
  EXPECT_EQ(sum(of("b"), {LedgerGroup::app}).at(0).keys.at(0), "b");
  EXPECT_THAT(sum(of("c"), {}), IsEmpty());
}

TEST_P(LedgerContract, APersonsNameIsTakenOffAndTheSumsStay) {
  auto named = [](const std::string& app, const std::string& id, const std::string& user, int64_t at_ms) {
    auto made = entry(app, id, at_ms, 5);
    made.user_id = user;
    return made;
  };
  ASSERT_TRUE(sync_wait(ledger().append_entries({named("a", "1", "ann", kDay0), named("a", "2", "ann", kDay0 + kDayMs),
                                                 named("a", "3", "", kDay0), named("a", "4", "bob", kDay0),
                                                 named("b", "1", "ann", kDay0)}))
                  .has_value());
  EXPECT_EQ(*sync_wait(ledger().erase_user({"a"}, "ann")), 2);
  harness_->reopen();
  EXPECT_EQ(*sync_wait(ledger().erase_user({"a"}, "ann")), 0);
  EXPECT_EQ(error_name(sync_wait(ledger().erase_user({"a"}, ""))), "USER_REQUIRED");
  const auto rows = sum(of("a"), {LedgerGroup::user});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].keys.at(0), "");
  EXPECT_EQ(rows[0].calls, 3);
  EXPECT_EQ(rows[0].cost.pico_usd, 15);
  EXPECT_EQ(rows[1].keys.at(0), "bob");
  EXPECT_EQ(sum(of("b"), {LedgerGroup::user}).at(0).keys.at(0), "ann") << "another app's";
}

TEST_P(LedgerContract, WhatIsHeldIsInNoSumUntilAnotherTakesItsPlace) {
  LedgerEntry held = entry("a", "1", kDay0, 900);
  held.user_id = "ann";
  held.outcome = core::CallOutcome::held;
  held.response_id = "resp_1";
  ASSERT_TRUE(sync_wait(ledger().append_entries({held})).has_value());
  EXPECT_THAT(sum(of("a"), {}), IsEmpty());
  EXPECT_TRUE(sync_wait(ledger().erase_user({"a"}, "ann")).has_value());
  harness_->reopen();
  const auto kept = *sync_wait(ledger().load_held());
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].response_id, "resp_1");
  EXPECT_EQ(kept[0].cost.pico_usd, 900);
  EXPECT_EQ(kept[0].user_id, "") << "a person is erased here, too";
  LedgerEntry settled = entry("a", "1", kDay0 + 1, 40);
  settled.response_id = "resp_1";
  ASSERT_TRUE(sync_wait(ledger().append_entries({settled, held, settled})).has_value());
  EXPECT_THAT(*sync_wait(ledger().load_held()), IsEmpty());
  EXPECT_EQ(sum(of("a"), {}).at(0).cost.pico_usd, 40);
}

TEST_P(LedgerContract, SumsExactlyBeyondWhatFloatingPointHolds) {
  const int64_t large = 4'000'000'000'000'000'001;
  ASSERT_TRUE(
      sync_wait(ledger().append_entries({entry("a", "1", kDay0, large), entry("a", "2", kDay0 + kDayMs, large)}))
          .has_value());
  EXPECT_EQ(sum(of("a"), {}).at(0).cost.pico_usd, 2 * large);
}

TEST_P(LedgerContract, RowsComeInTheOrderOfTheirKeysAndStopAtTheLimit) {
  auto one = entry("a", "1", kDay0 + kDayMs - 1, 1);
  one.model = "z";
  auto two = entry("a", "2", kDay0 + kDayMs, 2);
  auto three = entry("a", "3", kDay0, 4);
  ASSERT_TRUE(sync_wait(ledger().append_entries({one, two, three})).has_value());
  const auto rows = sum(of("a"), {LedgerGroup::model, LedgerGroup::day});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_THAT(rows[0].keys, ElementsAre("m", "2024-10-04"));
  EXPECT_THAT(rows[1].keys, ElementsAre("m", "2024-10-05"));
  EXPECT_THAT(rows[2].keys, ElementsAre("z", "2024-10-04"));
  const auto two_rows = *sync_wait(ledger().sum_usage(of("a"), {LedgerGroup::day, LedgerGroup::model}, 2));
  ASSERT_EQ(two_rows.size(), 2U);
  EXPECT_THAT(two_rows[1].keys, ElementsAre("2024-10-04", "z"));
}

TEST_P(LedgerContract, BadInputIsRefusedByName) {
  EXPECT_EQ(error_name(sync_wait(ledger().append_entries({entry("", "1", 1, 1)}))), "TENANT_REQUIRED");
  EXPECT_EQ(error_name(sync_wait(ledger().append_entries({entry("a", "", 1, 1)}))), "LEDGER_ENTRY_INVALID");
  EXPECT_EQ(error_name(sync_wait(ledger().append_entries({entry("a", "1", 1, 1), entry("a", "2", 1, -1)}))),
            "LEDGER_ENTRY_INVALID");
  EXPECT_THAT(sum(of("a"), {}), IsEmpty()) << "nothing of a refused write stays";
  EXPECT_EQ(error_name(sync_wait(ledger().sum_usage({}, {}, 10))), "TENANT_REQUIRED");
  EXPECT_EQ(
      error_name(sync_wait(ledger().sum_usage(of("a"), {LedgerGroup::day, LedgerGroup::key, LedgerGroup::day}, 10))),
      "LEDGER_FILTER_INVALID");
  core::LedgerFilter backwards = of("a");
  backwards.from_ms = 5;
  backwards.to_ms = 4;
  EXPECT_EQ(error_name(sync_wait(ledger().sum_usage(backwards, {}, 10))), "LEDGER_FILTER_INVALID");
  core::Budget budget;
  budget.budget_id = "b";
  budget.tenant = {"a"};
  budget.scope = core::BudgetScope::key;
  EXPECT_EQ(error_name(sync_wait(budgets().put_budget(budget))), "BUDGET_INVALID");
  budget.subject = "*";
  budget.limit = {-1};
  EXPECT_EQ(error_name(sync_wait(budgets().put_budget(budget))), "BUDGET_INVALID");
  EXPECT_EQ(error_name(sync_wait(budgets().delete_budget({"a"}, "b"))), "BUDGET_NOT_FOUND");
}

TEST_P(LedgerContract, BudgetsAreReplacedAndDeletedWithinTheirApp) {
  const core::Budget budget{.budget_id = "b",
                            .tenant = {"a"},
                            .scope = core::BudgetScope::user,
                            .subject = "ann",
                            .period = core::BudgetPeriod::total,
                            .limit = {77},
                            .hard = false,
                            .created_at_ms = 5};
  ASSERT_TRUE(sync_wait(budgets().put_budget(budget)).has_value());
  auto changed = budget;
  changed.limit = {88};
  ASSERT_TRUE(sync_wait(budgets().put_budget(changed)).has_value());
  auto other = budget;
  other.tenant = {"b"};
  ASSERT_TRUE(sync_wait(budgets().put_budget(other)).has_value());
  harness_->reopen();
  auto all = *sync_wait(budgets().load_budgets());
  if (std::string(GetParam()) == "sqlite") {
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].limit.pico_usd, 88);
    EXPECT_EQ(all[0].subject, "ann");
    EXPECT_EQ(all[0].scope, core::BudgetScope::user);
    EXPECT_EQ(all[0].period, core::BudgetPeriod::total);
    EXPECT_FALSE(all[0].hard);
    EXPECT_EQ(all[0].created_at_ms, 5);
  }
  ASSERT_TRUE(sync_wait(budgets().delete_budget({"a"}, "b")).has_value());
  EXPECT_EQ(sync_wait(budgets().delete_budget({"a"}, "b")).error().name, "BUDGET_NOT_FOUND");
  all = *sync_wait(budgets().load_budgets());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].tenant.app_id, "b");
}

/// Random entries and questions, beside a plain list.
class LedgerWalk {
 public:
  LedgerWalk(testing::Harness& harness, uint64_t seed) : harness_(harness), random_(seed) {}

  void step() {
    switch (random_.below(8)) {
      case 0:
      case 1:
      case 2:
        return append();
      case 3:
        if (random_.below(20) == 0) harness_.reopen();
        return;
      default:
        return ask();
    }
  }

 private:
  std::string word(const char* prefix, size_t of) {
    const size_t n = random_.below(of);
    return n == 0 ? "" : prefix + std::to_string(n);
  }
  std::string app() { return "app" + std::to_string(random_.below(3)); }
  int64_t moment() {
    const auto day = static_cast<int64_t>(random_.below(5));
    switch (random_.below(4)) {
      case 0:
        return kDay0 + day * kDayMs;  // the edges of days
      case 1:
        return kDay0 + day * kDayMs - 1;
      default:
        return kDay0 + day * kDayMs + static_cast<int64_t>(random_.below(kDayMs));
    }
  }

  void append() {
    std::vector<LedgerEntry> entries;
    for (size_t n = random_.below(6); n > 0; --n) {
      LedgerEntry e = entry(app(), "call" + std::to_string(random_.below(600)), moment(),
                            static_cast<int64_t>(random_.below(1'000'000'000'000)));
      e.key_id = word("key", 3);
      e.user_id = word("user", 4);
      e.workflow = word("flow", 3);
      e.provider = "p" + std::to_string(random_.below(2));
      e.model = "m" + std::to_string(random_.below(3));
      e.prompt_tokens = static_cast<int64_t>(random_.below(1000));
      e.cached_prompt_tokens = static_cast<int64_t>(random_.below(100));
      e.cache_write_tokens = static_cast<int64_t>(random_.below(50));
      e.response_id = "resp_" + e.call_id;
      if (random_.below(4) == 0) e.outcome = core::CallOutcome::held;
      e.completion_tokens = static_cast<int64_t>(random_.below(1000));
      entries.push_back(e);
    }
    for (const auto& e : entries) {
      const std::pair id(e.tenant.app_id, e.call_id);
      if (e.outcome == core::CallOutcome::held) {
        if (!ids_.contains(id)) held_.try_emplace(id, e.cost.pico_usd);
        continue;
      }
      held_.erase(id);
      if (ids_.insert(id).second) known_.push_back(e);
    }
    ASSERT_TRUE(sync_wait(harness_.ledger().append_entries(entries)).has_value());
  }

  static std::string value(const LedgerEntry& e, LedgerGroup group) {
    const std::array<std::string, 7> values = {e.tenant.app_id, e.key_id, e.user_id,    e.workflow,
                                               e.provider,      e.model,  day_of_row(e)};
    return values.at(static_cast<size_t>(group));
  }

  void ask() {
    std::map<std::pair<std::string, std::string>, int64_t> held;
    const auto loaded = sync_wait(harness_.ledger().load_held());
    ASSERT_TRUE(loaded.has_value());
    for (const LedgerEntry& e : *loaded) {
      EXPECT_EQ(e.outcome, core::CallOutcome::held);
      EXPECT_EQ(e.response_id, "resp_" + e.call_id);
      held[{e.tenant.app_id, e.call_id}] = e.cost.pico_usd;
    }
    EXPECT_EQ(held, held_);
    core::LedgerFilter filter = of(app());
    if (random_.below(4) == 0) filter.key_id = word("key", 3);
    if (random_.below(4) == 0) filter.user_id = word("user", 4);
    if (random_.below(4) == 0) filter.workflow = word("flow", 3);
    if (random_.below(4) == 0) filter.model = "m1";
    if (random_.below(3) != 0) {
      filter.from_ms = moment();
      filter.to_ms = std::max(filter.from_ms, moment());
    }
    std::vector<LedgerGroup> groups;
    for (size_t g = 0; g < 7; ++g) {
      if (random_.below(3) == 0) groups.push_back(static_cast<LedgerGroup>(g));
    }
    for (size_t i = groups.size(); i > 1; --i) std::swap(groups[i - 1], groups[random_.below(i)]);
    const auto limit = static_cast<int64_t>(random_.below(3) == 0 ? random_.below(6) : 1000);
    compare(filter, groups, limit);
  }

  void compare(const core::LedgerFilter& filter, const std::vector<LedgerGroup>& groups, int64_t limit) {
    const auto fits = [](const std::string& asked, const std::string& has) { return asked.empty() || asked == has; };
    std::map<std::vector<std::string>, std::vector<int64_t>> wanted;
    for (const auto& e : known_) {
      if (e.tenant != filter.tenant || !fits(filter.key_id, e.key_id) || !fits(filter.user_id, e.user_id) ||
          !fits(filter.workflow, e.workflow) || !fits(filter.model, e.model) || e.at_ms < filter.from_ms ||
          e.at_ms >= filter.to_ms) {
        continue;
      }
      std::vector<std::string> keys;
      for (const auto group : groups) keys.push_back(value(e, group));
      auto& sums = wanted[keys];
      sums.resize(6);
      const std::array<int64_t, 6> parts = {
          1, e.prompt_tokens, e.cached_prompt_tokens, e.cache_write_tokens, e.completion_tokens, e.cost.pico_usd};
      for (size_t i = 0; i < parts.size(); ++i) sums[i] += parts.at(i);
    }
    const auto rows = sync_wait(harness_.ledger().sum_usage(filter, groups, limit));
    ASSERT_TRUE(rows.has_value()) << rows.error().name;
    ASSERT_EQ(rows->size(), std::min<size_t>(wanted.size(), static_cast<size_t>(limit)));
    auto it = wanted.begin();
    for (const auto& row : *rows) {
      EXPECT_EQ(row.keys, it->first);
      EXPECT_THAT(it->second, ElementsAre(row.calls, row.prompt_tokens, row.cached_prompt_tokens,
                                          row.cache_write_tokens, row.completion_tokens, row.cost.pico_usd));
      ++it;
    }
  }

  testing::Harness& harness_;
  base::SeededRandom random_;
  std::set<std::pair<std::string, std::string>> ids_;
  std::map<std::pair<std::string, std::string>, int64_t> held_;
  std::vector<LedgerEntry> known_;
};

TEST_P(LedgerContract, FollowsTheModel) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  // Memory forgets when it is closed, and then nothing is reopened.
  LedgerWalk walk(*harness_, seed_);
  for (int i = 0; i < 2000 && !HasFailure(); ++i) walk.step();
}

}  // namespace
}  // namespace tessera::store
