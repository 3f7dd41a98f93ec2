// What the relay costs by itself: taking a request's body over, reading an answer, watching a stream go by; and a whole
// call against a server in the same process over loopback (its time holds the client's, the server's and the kernel's).
#include <benchmark/benchmark.h>

#include "async/run_blocking.h"
#include "base/clock.h"
#include "base/random.h"
#include "llm/providers/openai_model.h"
#include "llm/providers/relay_answer.h"
#include "llm/providers/relay_request.h"
#include "text/json_skim.h"
#include "wire/http_server.h"

namespace tessera::llm {
namespace {

std::string request_of(size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += text.size() % 80 < 8 ? "line\\n" : "words ";
  return R"({"model":"gpt-x","messages":[{"role":"user","content":")" + text +
         R"("}],"temperature":0.5,"max_tokens":64})";
}

const std::string kAnswer =
    R"({"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":)"
    R"({"role":"assistant","content":"Hello there, this is an answer of some words.","refusal":null},"logprobs":null,)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":50,"completion_tokens":10,"total_tokens":60,)"
    R"("prompt_tokens_details":{"cached_tokens":0}}})";
const std::string kEvent =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x","service_tier":"default",)"
    R"("system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null})"
    "\n\n";

void request_body(benchmark::State& state) {
  const std::string body = request_of(static_cast<size_t>(state.range(0)));
  for (auto step : state) {
    benchmark::DoNotOptimize(relay_request_body(body, {"gpt-y", state.range(1) != 0, openai_kind()}));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(body.size()));
}
BENCHMARK(request_body)->ArgsProduct({{200, 10'000, 400'000}, {0, 1}})->ArgNames({"bytes", "stream"});

void answer(benchmark::State& state) {
  for (auto step : state) {
    core::RelayReport report;
    benchmark::DoNotOptimize(read_relayed_answer({"p", "", true}, kAnswer, report));
  }
}
BENCHMARK(answer);

void stream_event(benchmark::State& state) {
  core::RelayReport report;
  RelayStream stream({"p", "key", false}, report);
  for (auto step : state) benchmark::DoNotOptimize(stream.feed(kEvent));
}
BENCHMARK(stream_event);

void call(benchmark::State& state) {
  const bool streams = state.range(0) != 0;
  const base::SystemClock clock;
  base::SeededRandom random(1);
  async::Shards shards(1);
  auto serve = [streams](wire::Request&, wire::ResponseWriter& writer) -> async::Task<void> {
    if (!streams) {
      wire::Response response;
      response.content_type = "application/json";
      response.body = kAnswer;
      (void)co_await writer.send(std::move(response));
      co_return;
    }
    wire::StreamHead head;
    head.content_type = "text/event-stream";
    (void)co_await writer.begin_stream(std::move(head));
    (void)co_await writer.write(kEvent + "data: [DONE]\n\n");
    (void)co_await writer.finish();
  };
  auto render = [](int, std::string_view, std::string_view) { return wire::Response(); };
  auto server = wire::HttpServer::create({}, shards, clock, serve, render);
  if (!server) return state.SkipWithError("no server");
  ProviderOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string((*server)->port());
  OpenAiModel model(std::make_shared<ProviderClient>(options, std::make_shared<wire::HttpClient>(), clock, random));
  class Sink final : public core::RelaySink {
   public:
    core::Task<base::Result<>> on_events(std::string_view) override { co_return base::Result<>{}; }
  };
  const core::RequestContext context;
  const core::RelayRequest request{.model = "gpt-x", .body = request_of(200), .stream = streams};
  boost::asio::io_context loop(1);
  size_t failed = 0;
  const auto work = [&]() -> async::Task<void> {
    Sink sink;
    for (auto step : state) {
      core::RelayReport report;
      failed += (co_await model.relay(context, request, streams ? &sink : nullptr, report)) ? 0 : 1;
    }
  };
  boost::asio::co_spawn(loop, work(), [](const std::exception_ptr&) {});
  loop.run();
  if (failed > 0) state.SkipWithError("calls failed");
  (*server)->stop(base::Millis(0));
}
BENCHMARK(call)->Arg(0)->Arg(1)->ArgName("stream")->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace tessera::llm
