#include "llm/routing/fitted_model.h"

#include <gtest/gtest.h>

#include "async/run_blocking.h"

namespace tessera::llm {
namespace {

// Keeps the last request.
class Recorder final : public core::ChatModel {
 public:
  [[nodiscard]] bool relays() const override { return true; }
  core::Task<base::Result<std::string>> relay(const core::RequestContext&, const core::RelayRequest& request,
                                              core::RelaySink*, core::RelayReport&) override {
    relayed = request;
    co_return "ok";
  }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest& request,
                                                          core::ChatSink*) override {
    asked = request;
    co_return core::ChatCompletion{};
  }
  core::RelayRequest relayed;
  core::ChatRequest asked;
};

class Fitting : public ::testing::Test {
 protected:
  static std::string words(size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += " word";
    return text;
  }
  void add(core::Role role, size_t tokens) {
    request.messages.push_back({.role = role, .content = words(tokens), .extra_json = {}});
  }
  base::Result<core::ChatCompletion> generate(FitOptions options) {
    FittedModel model(recorder, options, counter);
    return async::sync_wait(model.generate(context, request, nullptr));
  }
  base::Result<std::string> relay(FitOptions options, const std::string& body) {
    FittedModel model(recorder, options, counter);
    core::RelayRequest ask;
    ask.model = "m";
    ask.body = body;
    core::RelayReport report;
    return async::sync_wait(model.relay(context, ask, nullptr, report));
  }
  [[nodiscard]] std::vector<size_t> kept() const {
    std::vector<size_t> sizes;
    for (const core::ChatMessage& message : recorder->asked.messages) sizes.push_back(message.content.size() / 5);
    return sizes;
  }

  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  text::BpeCounter counter{text::BpeVocabulary::o200k()};
  core::RequestTrace trace;
  core::RequestContext context = [this] {
    core::RequestContext made;
    made.trace = &trace;
    return made;
  }();
  core::ChatRequest request;
};

TEST_F(Fitting, WhatFitsPassesAsItIs) {
  add(core::Role::system, 10);
  add(core::Role::user, 20);
  EXPECT_TRUE(generate({.window = 1000, .completion = 100}));
  EXPECT_EQ(kept(), (std::vector<size_t>{10, 20}));
  // Counted, for its bytes are more than the window, but 38 tokens and 100 for the answer are not.
  EXPECT_TRUE(generate({.window = 140, .completion = 100}));
  EXPECT_TRUE(trace.degraded().empty());
}

TEST_F(Fitting, WhatDoesNotFitIsRefusedWithNumbers) {
  add(core::Role::user, 50);
  request.max_tokens = 60;
  const auto refused = generate({.window = 100, .completion = 10});
  EXPECT_EQ(refused.error().name, "CONTEXT_TOO_LONG");
  EXPECT_EQ(refused.error().param, "messages");
  EXPECT_NE(refused.error().message.find("54 tokens, and 60"), std::string::npos) << refused.error().message;
}

TEST_F(Fitting, TheOldestGoAndItIsReported) {
  add(core::Role::system, 10);
  add(core::Role::user, 20);
  add(core::Role::assistant, 30);
  add(core::Role::user, 40);
  EXPECT_TRUE(generate({.window = 100, .completion = 10, .trim = true}));
  EXPECT_EQ(kept(), (std::vector<size_t>{10, 40}));  // 14 + 34 + 44 and 10 are two too many
  EXPECT_EQ(trace.degraded(), (std::vector<std::string>{"context_trimmed"}));
  EXPECT_TRUE(generate({.window = 102, .completion = 10, .trim = true}));
  EXPECT_EQ(kept(), (std::vector<size_t>{10, 30, 40}));
  EXPECT_EQ(generate({.window = 60, .completion = 10, .trim = true}).error().name, "CONTEXT_TOO_LONG");
}

TEST_F(Fitting, ToolResultsGoWithTheirCalls) {
  add(core::Role::user, 20);
  add(core::Role::assistant, 20);
  add(core::Role::tool, 5);
  add(core::Role::user, 30);
  EXPECT_TRUE(generate({.window = 50, .completion = 5, .trim = true}));
  EXPECT_EQ(kept(), (std::vector<size_t>{30}));
}

TEST_F(Fitting, RelayedRequestsAreTrimmedOnlyWhenAsked) {
  const std::string body =
      R"({"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":")" + words(200) +
      R"("},{"role":"user","content":"now"}],"seed":1})";
  EXPECT_TRUE(relay({.window = 100, .completion = 10}, body));
  EXPECT_EQ(recorder->relayed.body, body);
  EXPECT_TRUE(trace.degraded().empty());
  EXPECT_TRUE(relay({.window = 100, .completion = 10, .trim = true}, body));
  EXPECT_EQ(
      recorder->relayed.body,
      R"({"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"now"}],"seed":1})");
  EXPECT_EQ(trace.degraded(), (std::vector<std::string>{"context_trimmed"}));
  EXPECT_EQ(relay({.window = 20, .completion = 10, .trim = true}, body).error().name, "CONTEXT_TOO_LONG");
  EXPECT_EQ(relay({.window = 100, .completion = 10, .relayed = true}, body).error().name, "CONTEXT_TOO_LONG");
  EXPECT_TRUE(relay({.window = 300, .completion = 10, .relayed = true}, body));
  EXPECT_EQ(recorder->relayed.body, body);
  // Not ours to judge.
  EXPECT_TRUE(relay({.window = 10, .completion = 1, .trim = true}, "this is not JSON"));
  EXPECT_EQ(recorder->relayed.body, "this is not JSON");
}

}  // namespace
}  // namespace tessera::llm
