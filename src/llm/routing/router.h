#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.h"
#include "core/chat_model.h"
#include "core/model_profile.h"
#include "llm/routing/backoff.h"
#include "llm/routing/endpoint.h"

namespace tessera::llm {

/// One way to an answer. Those of the lowest group are tried first, within a group by weight.
struct Candidate {
  std::shared_ptr<core::ChatModel> model;  ///< sends requests under the right name, whatever they ask for
  std::shared_ptr<Endpoint> endpoint;
  const core::ModelProfile* profile = nullptr;  ///< may be null, else outlives the router
  int64_t weight = 1;                           ///< share of its group's calls; 0: only when the others fail
  int64_t group = 0;
  int64_t attempts_max = 0;         ///< calls of it for one request; 0: as the router's
  bool only_on_rate_limit = false;  ///< the cheaper model that takes over when others ask to slow down
  /// For callers that are limited to some models: these may use it under one of these names. Empty: whoever may use the
  /// router's own name.
  std::vector<std::string> names = {};
};

/// Waits, or answers cancelled. The default is async::sleep_for; tests turn a manual clock instead.
using Sleep = std::function<core::Task<base::Result<>>(base::Millis, async::CancelToken)>;

struct RouterOptions {
  int64_t attempts_max = 3;  ///< calls for one request, or as many as there are candidates, or as one of them allows
                             ///< itself, where that is more
  BackoffOptions backoff;
  bool hedge = false;           ///< ask a second candidate when the first is slow
  base::Millis hedge_after{0};  ///< how slow; 0: slower than 95 % of its last calls (none known: than twice usual)
  Sleep sleep;                  ///< empty: async::sleep_for
};

/// A model that answers through the first of its candidates that can. A call that fails before anything of its answer
/// was passed on goes to the next candidate at once (rate limits, failures, timeouts, refusals by a content filter);
/// when all were tried, again from the start after a pause (backoff.h) while the request's deadline allows. Once
/// something was passed on, a failure is the answer's end: nothing is repeated, nothing is left out, the error says so
/// and RelayReport::started is true. Endpoints that rest (Retry-After) come last, those whose breaker is open not at
/// all. With hedging a second call starts when the first is slow; the first to answer is passed on, the other
/// cancelled. Candidates that the caller may not use do not count, nor do those at other endpoints than a request
/// names. Thread-safe. Errors: those of the candidates (the first that speaks of the provider rather than of our
/// settings), forbidden MODEL_NOT_ALLOWED, unavailable PROVIDER_CIRCUIT_OPEN with retry_after, exhausted ENDPOINT_BUSY
/// / TOO_MANY_WAITING, invalid KEPT_ELSEWHERE (none of the candidates is at the endpoint that the request names).
class Router final : public core::ChatModel {
 public:
  static constexpr size_t kCandidatesMax = 32;

  /// 1 to kCandidatesMax candidates; `clock` and `random` outlive it.
  Router(std::vector<Candidate> candidates, RouterOptions options, const base::Clock& clock, base::Random& random);

  [[nodiscard]] bool relays() const override { return relaying_ != 0; }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

 private:
  struct Progress;
  struct Turn;
  template <class Leg>
  struct Race;

  template <class Leg>
  core::Task<typename Leg::Result> drive(const core::RequestContext& context, typename Leg::Ask ask, uint32_t unfit);
  template <class Leg>
  core::Task<Leg> hedged(const core::RequestContext& context, typename Leg::Ask ask, Turn turn, Progress& progress);
  template <class Leg>
  core::Task<void> race(const core::RequestContext& context, Race<Leg>& race, Progress& progress);
  /// A turn for the second leg, when somebody can take it at once.
  [[nodiscard]] bool take_spare_turn(Progress& progress, Turn& turn);
  template <class Leg>
  core::Task<void> run_leg(Race<Leg>& race, size_t which);

  /// Bits of the candidates at other endpoints; none when the name is empty.
  [[nodiscard]] uint32_t elsewhere(const std::string& endpoint) const;
  /// Bits of the candidates that the caller may not use.
  [[nodiscard]] uint32_t forbidden(const core::RequestContext& context) const;
  /// The best candidate that was not tried; kCandidatesMax when there is none.
  [[nodiscard]] size_t choose(const Progress& progress) const;
  [[nodiscard]] core::Task<base::Result<Turn>> take_turn(const core::RequestContext& context, size_t which);
  /// Tells the endpoint how the call went, and the progress what to do next.
  void settle(Progress& progress, Turn& turn, const base::Error* error);
  /// One more call of it; the last that its limit allows is noted.
  void spend(Progress& progress, size_t which) const;
  [[nodiscard]] std::optional<base::Millis> pause_of(const Progress& progress, const core::RequestContext& context);
  [[nodiscard]] base::Error final_error(Progress& progress) const;
  [[nodiscard]] std::optional<base::Millis> hedge_delay(size_t which) const;
  void count(const Progress& progress, size_t which) const;

  std::vector<Candidate> candidates_;
  RouterOptions options_;
  const base::Clock& clock_;
  base::Random& random_;
  uint32_t relaying_ = 0;                        // bits of the candidates that relay
  std::vector<std::vector<uint8_t>> schedules_;  // by group: who goes first, in turn
  std::unique_ptr<LatencyWindow[]> latencies_;   // by candidate, when hedging
  std::atomic<uint64_t> ticket_{0};
};

}  // namespace tessera::llm
