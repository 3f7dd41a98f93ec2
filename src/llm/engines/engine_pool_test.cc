#include "llm/engines/engine_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <future>

#include "async/cancel.h"
#include "async/task_scope.h"
#include "llm/engines/engine_embedder.h"
#include "llm/engines/engine_model.h"
#include "llm/engines/services_test.h"

namespace tessera::llm {
namespace {

using testing::eventually;
using ::testing::HasSubstr;
using testing::PoolWorld;
using testing::real_pool;
using testing::Services;

constexpr std::string_view kText =
    "Hello from the model of the tests. It has learned nothing, and says so in one fixed order!";

core::RelayRequest asking(std::string_view text, std::string_view more = "") {
  core::RelayRequest request;
  request.model = "tiny";
  request.body = fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]{}}})", text, more);
  return request;
}

/// A program that is no engine: a shell script in a file.
std::string script(const std::string& text) {
  static std::atomic<int> count = 0;
  const std::string path = Services::scratch(fmt::format("script-{}.sh", count.fetch_add(1)));
  std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

EnginePoolOptions broken_pool(const std::string& program) {
  EnginePoolOptions options;
  options.spec.name = "broken";
  options.spec.program = program;
  options.backoff_min = base::Millis(20);
  options.load_timeout = base::Millis(10'000);
  return options;
}

base::Result<> try_acquire(EnginePool& pool, const core::RequestContext& context = {}) {
  auto lease = async::sync_wait(pool.acquire(context, {}));
  if (!lease) return std::unexpected(lease.error());
  return {};
}

TEST(EnginePool, SaysWhatIsWrongWithAProgramThatDoesNotStart) {
  PoolWorld world;
  EnginePool pool(broken_pool("/nowhere/llama-server"), world.means());
  const auto lease = try_acquire(pool);
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().name, "ENGINE_MISSING");
  EXPECT_EQ(lease.error().code, base::Code::unavailable);
  EXPECT_TRUE(lease.error().retry_after);
}

TEST(EnginePool, KeepsTheLastWordsOfAModelThatDoesNotLoad) {
  PoolWorld world;
  EnginePool pool(broken_pool(script("echo 'unknown tensor type' >&2; exit 3")), world.means());
  const auto lease = try_acquire(pool);
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().name, "ENGINE_FAILED");
  EXPECT_THAT(lease.error().detail, HasSubstr("ended with status 3: unknown tensor type"));
  EXPECT_THAT(lease.error().message, ::testing::Not(HasSubstr("tensor")));
  EXPECT_THAT(pool.stats().last_failure, HasSubstr("status 3"));
}

TEST(EnginePool, TriesAgainWhenAskedAgainAndGivesTheNextFailure) {
  PoolWorld world;
  EnginePool pool(broken_pool(script("exit 1")), world.means());
  EXPECT_FALSE(try_acquire(pool));
  EXPECT_TRUE(eventually([&] {
    EXPECT_FALSE(try_acquire(pool));
    return pool.stats().restarts >= 3;
  }));
}

TEST(EnginePool, WhoWaitsLeavesAtItsDeadlineOrWhenCancelled) {
  PoolWorld world;
  EnginePool pool(broken_pool(script("exec sleep 100")), world.means());
  core::RequestContext late;
  late.deadline = world.clock.now() + base::Millis(50);
  EXPECT_EQ(try_acquire(pool, late).error().code, base::Code::deadline);
  async::CancelSource source;
  core::RequestContext cancelled;
  cancelled.cancel = source.token();
  auto leaving = std::async(std::launch::async, [&] { return try_acquire(pool, cancelled); });
  EXPECT_TRUE(eventually([&] { return pool.stats().queue == 1; }));
  source.cancel();
  EXPECT_EQ(leaving.get().error().code, base::Code::cancelled);
  EXPECT_EQ(pool.stats().queue, 0u);
}

TEST(EnginePool, StoppingFailsWhoWaitsAndEndsTheProcess) {
  PoolWorld world;
  EnginePool pool(broken_pool(script("exec sleep 100")), world.means());
  auto waiting = std::async(std::launch::async, [&] { return try_acquire(pool); });
  EXPECT_TRUE(eventually([&] { return pool.stats().queue == 1 && pool.process_of(0) != 0; }));
  const int process = pool.process_of(0);
  pool.stop();
  EXPECT_EQ(waiting.get().error().name, "SHUTTING_DOWN");
  EXPECT_TRUE(eventually([&] { return ::kill(process, 0) != 0; }));
  EXPECT_EQ(try_acquire(pool).error().name, "SHUTTING_DOWN");
}

TEST(EnginePool, RefusesBeyondTheQueue) {
  PoolWorld world;
  auto options = broken_pool(script("exec sleep 100"));
  options.waiting_max = 1;
  EnginePool pool(std::move(options), world.means());
  auto waiting = std::async(std::launch::async, [&] { return try_acquire(pool); });
  EXPECT_TRUE(eventually([&] { return pool.stats().queue == 1; }));
  EXPECT_EQ(try_acquire(pool).error().name, "ENGINE_QUEUE_FULL");
  pool.stop();
  EXPECT_FALSE(waiting.get());
}

