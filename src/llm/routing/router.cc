#include "llm/routing/router.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "async/channel.h"
#include "async/deadline.h"
#include "async/task_scope.h"
#include "llm/routing/legs.h"
#include "llm/routing/schedule.h"

namespace tessera::llm {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using core::Task;

constexpr Millis kRest{1'000};        // after a 429 that does not say how long
constexpr Millis kQuotaRest{60'000};  // a spent quota does not come back soon
constexpr Millis kRestMax{300'000};

constexpr uint32_t bit(size_t which) {
  return 1U << which;
}

Task<base::Result<std::string>> kept_elsewhere() {
  co_return base::fail(Code::invalid, "KEPT_ELSEWHERE",
                       "What this request goes on from is kept at a provider, or with a key, that does not serve this "
                       "model; name the model that it began with.");
}

}  // namespace

// What has been tried for one request.
struct Router::Progress {
  uint64_t ticket = 0;
  uint32_t unfit = 0;     // cannot serve this request at all
  uint32_t tried = 0;     // in this round; unfit ones included
  uint32_t hopeless = 0;  // not to be tried again
  int64_t calls = 0;
  std::array<uint8_t, kCandidatesMax> calls_of{};
  int64_t round = 1;
  bool limited = false;  // the last failure was a rate limit
  std::optional<Error> error;
  Verdict verdict;              // of `error`
  std::optional<Millis> asked;  // shortest Retry-After of this round
};

struct Router::Turn {
  size_t which = 0;
  Breaker::Pass pass;
  Lanes::Permit permit;
  base::SteadyTime began;
};

template <class Leg>
struct Router::Race {
  Race(const typename Leg::Ask& ask, const core::RequestContext& context) : legs{Leg(ask), Leg(ask)} {
    for (size_t i = 0; i < 2; ++i) {
      contexts[i] = context;
      contexts[i].cancel = gate.stop(i).token();
      legs[i].tap.join_race(gate, i);
    }
  }
  Gate gate;
  std::array<Leg, 2> legs;
  std::array<core::RequestContext, 2> contexts;
  std::array<Turn, 2> turns;
  std::array<bool, 2> ended{false, false};
  size_t winner = 0;
  async::Channel<size_t> finished{2};
};

Router::Router(std::vector<Candidate> candidates, RouterOptions options, const base::Clock& clock, base::Random& random)
    : options_(std::move(options)), clock_(clock), random_(random) {
  if (candidates.size() > kCandidatesMax) candidates.resize(kCandidatesMax);
  for (Candidate& candidate : candidates) {  // by group, each in the order given
    candidates_.insert(std::ranges::upper_bound(candidates_, candidate.group, {}, &Candidate::group),
                       std::move(candidate));
  }
  for (const Candidate& candidate : candidates_) {
    options_.attempts_max = std::max(options_.attempts_max, candidate.attempts_max);
  }
  if (!options_.sleep) {
    options_.sleep = [](Millis pause, async::CancelToken token) { return async::sleep_for(pause, std::move(token)); };
  }
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].model->relays()) relaying_ |= bit(i);
  }
  schedules_ = make_schedules(candidates_);
  if (options_.hedge) latencies_ = std::make_unique<LatencyWindow[]>(candidates_.size());
}

uint32_t Router::forbidden(const core::RequestContext& context) const {
  uint32_t bits = 0;
  if (context.only_models == nullptr) return bits;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const std::vector<std::string>& names = candidates_[i].names;
    if (!names.empty() && !context.may_use_one_of(names)) bits |= bit(i);
  }
  return bits;
}

size_t Router::choose(const Progress& progress) const {
  const base::SteadyTime now = clock_.now();
  const size_t size = candidates_.size();
  using Rank = std::tuple<bool, int64_t, bool, bool, size_t>;
  std::optional<Rank> best;
  size_t chosen = kCandidatesMax;
  for (size_t i = 0; i < size; ++i) {
    const Candidate& candidate = candidates_[i];
    if ((progress.tried & bit(i)) != 0 || (candidate.only_on_rate_limit && !progress.limited)) continue;
    if (size > 1 && !candidate.endpoint->breaker().ready(now)) continue;
    if (size == 1) return i;
    const auto& schedule = schedules_[static_cast<size_t>(candidate.group)];
    const uint8_t first = schedule[progress.ticket % schedule.size()];
    const Rank rank{candidate.endpoint->resting(now), candidate.group, candidate.weight == 0,
                    candidate.endpoint->lanes().full(), (i + size - first) % size};
    if (best && *best <= rank) continue;
    best = rank;
    chosen = i;
  }
  return chosen;
}

