#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "base/clock.h"

namespace tessera::llm {

struct BreakerOptions {
  int64_t failures_max = 5;      ///< in a row; then it opens. 0: never
  base::Millis open_min{5'000};  ///< until the first probe; doubles with each probe that fails
  base::Millis open_max{60'000};
};

/// Keeps calls away from an endpoint that does not answer. Closed: all pass. After failures_max failures in a row it
/// opens: none pass, until a pause is over; then one probe at a time passes (half open), whose success closes it and
/// whose failure opens it for twice as long. Calls that began before it opened change nothing afterwards. Thread-safe.
class Breaker {
 public:
  enum class State : uint8_t { closed, half_open, open };
  /// The right to make one call. Every pass that was given is handed back once.
  struct Pass {
    bool granted = false;
    bool probe = false;
    uint64_t era = 0;
  };

  /// `on_change` runs under the breaker's lock at each change of state; may be empty.
  explicit Breaker(BreakerOptions options, std::function<void(State)> on_change = {})
      : options_(options), on_change_(std::move(on_change)) {}

  /// Whether ask() would grant; takes nothing.
  [[nodiscard]] bool ready(base::SteadyTime now) const;
  [[nodiscard]] Pass ask(base::SteadyTime now);
  void succeeded(const Pass& pass);
  void failed(const Pass& pass, base::SteadyTime now);
  /// The call ended without telling anything of the endpoint.
  void abandoned(const Pass& pass);

  [[nodiscard]] State state() const;
  /// How long until a probe may pass; 0 when one may now.
  [[nodiscard]] base::Millis retry_in(base::SteadyTime now) const;

 private:
  void change(State to);

  const BreakerOptions options_;
  const std::function<void(State)> on_change_;
  mutable std::mutex mutex_;
  State state_ = State::closed;  // guarded by mutex_, as all below
  int64_t failures_ = 0;         // in a row, while closed
  bool probing_ = false;         // a probe is under way
  uint64_t era_ = 0;             // grows when it opens or closes
  base::Millis open_for_{0};     // length of the present or last opening
  base::SteadyTime open_until_;
};

}  // namespace tessera::llm