TEST(EnginePool, AModelThatCanNeverFitIsRefused) {
  PoolWorld world(10'000'000);
  auto options = broken_pool(script("exec sleep 100"));
  options.memory_bytes = 11'000'000;
  EnginePool pool(std::move(options), world.means());
  EXPECT_EQ(try_acquire(pool).error().name, "ENGINE_MEMORY");
  EXPECT_EQ(world.memory.reserved(), 0u);
}

/// Collects what is relayed.
class Collector final : public core::RelaySink {
 public:
  core::Task<base::Result<>> on_events(std::string_view events) override {
    text += events;
    co_return base::Result<>{};
  }
  std::string text;
};

class RealEngines : public ::testing::Test {
 protected:
  void SetUp() override { TESSERA_NEEDS_SERVICES(); }

  base::Result<std::string> ask(EnginePool& pool, const core::RelayRequest& request) {
    EngineModel model(pool);
    core::RequestContext context;
    core::RelayReport report;
    return async::sync_wait(model.relay(context, request, nullptr, report));
  }
};

TEST_F(RealEngines, StartsOnDemandAnswersAndStreams) {
  PoolWorld world;
  EnginePool pool(real_pool(EngineKind::chat, Services::model("chat")), world.means());
  EXPECT_EQ(pool.stats().ready, 0u);
  const auto answer = ask(pool, asking("hi"));
  ASSERT_TRUE(answer) << answer.error().message << answer.error().detail;
  EXPECT_THAT(*answer, HasSubstr(kText));
  EXPECT_EQ(pool.stats().ready, 1u);

  EngineModel model(pool);
  core::RequestContext context;
  core::RelayReport report;
  Collector sink;
  core::RelayRequest request = asking("hi");
  request.stream = request.include_usage = true;
  for (int i = 0; i < 3; ++i) {  // the program closes the connection after each stream
    sink.text.clear();
    const auto streamed = async::sync_wait(model.relay(context, request, &sink, report));
    ASSERT_TRUE(streamed) << streamed.error().message << streamed.error().detail;
    EXPECT_THAT(sink.text, HasSubstr("data: [DONE]\n\n"));
    EXPECT_TRUE(report.usage_reported);
    EXPECT_GT(report.usage.completion_tokens, 10);
  }
  EXPECT_EQ(report.provider, "llama_cpp");
  EXPECT_EQ(report.model, "tiny");

  core::ChatRequest parsed;
  parsed.model = "tiny";
  parsed.messages = {{.role = core::Role::user, .content = "hi", .extra_json = {}}};
  const auto generated = async::sync_wait(model.generate(context, parsed, nullptr));
  ASSERT_TRUE(generated) << generated.error().message;
  EXPECT_EQ(generated->content, kText);
}

