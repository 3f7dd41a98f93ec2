#include "account/accounted_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "account/background_calls.h"
#include "account/estimate.h"
#include "async/run_blocking.h"
#include "async/shards.h"
#include "store/memory/memory_store.h"

namespace tessera::account {
namespace {

using async::sync_wait;
using core::Money;
using core::Task;

class Profiles final : public core::ModelProfiles {
 public:
  Profiles() {
    known.id = "m";
    known.price = {.prompt = {1'000'000}, .cached_prompt = {500'000}, .completion = {2'000'000}};
    known.batch_price = {.prompt = {500'000}, .cached_prompt = {250'000}, .completion = {1'000'000}};
    known.price_known = true;
    known.max_output_tokens = 100;
  }
  [[nodiscard]] const core::ModelProfile* find(std::string_view, std::string_view model) const override {
    return model.starts_with("m") ? &known : nullptr;
  }
  [[nodiscard]] std::vector<const core::ModelProfile*> list() const override { return {&known}; }

  core::ModelProfile known;
};

/// Answers as it is told.
class Script final : public core::ChatModel {
 public:
  [[nodiscard]] bool relays() const override { return true; }
  Task<base::Result<std::string>> relay(const core::RequestContext&, const core::RelayRequest&, core::RelaySink*,
                                        core::RelayReport& report) override {
    ++calls;
    report = told;
    if (error) co_return std::unexpected(*error);
    co_return std::string("{}");
  }
  Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest&,
                                                    core::ChatSink* sink) override {
    ++calls;
    if (sink != nullptr) TESSERA_CO_CHECK(co_await sink->on_delta({.text = "12345678", .extra_json = ""}));
    if (error) co_return std::unexpected(*error);
    core::ChatCompletion completion;
    completion.content = "12345678";
    completion.usage = told.usage;
    co_return completion;
  }
  core::RelayReport told;
  std::optional<base::Error> error;
  int calls = 0;
};

class NullSink final : public core::ChatSink {
 public:
  Task<base::Result<>> on_delta(core::ChatDelta) override { co_return base::Result<>{}; }
};

class AccountedTest : public ::testing::Test {
 protected:
  AccountedTest() {
    EXPECT_TRUE(sync_wait(spending_.load()).has_value());
    context_.tenant = {"a"};
    context_.key_id = "k";
    context_.request_id = "r";
    request_.model = "m";
    request_.body = R"({"model":"m","messages":[{"role":"user","content":"Hello there"}],"max_tokens":50})";
    script_->told.provider = "p";
  }
  core::UsageRow sum() {
    core::LedgerFilter filter;
    filter.tenant = {"a"};
    const auto rows = sync_wait(spending_.sum_usage(filter, {core::LedgerGroup::model}, 10));
    EXPECT_TRUE(rows.has_value()) << rows.error().name;
    return !rows || rows->empty() ? core::UsageRow{} : rows->front();
  }
  base::Result<std::string> relay(core::ChatModel& model) {
    report_ = {};
    return sync_wait(model.relay(context_, request_, nullptr, report_));
  }
  Money limit_for(int64_t pico) {
    core::Budget budget;
    budget.budget_id = "b";
    budget.tenant = {"a"};
    budget.limit = {pico};
    EXPECT_TRUE(sync_wait(spending_.put_budget(budget)).has_value());
    return budget.limit;
  }