uint32_t Router::elsewhere(const std::string& endpoint) const {
  if (endpoint.empty()) return 0;
  uint32_t bits = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].endpoint->name() != endpoint) bits |= bit(i);
  }
  return bits;
}

Task<base::Result<Router::Turn>> Router::take_turn(const core::RequestContext& context, size_t which) {
  Endpoint& endpoint = *candidates_[which].endpoint;
  Turn turn;
  turn.which = which;
  bool granted = false;
  turn.permit = endpoint.lanes().try_acquire(granted);
  if (!granted) {
    TESSERA_CO_TRY(turn.permit, co_await endpoint.lanes().acquire(context));
  }
  turn.began = clock_.now();
  turn.pass = endpoint.breaker().ask(turn.began);
  if (!turn.pass.granted) {
    auto error = base::make_error(Code::unavailable, "PROVIDER_CIRCUIT_OPEN",
                                  "the provider has failed too often of late; try again later", endpoint.name());
    error.retry_after = std::max(Millis(1000), endpoint.breaker().retry_in(turn.began));
    co_return std::unexpected(std::move(error));
  }
  co_return turn;
}

void Router::settle(Progress& progress, Turn& turn, const Error* error) {
  Endpoint& endpoint = *candidates_[turn.which].endpoint;
  const Verdict verdict = error == nullptr ? Verdict{.health = Health::good} : judge(*error);
  switch (verdict.health) {
    case Health::good:
      endpoint.breaker().succeeded(turn.pass);
      break;
    case Health::unknown:
      endpoint.breaker().abandoned(turn.pass);
      break;
    case Health::slow_down:
      // It answers; that it wants less is no failure.
      endpoint.breaker().succeeded(turn.pass);
      endpoint.rest_for(std::min(kRestMax, error->retry_after.value_or(verdict.again ? kRest : kQuotaRest)));
      break;
    case Health::bad:
      endpoint.breaker().failed(turn.pass, clock_.now());
      break;
  }
  turn.pass = {};
  turn.permit.release();
  if (error == nullptr) {
    if (latencies_) latencies_[turn.which].add(std::chrono::duration_cast<Millis>(clock_.now() - turn.began));
    return;
  }
  if (!verdict.again) progress.hopeless |= bit(turn.which);
  progress.limited = verdict.health == Health::slow_down;
  if (error->retry_after && verdict.again) {
    progress.asked = std::min(progress.asked.value_or(*error->retry_after), *error->retry_after);
  }
  // What a provider says of the request tells its caller more than what is wrong with our settings or our queue.
  if (!progress.error || verdict.again || !progress.verdict.again) {
    progress.error = *error;
    progress.verdict = verdict;
  }
}

std::optional<Millis> Router::pause_of(const Progress& progress, const core::RequestContext& context) {
  const auto all = static_cast<uint32_t>((uint64_t{1} << candidates_.size()) - 1);
  const bool spent = progress.calls >= options_.attempts_max || progress.round >= options_.attempts_max;
  if (spent || !progress.verdict.again) return std::nullopt;
  if (((progress.hopeless | progress.unfit) & all) == all) return std::nullopt;
  const FailedTry failed{
      .attempt = progress.round, .asked = progress.asked, .now = clock_.now(), .deadline = context.deadline};
  return pause_before_retry(options_.backoff, failed, random_);
}

