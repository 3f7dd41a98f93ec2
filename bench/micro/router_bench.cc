#include <benchmark/benchmark.h>

#include "async/run_blocking.h"
#include "base/clock.h"
#include "base/random.h"
#include "llm/routing/renamed_model.h"
#include "llm/routing/router.h"

namespace tessera::llm {
namespace {

// Answers at once, so that what is left is the way there.
class InstantModel final : public core::ChatModel {
 public:
  [[nodiscard]] bool relays() const override { return true; }
  core::Task<base::Result<std::string>> relay(const core::RequestContext&, const core::RelayRequest&,
                                              core::RelaySink* sink, core::RelayReport&) override {
    if (sink != nullptr) TESSERA_CO_CHECK(co_await sink->on_events("data: {}\n\n"));
    co_return std::string();
  }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext&, const core::ChatRequest&,
                                                          core::ChatSink*) override {
    co_return core::ChatCompletion{};
  }
};

class DeafReader final : public core::RelaySink {
 public:
  core::Task<base::Result<>> on_events(std::string_view) override { co_return base::Result<>{}; }
};

void run(benchmark::State& state, core::ChatModel& model, core::RelaySink* sink) {
  core::RequestContext context;
  core::RelayRequest request;
  request.model = "m";
  request.body = std::string(200, 'x');
  const auto all = [&]() -> core::Task<void> {
    for ([[maybe_unused]] const auto step : state) {
      core::RelayReport report;
      auto result = co_await model.relay(context, request, sink, report);
      benchmark::DoNotOptimize(result);
    }
  };
  async::sync_wait(all());
}

std::unique_ptr<Router> router_over(size_t candidates, const base::Clock& clock, base::Random& random) {
  std::vector<Candidate> list;
  for (size_t i = 0; i < candidates; ++i) {
    Candidate candidate;
    candidate.model = std::make_shared<RenamedModel>(std::make_shared<InstantModel>(), "p", "m");
    EndpointOptions options;
    options.name = "p";
    candidate.endpoint = std::make_shared<Endpoint>(options, clock);
    list.push_back(std::move(candidate));
  }
  return std::make_unique<Router>(std::move(list), RouterOptions{}, clock, random);
}

void call_without_router(benchmark::State& state) {
  InstantModel model;
  run(state, model, nullptr);
}
void call_through_router(benchmark::State& state) {
  const base::SystemClock clock;
  base::SystemRandom random;
  const auto router = router_over(static_cast<size_t>(state.range(0)), clock, random);
  run(state, *router, nullptr);
}
void stream_without_router(benchmark::State& state) {
  InstantModel model;
  DeafReader reader;
  run(state, model, &reader);
}
void stream_through_router(benchmark::State& state) {
  const base::SystemClock clock;
  base::SystemRandom random;
  const auto router = router_over(1, clock, random);
  DeafReader reader;
  run(state, *router, &reader);
}
BENCHMARK(call_without_router);
BENCHMARK(call_through_router)->Arg(1)->Arg(2)->Arg(8);
BENCHMARK(stream_without_router);
BENCHMARK(stream_through_router);

}  // namespace
}  // namespace tessera::llm