  base::SystemClock clock_;
  base::SystemRandom random_;
  base::IdSource ids_{clock_, random_};
  std::unique_ptr<base::Logger> log_ = base::silent_logger();
  observe::Metrics metrics_;
  async::Shards loop_{1};
  store::MemoryStore store_{clock_};
  Spending spending_{{store_.ledger(), store_.budgets(), clock_, *log_, metrics_, loop_.executor(0)}, {}};
  Profiles profiles_;
  text::BpeCounter counter_{text::BpeVocabulary::o200k()};
  AccountingParts parts_{spending_, profiles_, counter_, clock_, ids_, metrics_};
  std::shared_ptr<Script> script_ = std::make_shared<Script>();
  AccountedModel model_{script_, "p", parts_};
  core::RequestContext context_;
  core::RelayRequest request_;
  core::RelayReport report_;
};

TEST_F(AccountedTest, PaysWhatTheProviderSays) {
  script_->told.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_prompt_tokens = 4, .cost = {}};
  script_->told.usage_reported = true;
  ASSERT_TRUE(relay(model_).has_value());
  EXPECT_EQ(report_.usage.cost, Money{6 * 1'000'000 + 4 * 500'000 + 3 * 2'000'000});
  EXPECT_EQ(sum().cost, report_.usage.cost);
  EXPECT_EQ(sum().cached_prompt_tokens, 4);
  script_->told.usage.tier = core::PriceTier::batch;
  ASSERT_TRUE(relay(model_).has_value());
  EXPECT_EQ(report_.usage.cost, Money{6 * 500'000 + 4 * 250'000 + 3 * 1'000'000});
  EXPECT_EQ(sum().calls, 2);
}

TEST_F(AccountedTest, CacheWritesAndTiersHaveTheirOwnPrices) {
  profiles_.known.price.cache_write = {1'250'000};
  profiles_.known.price.cache_write_long = {2'000'000};
  profiles_.known.priority_price = {{3'000'000}, {1'500'000}, {6'000'000}};
  script_->told.usage = {.prompt_tokens = 100,
                         .completion_tokens = 1,
                         .cached_prompt_tokens = 10,
                         .cache_write_tokens = 50,
                         .cache_write_long_tokens = 20,
                         .cost = {}};
  script_->told.usage_reported = true;
  ASSERT_TRUE(relay(model_).has_value());
  EXPECT_EQ(sum().cost, Money{40 * 1'000'000 + 10 * 500'000 + 30 * 1'250'000 + 20 * 2'000'000 + 2'000'000});
  EXPECT_EQ(sum().cache_write_tokens, 50);
  script_->told.usage = {.prompt_tokens = 1, .completion_tokens = 1, .tier = core::PriceTier::priority, .cost = {}};
  const Money before = sum().cost;
  ASSERT_TRUE(relay(model_).has_value());
  EXPECT_EQ(sum().cost - before, Money{9'000'000}) << "by what the answer says, not the request";

  // What may be dearer is held at the dearer price: 50 tokens of answer and a few dozen of prompt.
  limit_for(before.pico_usd + 9'000'000 + 250'000'000);
  EXPECT_TRUE(relay(model_).has_value());
  request_.body = R"({"service_tier":"priority","messages":[{"role":"user","content":"Hello"}],"max_tokens":50})";
  EXPECT_EQ(relay(model_).error().name, "BUDGET_EXCEEDED");
}

TEST_F(AccountedTest, AResponseInTheBackgroundIsSettledByWhatIsSaidOfItLater) {
  limit_for(1'000'000'000'000);
  script_->told.background_id = "resp_1";
  ASSERT_TRUE(relay(model_).has_value());
  EXPECT_EQ(sum().calls, 0);
  const Money held = spending_.list_budgets({"a"}, 1).at(0).reserved;
  EXPECT_GT(held, Money{100'000'000});
  BackgroundCalls later(spending_, profiles_);
  core::RelayReport said;
  said.background_id = "resp_1";
  said.finish_reason = "in_progress";
  later.saw({"a"}, "resp_1", said);
  later.saw({"a"}, "resp_1", {});
  EXPECT_EQ(spending_.list_budgets({"a"}, 1).at(0).reserved, held) << "it is not at its end";
  said.background_id.clear();
  said.finish_reason = "completed";
  said.usage_reported = true;
  said.usage = {.prompt_tokens = 7, .completion_tokens = 30'000, .tier = core::PriceTier::batch, .cost = {}};
  later.saw({"b"}, "resp_1", said);
  EXPECT_EQ(sum().calls, 0) << "not by another app";
  later.saw({"a"}, "resp_1", said);
  later.saw({"a"}, "resp_1", said);
  EXPECT_EQ(sum().calls, 1);
  EXPECT_EQ(sum().completion_tokens, 30'000);
  EXPECT_EQ(sum().cost, Money{7 * 500'000 + 30'000 * 1'000'000LL});
  EXPECT_EQ(spending_.list_budgets({"a"}, 1).at(0).reserved, Money{});

  script_->told.background_id = "resp_2";
  ASSERT_TRUE(relay(model_).has_value());
  said = {};
  said.finish_reason = "cancelled";
  said.answer_bytes = 40;
  later.saw({"a"}, "resp_2", said);
  EXPECT_EQ(sum().completion_tokens, 30'010) << "what came of it";
  script_->told.background_id = "resp_3";
  ASSERT_TRUE(relay(model_).has_value());
  later.forgotten({"a"}, "resp_3");
  EXPECT_EQ(sum().completion_tokens, 30'060) << "what was held";
  EXPECT_EQ(sum().calls, 3);
}

TEST_F(AccountedTest, ACallThatBrokeHalfWayCostsWhatPassed) {
  script_->told.started = true;
  script_->told.answer_bytes = 40;
  script_->error = base::make_error(base::Code::cancelled, "CANCELLED", "gone");
  ASSERT_FALSE(relay(model_).has_value());
  const auto row = sum();
  EXPECT_EQ(row.calls, 1);
  EXPECT_EQ(row.completion_tokens, 10);
  EXPECT_GT(row.prompt_tokens, 2);
  EXPECT_EQ(row.cost, Money{row.prompt_tokens * 1'000'000 + 10 * 2'000'000});
}

TEST_F(AccountedTest, ACallThatNeverAnsweredIsAnEntryWithoutCost) {
  script_->error = base::make_error(base::Code::unavailable, "PROVIDER_DOWN", "down");
  ASSERT_FALSE(relay(model_).has_value());
  EXPECT_EQ(sum().calls, 1);
  EXPECT_EQ(sum().cost, Money{});
}

TEST_F(AccountedTest, ARefusedCallReachesNoProviderAndWhatFailedIsGivenBack) {
  // 50 tokens of answer at 2 each, and a prompt of a few dozen tokens at 1 each.
  limit_for(150'000'000);
  script_->error = base::make_error(base::Code::unavailable, "PROVIDER_DOWN", "down");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(relay(model_).error().name, "PROVIDER_DOWN");
  limit_for(99'000'000);
  EXPECT_EQ(relay(model_).error().code, base::Code::budget);
  EXPECT_EQ(script_->calls, 5);
  EXPECT_EQ(sum().calls, 5) << "a call that was not made is no entry";
  request_.model = "unpriced";
  EXPECT_EQ(relay(model_).error().name, "PROVIDER_DOWN") << "what costs nothing that is known is let through";
}

TEST_F(AccountedTest, AParsedCallIsAccountedForAlike) {
  core::ChatRequest request;
  request.model = "m-2024";
  request.messages.push_back({.role = core::Role::user, .content = "Hello", .extra_json = ""});
  NullSink sink;
  script_->told.usage = {.prompt_tokens = 5, .completion_tokens = 2, .cached_prompt_tokens = 0, .cost = {}};
  auto done = sync_wait(model_.generate(context_, request, &sink));
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->usage.cost, Money{9'000'000});
  script_->error = base::make_error(base::Code::upstream, "BROKEN", "broken");
  ASSERT_FALSE(sync_wait(model_.generate(context_, request, &sink)).has_value());
  EXPECT_EQ(sum().calls, 2);
  EXPECT_EQ(sum().keys.at(0), "m") << "as the price table names it";
  EXPECT_EQ(sum().completion_tokens, 2 + 2);
  ASSERT_TRUE(note_cached_answer(parts_, context_, "p", "m", done->usage).has_value());
  EXPECT_EQ(sum().calls, 3);
}

TEST_F(AccountedTest, NonsenseFromAProviderNeitherOverflowsNorPaysBack) {
  script_->told.usage_reported = true;
  script_->told.usage = {
      .prompt_tokens = INT64_MAX, .completion_tokens = INT64_MIN, .cached_prompt_tokens = -5, .cost = {}};
  ASSERT_TRUE(relay(model_).has_value());
  EXPECT_EQ(report_.usage.cost, Money{1'000'000'000'000'000});
  const core::Price dear{.prompt = {INT64_MAX}, .cached_prompt = {}, .completion = {}};
  EXPECT_EQ(charge(dear, script_->told.usage), kCostMax);
}

TEST(Estimate, BoundsWhatARequestMayCost) {
  const text::BpeCounter counter{text::BpeVocabulary::o200k()};
  core::ModelProfile profile;
  profile.max_output_tokens = 1000;
  const auto of = [&](std::string_view body) { return estimate_relay(body, counter, &profile); };
  EXPECT_EQ(of(R"({"messages":[],"max_tokens":7,"n":3})").completion_bound, 21);
  EXPECT_EQ(of(R"({"messages":[],"max_completion_tokens":99999})").completion_bound, 1000);
  EXPECT_EQ(of(R"({"messages":[]})").completion_bound, 1000);
  EXPECT_EQ(of(R"({"messages":[],"max_tokens":-4,"n":-9})").completion_bound, 0);
  EXPECT_EQ(estimate_relay("{}", counter, nullptr).completion_bound, kCompletionTokens);
  profile.max_tokens = 55;
  EXPECT_EQ(of(R"({"messages":[]})").completion_bound, 55);

  const std::string text(100'000, 'x');
  const auto longer = of(R"({"messages":[{"role":"user","content":")" + text + R"("}]})");
  EXPECT_GE(longer.prompt_bound, 50'000);
  const auto image =
      of(R"({"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,)" + text + R"("}}]}]})");
  EXPECT_LT(image.prompt_bound, 2 * kImageTokens) << "an image is not read as text";
  EXPECT_GE(image.prompt, kImageTokens);
  EXPECT_GT(of("not json, but some words").prompt_bound, 5);
  const std::string deep = R"({"messages":)" + std::string(5000, '[');
  EXPECT_GT(of(deep).prompt_bound, 1000);
}

}  // namespace
}  // namespace tessera::account
