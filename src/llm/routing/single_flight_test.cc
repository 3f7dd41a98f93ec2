#include "llm/routing/single_flight.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <vector>

#include "async/event.h"
#include "async/task_scope.h"

namespace tessera::llm {
namespace {

// Answers when told to; its calls stand in a row.
class HeldModel final : public core::ChatModel {
 public:
  struct Call {
    async::Event answer;
    std::optional<base::Error> error;
  };
  [[nodiscard]] bool relays() const override { return true; }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink*, core::RelayReport& report) override {
    Call& call = calls.emplace_back();
    if (co_await call.answer.wait({.deadline = {}, .token = context.cancel}) != async::Wake::ready) {
      co_return base::fail(base::Code::cancelled, "CANCELLED", "stopped");
    }
    if (call.error) co_return std::unexpected(*call.error);
    report.provider = "held";
    co_return "answer to " + request.body;
  }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest&,
                                                          core::ChatSink*) override {
    co_return core::ChatCompletion{};
  }
  std::deque<Call> calls;
};

class Flights : public ::testing::Test {
 protected:
  struct Caller {
    core::RequestContext context;
    core::RelayRequest request;
    core::RelayReport report;
    async::CancelSource leave;
    std::optional<base::Result<std::string>> result;
  };
  Caller& call(std::string app, std::string name, std::string body) {
    Caller& caller = callers.emplace_back();
    caller.context.tenant.app_id = std::move(app);
    caller.context.cancel = caller.leave.token();
    caller.context.only_models = limit;
    caller.request.model = std::move(name);
    caller.request.body = std::move(body);
    scope.spawn([this, &caller]() -> async::Task<> {
      caller.result = co_await flights.relay(caller.context, caller.request, nullptr, caller.report);
    });
    settle();
    return caller;
  }
  void settle() {
    loop.restart();
    loop.poll();
  }
  void TearDown() override {
    for (Caller& caller : callers) caller.leave.cancel();
    settle();
    scope.close();
  }

  std::shared_ptr<const std::vector<std::string>> limit;  // of the callers to come
  boost::asio::io_context loop;
  observe::Counter shared;
  std::shared_ptr<HeldModel> model = std::make_shared<HeldModel>();
  std::vector<std::string> told;  // bodies of whom an answer was shared with
  bool refuse = false;
  SingleFlight flights{model, &shared,
                       [this](const core::RequestContext& context, const core::RelayReport& report) -> base::Result<> {
                         told.push_back(context.workflow + " by " + report.provider);
                         if (refuse) return base::fail(base::Code::unavailable, "LEDGER_BEHIND", "wait");
                         return {};
                       }};
  std::deque<Caller> callers;
  async::TaskScope scope{loop.get_executor()};
};

TEST_F(Flights, WhoMayUseFewerModelsHasACallOfItsOwn) {
  limit = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"m"});
  call("a", "m", "{}");
  limit = nullptr;
  call("a", "m", "{}");
  EXPECT_EQ(model->calls.size(), 2u);
  limit = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"m", "other"});
  call("a", "m", "{}");
  EXPECT_EQ(model->calls.size(), 3u);
  call("a", "m", "{}");
  EXPECT_EQ(model->calls.size(), 3u) << "the same rule";
}

TEST_F(Flights, IdenticalRequestsShareOneCall) {
  for (int i = 0; i < 64; ++i) call("a", "m", "{}");
  ASSERT_EQ(model->calls.size(), 1u);
  model->calls[0].answer.set();
  settle();
  for (const Caller& caller : callers) {
    EXPECT_EQ(**caller.result, "answer to {}");
    EXPECT_EQ(caller.report.provider, "held");
  }
  EXPECT_EQ(shared.value(), 63u);
  // Nothing is kept: the next one asks anew.
  call("a", "m", "{}");
  EXPECT_EQ(model->calls.size(), 2u);
}

TEST_F(Flights, WhoSharesAnAnswerIsToldOf) {
  for (const char* const name : {"first", "second", "third"}) {
    Caller& caller = callers.emplace_back();
    caller.context.tenant.app_id = "a";
    caller.context.workflow = name;
    caller.request = {.model = "m", .body = "{}"};
    scope.spawn([this, &caller]() -> async::Task<> {
      caller.result = co_await flights.relay(caller.context, caller.request, nullptr, caller.report);
    });
    settle();
  }
  model->calls[0].answer.set();
  settle();
  EXPECT_EQ(told, (std::vector<std::string>{"second by held", "third by held"}));
  refuse = true;
  call("a", "m", "{}");
  Caller& late = call("a", "m", "{}");
  model->calls[1].answer.set();
  settle();
  EXPECT_EQ(late.result->error().name, "LEDGER_BEHIND");
}

TEST_F(Flights, AnyDifferenceKeepsThemApart) {
  call("a", "m", "{}");
  call("b", "m", "{}");
  call("a", "n", "{}");
  call("a", "m", "{ }");
  call("a1", ":m", "{}");
  EXPECT_EQ(model->calls.size(), 5u);
}

TEST_F(Flights, ErrorsAreSharedToo) {
  call("a", "m", "{}");
  call("a", "m", "{}");
  model->calls[0].error = base::make_error(base::Code::upstream, "PROVIDER_FAILED", "failed");
  model->calls[0].answer.set();
  settle();
  for (const Caller& caller : callers) EXPECT_EQ(caller.result->error().name, "PROVIDER_FAILED");
  EXPECT_TRUE(told.empty()) << "there is no answer";
}

TEST_F(Flights, AnotherTakesOverWhenTheFirstLeaves) {
  Caller& first = call("a", "m", "{}");
  Caller& second = call("a", "m", "{}");
  Caller& third = call("a", "m", "{}");
  first.leave.cancel();
  settle();
  EXPECT_EQ(first.result->error().code, base::Code::cancelled);
  EXPECT_FALSE(second.result);
  ASSERT_EQ(model->calls.size(), 2u);
  third.leave.cancel();
  settle();
  EXPECT_EQ(third.result->error().code, base::Code::cancelled);
  model->calls[1].answer.set();
  settle();
  EXPECT_EQ(**second.result, "answer to {}");
}

}  // namespace
}  // namespace tessera::llm