Error Router::final_error(Progress& progress) const {
  if (progress.error) return *std::move(progress.error);
  const auto all = static_cast<uint32_t>((uint64_t{1} << candidates_.size()) - 1);
  if ((progress.unfit & all) == all) {
    return base::make_error(Code::forbidden, "MODEL_NOT_ALLOWED",
                            "This key may use none of the models that would answer; name one that it may use.", "",
                            "model");
  }
  Error error = base::make_error(Code::unavailable, "PROVIDER_CIRCUIT_OPEN",
                                 "the model's providers have failed too often of late; try again later");
  Millis soonest = Millis::max();
  const base::SteadyTime now = clock_.now();
  for (const Candidate& candidate : candidates_) {
    soonest = std::min(soonest, candidate.endpoint->breaker().retry_in(now));
  }
  error.retry_after = std::max(Millis(1000), soonest);
  return error;
}

std::optional<Millis> Router::hedge_delay(size_t which) const {
  if (!options_.hedge || candidates_.size() < 2) return std::nullopt;
  if (options_.hedge_after > Millis(0)) return options_.hedge_after;
  if (const auto known = latencies_[which].p95()) return known;
  const core::ModelProfile* profile = candidates_[which].profile;
  if (profile == nullptr || profile->usual_latency == Millis(0)) return std::nullopt;
  return 2 * profile->usual_latency;
}

void Router::spend(Progress& progress, size_t which) const {
  ++progress.calls;
  const int64_t limit = candidates_[which].attempts_max;
  if (progress.calls_of[which] < UINT8_MAX) ++progress.calls_of[which];
  if (limit > 0 && progress.calls_of[which] >= limit) progress.hopeless |= bit(which);
}

void Router::count(const Progress& progress, size_t which) const {
  if (progress.calls == 0) return;
  const EndpointCounters& counters = candidates_[which].endpoint->counters();
  observe::Counter* counter = progress.round > 1 ? counters.retries : counters.fallbacks;
  if (counter != nullptr) counter->increment();
}

template <class Leg>
Task<typename Leg::Result> Router::drive(const core::RequestContext& context, typename Leg::Ask ask, uint32_t unfit) {
  Progress progress;
  progress.ticket = ticket_.fetch_add(1, std::memory_order_relaxed);
  progress.unfit = progress.tried = unfit;
  const int64_t calls_max = std::max(options_.attempts_max, static_cast<int64_t>(candidates_.size()));
  std::optional<Leg> filtered;  // an answer of a filter, given when nobody else has a better one
  for (;;) {
    const size_t which = progress.calls < calls_max ? choose(progress) : kCandidatesMax;
    if (which == kCandidatesMax) {
      if (filtered) {
        filtered->deliver_report();
        co_return std::move(filtered->result);
      }
      const auto pause = pause_of(progress, context);
      if (!pause) co_return std::unexpected(final_error(progress));
      TESSERA_CO_CHECK(co_await options_.sleep(*pause, context.cancel));
      ++progress.round;
      progress.tried = progress.unfit | progress.hopeless;
      progress.asked.reset();
      continue;
    }
    progress.tried |= bit(which);
    auto turn = co_await take_turn(context, which);
    if (!turn) {
      if (!judge(turn.error()).elsewhere) co_return std::unexpected(std::move(turn).error());
      // We, not the provider, had no room: whoever has may answer.
      if (!progress.error) {
        progress.verdict = judge(turn.error());
        progress.error = std::move(turn).error();
      }
      continue;
    }
    count(progress, which);
    spend(progress, which);
    std::optional<Leg> leg;
    const auto delay = hedge_delay(which);
    if (delay) {
      leg.emplace(co_await hedged<Leg>(context, ask, *std::move(turn), progress));
    } else {
      leg.emplace(ask);
      leg->result = co_await leg->start(candidates_[which], context);
      settle(progress, *turn, leg->result ? nullptr : &leg->result.error());
    }
    if (leg->result) {
      if (leg->filtered() && choose(progress) != kCandidatesMax && !filtered) {
        filtered.emplace(*std::move(leg));
        continue;
      }
      leg->deliver_report();
      co_return std::move(leg->result);
    }
    leg->deliver_report();
    if (leg->tap.started()) co_return std::move(leg->result);
    TESSERA_CO_CHECK(context.check(clock_));
    if (!judge(leg->result.error()).elsewhere) co_return std::move(leg->result);
  }
}

