// The cheap bound of a call's cost, and holding it where budgets have ample room.
#include <gtest/gtest.h>

#include <random>

#include "account/budget_table.h"
#include "account/estimate.h"
#include "text/json_skim.h"

namespace tessera::account {
namespace {

constexpr int64_t kNow = 1'735'689'600'000;  // 2025-01-01T00:00:00Z

TEST(BoundRelay, IsNeverBelowTheEstimate) {
  const text::BpeCounter counter{text::BpeVocabulary::o200k()};
  core::ModelProfile profile;
  profile.max_output_tokens = 100;
  std::mt19937 random(20250101);
  const std::vector<std::string> pieces = {"ferry ", "\"", "max_", "n\"", "\\", "u0041", "data:",           "7",
                                           "\n",     "ä",  "漢",   "{}",  "👍", "}]",    "antidisestablish"};
  size_t bounded = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string content;
    for (uint32_t i = random() % 30; i > 0; --i) content += pieces[random() % pieces.size()];
    std::string body = R"({"model":"m","messages":[{"role":"user","content":)" + text::json_quote(content) + "}]";
    const uint32_t more = random() % 8;
    if (more == 0) body += R"(,"max_tokens":5000)";
    if (more == 1) body += R"(,"n":3)";
    if (more == 2) body += R"(,"\u006e":3)";
    body += "}";
    const auto bound = bound_relay(body, &profile);
    if (!bound) continue;
    ++bounded;
    const CallEstimate exact = estimate_relay(body, counter, &profile);
    ASSERT_GE(bound->prompt_bound, exact.prompt_bound) << body;
    ASSERT_EQ(bound->completion_bound, exact.completion_bound) << body;
  }
  EXPECT_GT(bounded, 200U);
}

TEST(BoundRelay, LeavesToTheEstimateWhatTheSizeDoesNotTell) {
  for (const char* body :
       {R"({"messages":[],"max_tokens":5})", R"({"messages":[],"max_completion_tokens":5})", R"({"messages":[],"n":2})",
        R"({"messages":[],"\u006e":2})",
        R"({"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]})"}) {
    EXPECT_FALSE(bound_relay(body, nullptr)) << body;
  }
  EXPECT_TRUE(bound_relay(R"({"messages":[{"role":"user","content":"a\nb \"c\""}]})", nullptr));
  EXPECT_TRUE(bound_relay("", nullptr));
}

TEST(BudgetTable, IsAmpleOnlyWhileManyCallsFit) {
  BudgetTable table;
  core::Budget budget;
  budget.budget_id = "b";
  budget.tenant = {"a"};
  budget.limit = {1'000'000};
  ASSERT_TRUE(table.put(budget, {}, kNow));
  const CallOwner owner{.app_id = "a", .key_id = "k", .user_id = "", .workflow = ""};
  EXPECT_TRUE(table.ample(owner, {1000}, kNow));
  EXPECT_FALSE(table.ample(owner, {10'000}, kNow));
  EXPECT_FALSE(table.ample(owner, {std::numeric_limits<int64_t>::max()}, kNow));
  const CallOwner stranger{.app_id = "z", .key_id = "k", .user_id = "", .workflow = ""};
  EXPECT_TRUE(table.ample(stranger, {10'000}, kNow));
  // Whatever is held in this way fits, and holding goes on in the exact way well before the limit.
  int64_t held = 0;
  while (table.ample(owner, {1000}, kNow)) {
    ASSERT_TRUE(table.reserve(owner, {1000}, kNow));
    ASSERT_LT(held += 1000, 1'000'000);
  }
  EXPECT_TRUE(table.reserve(owner, {100'000}, kNow));
}

}  // namespace
}  // namespace tessera::account
