#include "llm/mock/mock_model.h"

#include <gtest/gtest.h>

#include "async/run_blocking.h"

namespace tessera::llm {
namespace {

class JoiningSink final : public core::ChatSink {
 public:
  std::string text;
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    text += delta.text;
    co_return base::Result<>{};
  }
};

class Mock : public testing::Test {
 protected:
  base::ManualClock clock;
  MockModel model{clock};
  core::RequestContext context;
  core::ChatRequest request;
  void SetUp() override {
    request.model = "mock/echo";
    request.messages = {{core::Role::user, "say this  back", ""}};
  }
  JoiningSink sink;
  base::Result<core::ChatCompletion> run() { return async::sync_wait(model.generate(context, request, &sink)); }
};

TEST_F(Mock, EchoesAndCounts) {
  const auto completion = run();
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->content, "say this  back");
  EXPECT_EQ(sink.text, completion->content);
  EXPECT_EQ(completion->usage.completion_tokens, 4);
  request.max_tokens = 2;
  EXPECT_EQ(run()->content, "say this");
  EXPECT_EQ(run()->finish_reason, "length");
}

TEST_F(Mock, SaysWhatTheScriptSays) {
  request.model = "mock/lorem";
  request.parameters_json = R"({"mock":{"words":3}})";
  EXPECT_EQ(run()->content, "lorem ipsum dolor");
  request.parameters_json = R"({"mock":{"answer":"yes [1]"}})";
  EXPECT_EQ(run()->content, "yes [1]");
  EXPECT_EQ(run()->content, "yes [1]");
}

TEST_F(Mock, FailsAsScripted) {
  request.parameters_json = R"({"mock":{"fail":"exhausted","fail_after":2,"retry_after_ms":1500}})";
  const auto completion = run();
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().code, base::Code::exhausted);
  EXPECT_EQ(completion.error().retry_after, base::Millis(1500));
  EXPECT_EQ(sink.text, "say this");
  request.parameters_json = R"({"mock":{"fail":"upstream","fail_after":99}})";
  EXPECT_EQ(run().error().code, base::Code::upstream) << "at the end at the latest";
  for (const char* bad :
       {"[", "[]", R"({"mock":1})", R"({"mock":{"words":-1}})", R"({"mock":{"fail":"odd"}})", R"({"mock":{"x":1}})"}) {
    request.parameters_json = bad;
    ASSERT_FALSE(run()) << bad;
    EXPECT_EQ(run().error().name, "BAD_PARAMETERS") << bad;
  }
}

TEST_F(Mock, StopsWhenCancelled) {
  async::CancelSource cancel;
  cancel.cancel();
  context.cancel = cancel.token();
  EXPECT_EQ(run().error().code, base::Code::cancelled);
}

}  // namespace
}  // namespace tessera::llm
