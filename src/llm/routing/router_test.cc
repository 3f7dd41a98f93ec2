#include "llm/routing/router.h"

#include <gtest/gtest.h>

#include <map>

#include "async/run_blocking.h"
#include "async/shards.h"
#include "llm/routing/routing_fakes_test.h"

namespace tessera::llm {
namespace {

using base::Code;
using base::Millis;
using testing::down;
using testing::failing;
using testing::FakeModel;
using testing::limited;
using testing::Reader;
using testing::Step;

// A few candidates on endpoints of their own, under a manual clock that sleeping advances.
class Routing : public ::testing::Test {
 protected:
  struct Way {
    int64_t group = 0;
    int64_t weight = 1;
    bool only_on_rate_limit = false;
    std::vector<std::string> names = {};
    int64_t attempts_max = 0;
  };

  Router& build(const std::vector<Way>& ways) {
    candidates.clear();
    models.clear();
    for (size_t i = 0; i < ways.size(); ++i) {
      const std::string name(1, static_cast<char>('a' + i));
      models.push_back(std::make_shared<FakeModel>(name, clock));
      EndpointOptions endpoint;
      endpoint.name = name;
      endpoint.breaker = breaker;
      endpoint.lanes = lanes;
      endpoint.counters = {.retries = &retries, .fallbacks = &fallbacks, .hedges = &hedges, .breaker = nullptr};
      Candidate candidate;
      candidate.model = models.back();
      candidate.endpoint = std::make_shared<Endpoint>(endpoint, clock);
      candidate.group = ways[i].group;
      candidate.weight = ways[i].weight;
      candidate.only_on_rate_limit = ways[i].only_on_rate_limit;
      candidate.names = ways[i].names;
      candidate.attempts_max = ways[i].attempts_max;
      candidate.profile = profile;
      candidates.push_back(candidate);
    }
    options.sleep = [this](Millis pause, async::CancelToken) -> core::Task<base::Result<>> {
      slept.push_back(pause);
      clock.advance(pause);
      co_return base::Result<>{};
    };
    router = std::make_unique<Router>(candidates, options, clock, random);
    return *router;
  }
  base::Result<std::string> relay(core::RelaySink* sink = nullptr) {
    report = {};
    return async::sync_wait(router->relay(context, request, sink, report));
  }
  base::Result<core::ChatCompletion> generate(core::ChatSink* sink = nullptr) {
    return async::sync_wait(router->generate(context, chat, sink));
  }
  FakeModel& model(size_t i) { return *models[i]; }

  base::ManualClock clock;
  base::SeededRandom random{7};
  observe::Counter retries;
  observe::Counter fallbacks;
  observe::Counter hedges;
  BreakerOptions breaker;
  LaneOptions lanes;
  RouterOptions options;
  const core::ModelProfile* profile = nullptr;
  std::vector<std::shared_ptr<FakeModel>> models;
  std::vector<Candidate> candidates;
  std::unique_ptr<Router> router;
  std::vector<Millis> slept;
  core::RequestContext context;
  core::RelayRequest request;
  core::RelayReport report;
  core::ChatRequest chat;
};

TEST_F(Routing, PassesOnWhatTheOnlyCandidateSays) {
  build({{}});
  EXPECT_EQ(*relay(), "a:answer");
  EXPECT_EQ(report.provider, "a");
  EXPECT_EQ(report.usage.prompt_tokens, 7);
  model(0).play({{.pieces = {"one ", "two"}}});
  Reader reader;
  EXPECT_EQ(*relay(&reader), "");
  EXPECT_EQ(reader.text, "one two");
  EXPECT_EQ(generate()->content, "a:answer");
  EXPECT_TRUE(slept.empty());
}

/// Notes who the report says answers when the first piece comes.
class Witness final : public core::RelaySink {
 public:
  explicit Witness(const core::RelayReport& report) : report_(report) {}
  core::Task<base::Result<>> on_events(std::string_view) override {
    if (seen.empty()) seen = report_.endpoint;
    co_return base::Result<>{};
  }
  std::string seen;