template <class Leg>
Task<Leg> Router::hedged(const core::RequestContext& context, typename Leg::Ask ask, Turn turn, Progress& progress) {
  Race<Leg> both(ask, context);
  both.turns[0] = std::move(turn);
  co_await race(context, both, progress);
  co_return std::move(both.legs[both.winner]);
}

bool Router::take_spare_turn(Progress& progress, Turn& turn) {
  turn.which = choose(progress);
  if (turn.which == kCandidatesMax) return false;
  Endpoint& endpoint = *candidates_[turn.which].endpoint;
  bool granted = false;
  turn.permit = endpoint.lanes().try_acquire(granted);  // no waiting for what is only an attempt to be quicker
  if (!granted) return false;
  turn.began = clock_.now();
  turn.pass = endpoint.breaker().ask(turn.began);
  if (!turn.pass.granted) {
    turn.permit.release();
    return false;
  }
  progress.tried |= bit(turn.which);
  spend(progress, turn.which);
  if (endpoint.counters().hedges != nullptr) endpoint.counters().hedges->increment();
  return true;
}

// Runs one leg of a race to its end.
template <class Leg>
Task<void> Router::run_leg(Race<Leg>& race, size_t which) {
  const Candidate& candidate = candidates_[race.turns[which].which];
  race.legs[which].result = co_await race.legs[which].start(candidate, race.contexts[which]);
  (void)race.finished.try_send(which);
}

// Starts the first leg, after its delay a second one with another candidate, and waits until one has answered or both
// have failed. Both have ended when it returns.
template <class Leg>
Task<void> Router::race(const core::RequestContext& context, Race<Leg>& race, Progress& progress) {
  async::TaskScope scope(co_await boost::asio::this_coro::executor);
  const async::CancelCallback leaving(context.cancel, [&gate = race.gate] {
    gate.stop(0).cancel();
    gate.stop(1).cancel();
  });
  const Millis delay = *hedge_delay(race.turns[0].which);
  size_t running = 1;
  scope.spawn([this, &race] { return run_leg(race, 0); });
  auto first = co_await race.finished.receive({.deadline = base::SystemClock().now() + delay, .token = {}});
  bool second = false;
  if (!first && !race.gate.claimed() && !context.cancel.cancelled()) {
    second = take_spare_turn(progress, race.turns[1]);
    if (second) {
      ++running;
      scope.spawn([this, &race] { return run_leg(race, 1); });
    }
  }
  bool decided = false;
  while (running > 0) {
    if (!first) first = co_await race.finished.receive();
    if (!first || !*first) break;
    const size_t ended = **first;
    first = std::unexpected(Error{});
    --running;
    Leg& leg = race.legs[ended];
    // The first that answers wins; of two failures, that of the first leg unless the other had started.
    if (!decided && (leg.result ? race.gate.claim(ended) : leg.tap.started())) {
      race.winner = ended;
      decided = true;
    }
  }
  (void)co_await scope.join();
  for (size_t i = 0; i < (second ? 2U : 1U); ++i) {
    const bool beaten = decided && i != race.winner;
    Leg& leg = race.legs[i];
    const Error stopped = base::make_error(Code::cancelled, "HEDGE_LOST", "another call answered first");
    const Error* error = leg.result ? nullptr : &leg.result.error();
    if (beaten && error != nullptr && error->code == Code::cancelled) error = &stopped;
    settle(progress, race.turns[i], error);
  }
}

Task<base::Result<std::string>> Router::relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) {
  const uint32_t strange = elsewhere(request.endpoint);
  const auto all = static_cast<uint32_t>((uint64_t{1} << candidates_.size()) - 1);
  if ((strange & all) == all) return kept_elsewhere();
  return drive<RelayLeg>(context, RelayLeg::Ask{request, sink, report}, ~relaying_ | forbidden(context) | strange);
}

Task<base::Result<core::ChatCompletion>> Router::generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request, core::ChatSink* sink) {
  return drive<GenerateLeg>(context, GenerateLeg::Ask{request, sink}, forbidden(context));
}

}  // namespace tessera::llm