TEST_F(RealEngines, CallsToolsAndRefusesWhatIsTooLong) {
  PoolWorld world;
  const std::string call =
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"paris\"}}\n</tool_call>";
  EnginePool pool(real_pool(EngineKind::chat, Services::model("chat", {"--say", call})), world.means());
  const auto answer =
      ask(pool, asking("weather?",
                       R"(,"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",)"
                       R"("properties":{"city":{"type":"string"}}}}}])"));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(*answer, HasSubstr("get_weather"));
  EXPECT_THAT(*answer, HasSubstr("\"finish_reason\":\"tool_calls\""));
  const auto long_one = ask(pool, asking(std::string(40'000, 'x')));
  ASSERT_FALSE(long_one);
  EXPECT_EQ(long_one.error().name, "CONTEXT_TOO_LONG");
  EXPECT_EQ(long_one.error().code, base::Code::invalid);
}

TEST_F(RealEngines, ConversationsReturnToTheirSlot) {
  PoolWorld world;
  EnginePool pool(real_pool(EngineKind::chat, Services::model("chat")), world.means());
  const std::string red = std::string(600, 'r') + " red", blue = std::string(600, 'b') + " blue";
  const auto cached = [&](const std::string& text) {
    const auto answer = ask(pool, asking(text));
    EXPECT_TRUE(answer);
    const size_t at = answer->find("\"cached_tokens\":");
    return at == std::string::npos ? -1 : std::atoi(answer->c_str() + at + 16);
  };
  EXPECT_LT(cached(red), 50);
  EXPECT_LT(cached(blue), 50);
  for (int turn = 0; turn < 4; ++turn) {  // taken in turns, each finds its own beginning
    EXPECT_GT(cached(red + std::string(turn, '.')), 500) << turn;
    EXPECT_GT(cached(blue + std::string(turn, '.')), 500) << turn;
  }
  EXPECT_EQ(pool.stats().continued, 8u);
}

TEST_F(RealEngines, AnswersAllWhenAnEngineIsKilledUnderLoad) {
  PoolWorld world;
  auto options = real_pool(EngineKind::chat, Services::model("chat"));
  options.instances = 2;
  options.pinned = true;
  EnginePool pool(std::move(options), world.means());
  ASSERT_TRUE(eventually([&] { return pool.stats().ready == 2; }));
  constexpr int kCallers = 50;
  constexpr int kCalls = 6;
  std::atomic<int> answered = 0;
  std::atomic<int> finished = 0;
  std::vector<std::string> failures(kCallers);
  async::TaskScope scope(world.shards.executor(1));
  EngineModel model(pool);
  for (int caller = 0; caller < kCallers; ++caller) {
    scope.spawn([&, caller]() -> core::Task<> {
      for (int call = 0; call < kCalls; ++call) {
        core::RequestContext context;
        core::RelayReport report;
        const core::RelayRequest request = asking(fmt::format("caller {} call {}", caller, call));
        const auto answer = co_await model.relay(context, request, nullptr, report);
        if (!answer) failures[caller] = answer.error().name + ": " + answer.error().detail;
        if (answer && answer->find(kText) != std::string::npos) ++answered;
      }
      ++finished;
    });
  }
  for (int kill = 0; kill < 3; ++kill) {
    EXPECT_TRUE(eventually([&] { return answered > (kill + 1) * 40 && pool.process_of(kill % 2) != 0; }));
    ::kill(pool.process_of(kill % 2), SIGKILL);
  }
  EXPECT_TRUE(scope.join_blocking(base::Millis(60'000)));
  EXPECT_EQ(answered, kCallers * kCalls) << ::testing::PrintToString(failures);
  EXPECT_TRUE(eventually([&] { return pool.stats().ready == 2; }));
  EXPECT_GE(pool.stats().restarts, 1u);
  EXPECT_EQ(pool.stats().slots_busy, 0u);
  EXPECT_EQ(pool.stats().queue, 0u);
}

TEST_F(RealEngines, UnloadsWhenIdleAndLoadsAgain) {
  PoolWorld world;
  auto options = real_pool(EngineKind::chat, Services::model("chat"));
  options.idle_timeout = base::Millis(50);
  options.health_interval = base::Millis(50);
  EnginePool pool(std::move(options), world.means());
  ASSERT_TRUE(ask(pool, asking("hi")));
  EXPECT_TRUE(eventually([&] { return pool.stats().ready == 0 && pool.process_of(0) == 0; }));
  EXPECT_TRUE(eventually([&] { return world.memory.reserved() == 0; }));
  EXPECT_TRUE(ask(pool, asking("hi")));
  EXPECT_EQ(pool.stats().restarts, 0u);
}

TEST_F(RealEngines, OneModelMakesRoomForAnother) {
  PoolWorld world(1'500'000);
  const std::string file = Services::model("chat");
  EnginePool first(real_pool(EngineKind::chat, file), world.means());
  EnginePool second(real_pool(EngineKind::chat, file), world.means());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(ask(first, asking("hi")));
    EXPECT_EQ(second.stats().ready, 0u);
    ASSERT_TRUE(ask(second, asking("hi")));
    EXPECT_EQ(first.stats().ready, 0u);
    EXPECT_EQ(world.memory.reserved(), 1'000'000u);
  }
}

TEST_F(RealEngines, AHangingEngineIsReplaced) {
  PoolWorld world;
  auto options = real_pool(EngineKind::chat, Services::model("chat"));
  options.pinned = true;
  options.health_interval = options.health_timeout = base::Millis(100);
  EnginePool pool(std::move(options), world.means());
  ASSERT_TRUE(eventually([&] { return pool.stats().ready == 1; }));
  const int before = pool.process_of(0);
  ::kill(before, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return pool.stats().ready == 1 && pool.process_of(0) != before; }));
  EXPECT_TRUE(ask(pool, asking("hi")));
}

TEST_F(RealEngines, Embeds) {
  PoolWorld world;
  EnginePool pool(real_pool(EngineKind::embedding, Services::model("embed")), world.means());
  EngineEmbedder embedder(pool, "llama_cpp/tiny", 0, 16);
  const std::string_view texts[] = {"the cat and the dog", "a cat with a dog", "ocean storm", ""};
  core::RequestContext context;
  const auto vectors = async::sync_wait(embedder.embed(context, texts));
  ASSERT_TRUE(vectors) << vectors.error().message << vectors.error().detail;
  ASSERT_EQ(vectors->dimensions, 64u);
  const auto dot = [&](size_t left, size_t right) {
    float sum = 0;
    for (size_t i = 0; i < 64; ++i) sum += vectors->values[left * 64 + i] * vectors->values[right * 64 + i];
    return sum;
  };
  EXPECT_GT(dot(0, 1), 0.8F);
  EXPECT_LT(dot(0, 2), 0.4F);
  EXPECT_EQ(embedder.dimensions(), 64u);
}

}  // namespace
}  // namespace tessera::llm