 private:
  const core::RelayReport& report_;
};

TEST_F(Routing, WhoAnswersIsKnownBeforeTheFirstPiece) {
  build({{}, {.group = 1}});
  model(0).otherwise(down());
  model(1).otherwise({.pieces = {"one ", "two"}});
  Witness witness(report);
  EXPECT_TRUE(relay(&witness));
  EXPECT_EQ(witness.seen, "b");
  EXPECT_EQ(report.endpoint, "b");
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(report.endpoint, "b");
}

TEST_F(Routing, ARequestThatNamesAnEndpointGoesNowhereElse) {
  build({{}, {}, {.group = 1}});
  request.endpoint = "b";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(*relay(), "b:answer");
  model(1).otherwise(down());
  EXPECT_EQ(relay().error().name, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(model(0).calls() + model(2).calls(), 0);
  request.endpoint = "z";
  EXPECT_EQ(relay().error().name, "KEPT_ELSEWHERE");
}

TEST_F(Routing, WhatADialectDoesNotHaveAnotherMay) {
  build({{}, {.group = 1}});
  model(0).otherwise(failing("PARAMETER_UNSUPPORTED", Code::invalid));
  EXPECT_EQ(*relay(), "b:answer");
  model(1).otherwise(failing("PROVIDER_REFUSED", Code::invalid));
  EXPECT_EQ(model(0).calls(), 1);
}

TEST_F(Routing, CandidatesThatTheCallerMayNotUseAreNotThere) {
  build({{.names = {"a"}}, {.names = {"b", "p/b"}}, {.group = 1}});
  const auto limit = [&](std::vector<std::string> names) {
    context.only_models = std::make_shared<const std::vector<std::string>>(std::move(names));
  };
  limit({"x", "p/b"});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(generate()->content, "b:answer");
  model(1).otherwise(down());
  EXPECT_EQ(*relay(), "c:answer") << "whoever may use the router may use this one";
  options.hedge = true;
  options.hedge_after = Millis(1);
  build({{.names = {"a"}}, {.names = {"b"}}});
  limit({"b"});
  EXPECT_EQ(*relay(), "b:answer");
  model(1).otherwise(down());
  EXPECT_EQ(relay().error().name, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(model(0).calls(), 0);
  limit({"x"});
  EXPECT_EQ(relay().error().name, "MODEL_NOT_ALLOWED");
  EXPECT_EQ(generate().error().code, Code::forbidden);
  context.only_models = nullptr;
  EXPECT_EQ(*relay(), "a:answer");
}

TEST_F(Routing, TriesAgainWithGrowingPauses) {
  build({{}});
  model(0).play({down(), limited()});
  EXPECT_EQ(*relay(), "a:answer");
  ASSERT_EQ(slept.size(), 2u);
  EXPECT_GE(slept[0], Millis(1000));
  EXPECT_LE(slept[0], Millis(2000));
  EXPECT_GE(slept[1], Millis(2000));
  EXPECT_LE(slept[1], Millis(4000));
  EXPECT_EQ(retries.value(), 2u);
  EXPECT_EQ(fallbacks.value(), 0u);
}

TEST_F(Routing, GivesUpAfterThreeTries) {
  build({{}});
  model(0).otherwise(down());
  EXPECT_EQ(relay().error().name, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(model(0).calls(), 3);
}

TEST_F(Routing, HonoursRetryAfterWithinReason) {
  build({{}});
  model(0).play({limited(Millis(9000))});
  EXPECT_EQ(*relay(), "a:answer");
  EXPECT_EQ(slept.back(), Millis(9000));
  model(0).play({limited(Millis(60'000))});
  const auto refused = relay();
  EXPECT_EQ(refused.error().name, "PROVIDER_RATE_LIMIT");
  EXPECT_EQ(refused.error().retry_after, Millis(60'000));
  EXPECT_EQ(slept.size(), 1u);
}

TEST_F(Routing, NeverWaitsBeyondTheDeadline) {
  build({{}});
  context.deadline = clock.now() + Millis(900);
  model(0).otherwise(down());
  EXPECT_EQ(relay().error().name, "PROVIDER_UNAVAILABLE");
  EXPECT_TRUE(slept.empty());
  model(0).otherwise({.error = "PROVIDER_UNAVAILABLE", .code = Code::unavailable, .takes = Millis(1000)});
  EXPECT_EQ(relay().error().name, "DEADLINE_EXCEEDED");
}

TEST_F(Routing, DoesNotRepeatWhatIsTheRequestsOwnFault) {
  build({{}, {.group = 1}});
  for (const Step& step : {failing("PROVIDER_REFUSED", Code::invalid), failing("BUDGET_SPENT", Code::budget),
                           failing("REQUEST_CANCELLED", Code::cancelled)}) {
    model(0).play({step});
    EXPECT_EQ(relay().error().name, step.error);
  }
  EXPECT_EQ(model(0).calls(), 3);
  EXPECT_EQ(model(1).calls(), 0);
}

TEST_F(Routing, FallsBackAtOnceInOrder) {
  build({{}, {.group = 1}, {.group = 2}});
  for (const Step& step :
       {down(), limited(), failing("PROVIDER_FAILED", Code::upstream), failing("PROVIDER_TIMEOUT", Code::deadline),
        failing("CONTENT_FILTERED", Code::invalid), failing("CONTEXT_TOO_LONG", Code::invalid),
        failing("PROVIDER_AUTH", Code::upstream), failing("PROVIDER_QUOTA", Code::exhausted)}) {
    build({{}, {.group = 1}, {.group = 2}});
    model(0).play({step});
    model(1).play({step});
    EXPECT_EQ(*relay(), "c:answer") << step.error;
    EXPECT_EQ(model(0).calls(), 1) << step.error;
  }
  EXPECT_TRUE(slept.empty());
  EXPECT_EQ(fallbacks.value(), 16u);
  EXPECT_EQ(retries.value(), 0u);
}

TEST_F(Routing, StartsFromTheTopAfterAllHaveFailed) {
  build({{}, {.group = 1}});
  model(0).play({down()});
  model(1).play({failing("PROVIDER_AUTH", Code::upstream)});
  EXPECT_EQ(*relay(), "a:answer");  // not b, whose key is wrong
  EXPECT_EQ(slept.size(), 1u);
  EXPECT_EQ(model(1).calls(), 1);
}

TEST_F(Routing, SaysWhatTheProviderSaidRatherThanWhatIsWrongWithOurSettings) {
  build({{}, {.group = 1}});
  model(0).otherwise(limited(Millis(60'000)));
  model(1).otherwise(failing("PROVIDER_AUTH", Code::upstream));
  EXPECT_EQ(relay().error().name, "PROVIDER_RATE_LIMIT");
}

TEST_F(Routing, CheaperModelTakesOverOnRateLimitsOnly) {
  build({{}, {.group = 1, .only_on_rate_limit = true}});
  model(0).play({limited()});
  EXPECT_EQ(*relay(), "b:answer");
  clock.advance(Millis(5000));
  model(0).play({down(), down(), down()});
  EXPECT_EQ(relay().error().name, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(model(1).calls(), 1);
}

TEST_F(Routing, LeavesAloneWhoAskedForIt) {
  build({{}, {.group = 1}});
  model(0).play({limited(Millis(5000))});
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(model(0).calls(), 1);
  clock.advance(Millis(5000));
  EXPECT_EQ(*relay(), "a:answer");
}

TEST_F(Routing, SharesCallsByWeight) {
  build({{.weight = 3}, {.weight = 1}, {.weight = 0}});
  std::map<std::string, int> answers;
  for (int i = 0; i < 400; ++i) ++answers[*relay()];
  EXPECT_EQ(answers["a:answer"], 300);
  EXPECT_EQ(answers["b:answer"], 100);
  model(0).otherwise(limited());
  model(1).otherwise(limited());
  EXPECT_EQ(*relay(), "c:answer");
}

TEST_F(Routing, OneEndpointOfAModelStandsInForTheOther) {
  build({{}, {}});
  model(0).otherwise(down());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(model(0).calls(), 5);  // then its breaker was open
}

TEST_F(Routing, MidStreamFailuresNeitherRepeatNorLoseText) {
  build({{}, {.group = 1}});
  model(0).play({{.pieces = {"half an "}, .error = "STREAM_BROKEN", .code = Code::upstream}});
  Reader reader;
  EXPECT_EQ(relay(&reader).error().name, "STREAM_BROKEN");
  EXPECT_EQ(reader.text, "half an ");
  EXPECT_TRUE(report.started);
  EXPECT_EQ(model(1).calls(), 0);
  model(0).play({{.pieces = {"half an "}, .error = "STREAM_BROKEN", .code = Code::upstream}});
  EXPECT_EQ(generate(&reader).error().name, "STREAM_BROKEN");
  EXPECT_EQ(model(0).calls(), 2);
  // Broken before anything was seen: another answers.
  model(0).play({failing("STREAM_BROKEN", Code::upstream)});
  model(1).play({{.pieces = {"whole"}}});
  reader.text.clear();
  EXPECT_TRUE(relay(&reader));
  EXPECT_EQ(reader.text, "whole");
}

TEST_F(Routing, AReaderWhoLeavesEndsTheCall) {
  build({{}, {.group = 1}});
  model(0).play({{.pieces = {"one", "two"}}});
  Reader reader;
  reader.accepts = 1;
  EXPECT_EQ(relay(&reader).error().name, "READER_LEFT");
  EXPECT_EQ(model(1).calls(), 0);
}

TEST_F(Routing, AnswersThatAFilterEmptiedGoElsewhere) {
  build({{}, {.group = 1}});
  model(0).otherwise({.finish_reason = "content_filter"});
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(generate()->content, "b:answer");
  // Nobody has a better one: the filter's answer stands.
  model(1).otherwise({.finish_reason = "content_filter"});
  EXPECT_TRUE(relay());
  EXPECT_EQ(report.finish_reason, "content_filter");
  model(1).otherwise(down());
  EXPECT_TRUE(relay());
  EXPECT_EQ(report.provider, "a");
}

TEST_F(Routing, OnlyThoseThatRelayAreAskedToRelay) {
  build({{}, {.group = 1}});
  models[0]->relays_ = false;
  router = std::make_unique<Router>(candidates, options, clock, random);
  EXPECT_TRUE(router->relays());
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(generate()->content, "a:answer");
  models[1]->relays_ = false;
  EXPECT_FALSE(Router(candidates, options, clock, random).relays());
}

TEST_F(Routing, ProfileSaysWhatTheRequestDoesNot) {
  core::ModelProfile own;
  own.max_tokens = 1500;
  own.temperature = 0.6;
  profile = &own;
  build({{}});
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().max_tokens, 1500);
  EXPECT_EQ(model(0).last_request().temperature, 0.6);
  chat.max_tokens = 9;
  chat.temperature = 0;
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().max_tokens, 9);
  EXPECT_EQ(model(0).last_request().temperature, 0);
}

TEST_F(Routing, DefaultsCountWhereTheProfileSaysNothing) {
  chat.otherwise = {.temperature = 0.3, .max_tokens = 1024};
  build({{}});
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().max_tokens, 1024);
  EXPECT_EQ(model(0).last_request().temperature, 0.3);

  core::ModelProfile own;
  own.max_tokens = 1500;
  own.top_p = 0.5;
  profile = &own;
  build({{}});
  chat.parameters_json = R"( { "seed" : 1 } )";
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().max_tokens, 1500);
  EXPECT_FALSE(model(0).last_request().temperature) << "top_p narrows it already";
  EXPECT_EQ(model(0).last_request().parameters_json, R"({"top_p":0.5, "seed" : 1 } )");
  chat.parameters_json = R"({})";
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().parameters_json, R"({"top_p":0.5})");
  chat.parameters_json = R"({"top_p":1})";
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().parameters_json, R"({"top_p":1})");

  own.abilities = static_cast<uint32_t>(core::Ability::reasoning);
  own.temperature = 0.7;
  chat.parameters_json.clear();
  EXPECT_TRUE(generate());
  EXPECT_EQ(model(0).last_request().max_tokens, 1500);
  EXPECT_FALSE(model(0).last_request().temperature) << "models that reason refuse it";
  EXPECT_EQ(model(0).last_request().parameters_json, "");
}

TEST_F(Routing, ABlackHoledEndpointIsLeftAloneAndComesBack) {
  build({{}, {.group = 1}});
  // For a minute every call to `a` times out after 10 s.
  model(0).otherwise({.error = "PROVIDER_TIMEOUT", .code = Code::deadline, .takes = Millis(10'000)});
  const base::SteadyTime minute = clock.now() + Millis(60'000);
  int calls = 0;
  while (clock.now() < minute) {
    EXPECT_EQ(*relay(), "b:answer");
    clock.advance(Millis(10));
    ++calls;
  }
  EXPECT_GT(calls, 50);
  EXPECT_LE(model(0).calls(), 7);  // five to open it, then few probes
  EXPECT_NE(candidates[0].endpoint->breaker().state(), Breaker::State::closed);
  model(0).otherwise({});
  clock.advance(Millis(60'000));
  EXPECT_EQ(*relay(), "a:answer");
  EXPECT_EQ(candidates[0].endpoint->breaker().state(), Breaker::State::closed);
}

TEST_F(Routing, SaysWhenToComeBackWhileAllBreakersAreOpen) {
  build({{}});
  options.attempts_max = 1;
  router = std::make_unique<Router>(candidates, options, clock, random);
  model(0).otherwise(down());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(relay().error().name, "PROVIDER_UNAVAILABLE");
  const auto refused = relay();
  EXPECT_EQ(refused.error().name, "PROVIDER_CIRCUIT_OPEN");
  EXPECT_EQ(refused.error().retry_after, Millis(5000));
  EXPECT_EQ(model(0).calls(), 5);
}

TEST_F(Routing, AProvidersOwnLimitOfTriesCounts) {
  options.attempts_max = 3;
  build({{.attempts_max = 1}});
  model(0).otherwise(down());
  EXPECT_FALSE(relay());
  EXPECT_EQ(model(0).calls(), 1);
  build({{.attempts_max = 5}});
  model(0).otherwise(down());
  EXPECT_FALSE(relay());
  EXPECT_EQ(model(0).calls(), 5) << "more than others";
  build({{.attempts_max = 1}, {.group = 1, .attempts_max = 2}});
  model(0).otherwise(down());
  model(1).otherwise(down());
  EXPECT_FALSE(relay());
  EXPECT_EQ(model(0).calls(), 1);
  EXPECT_EQ(model(1).calls(), 2);
}

TEST_F(Routing, HedgesByTheUsualLatencyBeforeAnythingIsMeasured) {
  core::ModelProfile own;
  own.usual_latency = Millis(2);
  profile = &own;
  options.hedge = true;
  build({{}, {.group = 1}});
  model(0).play({{.hang = true}});
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(hedges.value(), 1u);
}

TEST_F(Routing, StreamsThatAreWrittenHereAreCutAsTheProfileSays) {
  core::ModelProfile own;
  own.stream_chunk_size = 4;
  profile = &own;
  build({{}});
  model(0).play({{.pieces = {"abc", "d\u00e9fghijk", "1234"}}});
  struct Deltas final : core::ChatSink {
    core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
      pieces.push_back(std::move(delta.text));
      co_return base::Result<>{};
    }
    std::vector<std::string> pieces;
  } reader;
  EXPECT_TRUE(generate(&reader));
  EXPECT_THAT(reader.pieces, ::testing::ElementsAre("abc", "d\u00e9fg", "hijk", "1234"));
  // Another's events are relayed as they come.
  model(0).play({{.pieces = {"abcdefghijk"}}});
  Reader events;
  EXPECT_TRUE(relay(&events));
  EXPECT_EQ(events.text, "abcdefghijk");
}

TEST_F(Routing, HedgesASlowCall) {
  options.hedge = true;
  options.hedge_after = Millis(5);
  build({{}, {.group = 1}});
  model(0).play({{.hang = true}});
  EXPECT_EQ(*relay(), "b:answer");
  EXPECT_EQ(hedges.value(), 1u);
  EXPECT_EQ(candidates[0].endpoint->lanes().in_use(), 0u);
  EXPECT_EQ(candidates[1].endpoint->lanes().in_use(), 0u);
  // A fast call is not hedged.
  EXPECT_EQ(*relay(), "a:answer");
  EXPECT_EQ(hedges.value(), 1u);
  // Streams: who speaks first is heard alone.
  model(0).play({{.hang = true}});
  model(1).play({{.pieces = {"from ", "b"}}});
  Reader reader;
  EXPECT_TRUE(relay(&reader));
  EXPECT_EQ(reader.text, "from b");
  EXPECT_EQ(report.provider, "b");
}

TEST_F(Routing, AHedgedCallThatHasStartedIsNotDoubled) {
  options.hedge = true;
  options.hedge_after = Millis(5);
  build({{}, {.group = 1}});
  model(0).play({{.pieces = {"slow start"}, .hang = true}});
  Reader reader;
  // The request's time ends long after the delay before a second call.
  const auto result =
      async::sync_wait(async::with_deadline(base::SystemClock().now() + Millis(40), {}, [&](async::CancelToken token) {
        context.cancel = std::move(token);
        return router->relay(context, request, &reader, report);
      }));
  EXPECT_EQ(result.error().name, "DEADLINE");
  EXPECT_EQ(reader.text, "slow start");
  EXPECT_EQ(model(1).calls(), 0);
}

TEST_F(Routing, HedgedFailuresFallThrough) {
  options.hedge = true;
  options.hedge_after = Millis(5);
  build({{}, {.group = 1}, {.group = 2}});
  model(0).play({down()});
  model(1).play({down()});
  EXPECT_EQ(*relay(), "c:answer");
  EXPECT_EQ(hedges.value(), 0u);
}

// Whatever the candidates do: an answer comes from one of them, whole and once; limits hold; nothing stays taken.
TEST_F(Routing, RandomTroubleKeepsThePromises) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    base::SeededRandom draws(seed);
    std::vector<Way> ways;
    for (uint64_t i = 0; i <= draws.below(4); ++i) {
      ways.push_back({.group = static_cast<int64_t>(draws.below(3)),
                      .weight = static_cast<int64_t>(draws.below(4)),
                      .only_on_rate_limit = i > 0 && draws.below(5) == 0});
    }
    options.attempts_max = 1 + static_cast<int64_t>(draws.below(4));
    build(ways);
    const std::vector<Step> steps{{.pieces = {"x", "y", "z"}},
                                  down(),
                                  limited(Millis(draws.below(20'000))),
                                  failing("CONTENT_FILTERED", Code::invalid),
                                  failing("PROVIDER_REFUSED", Code::invalid),
                                  failing("PROVIDER_AUTH", Code::upstream),
                                  {.pieces = {"x", "y"}, .error = "STREAM_BROKEN", .code = Code::upstream}};
    for (int request_number = 0; request_number < 20; ++request_number) {
      int before = 0;
      for (const auto& each : models) {
        before += each->calls();
        each->otherwise(steps[draws.below(steps.size())]);
      }
      Reader reader;
      const size_t pauses = slept.size();
      const auto result = relay(&reader);
      int calls = -before;
      for (const auto& each : models) calls += each->calls();
      ASSERT_LE(calls, std::max<int64_t>(options.attempts_max, static_cast<int64_t>(ways.size()))) << seed;
      ASSERT_LT(slept.size() - pauses, static_cast<size_t>(options.attempts_max)) << seed;
      if (result) {
        ASSERT_EQ(reader.text, "xyz") << seed;
      } else {
        ASSERT_EQ(reader.text, result.error().name == "STREAM_BROKEN" ? "xy" : "") << seed;
        ASSERT_EQ(report.started, result.error().name == "STREAM_BROKEN") << seed;
      }
      for (const Candidate& each : candidates) {
        ASSERT_EQ(each.endpoint->lanes().in_use(), 0u) << seed;
        ASSERT_EQ(each.endpoint->lanes().waiting(), 0u) << seed;
      }
      clock.advance(Millis(draws.below(10'000)));
    }
    // Whoever was left alone comes back when all is well again.
    for (const auto& each : models) each->otherwise({});
    clock.advance(Millis(400'000));
    ASSERT_TRUE(relay()) << seed;
  }
}

}  // namespace
}  // namespace tessera::llm
