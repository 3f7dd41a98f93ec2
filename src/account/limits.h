#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "account/rate_window.h"
#include "base/clock.h"
#include "base/result.h"

namespace tessera::account {

/// Tokens that a call may use, counted against its key until it is known how many it used.
struct TokenHold {
  RateWindow::Mark mark;
  int64_t tokens = 0;
};

/// Where a limit stands, for headers.
struct LimitReading {
  int64_t limit = 0;
  int64_t remaining = 0;
  base::Millis reset{0};  ///< until all of it is there again
};

/// The requests and tokens of one key in the last minute. Shared by the requests of the key. Thread-safe.
class KeyMeter {
 public:
  /// Per minute; 0: no limit.
  KeyMeter(int64_t requests, int64_t tokens);
  KeyMeter(const KeyMeter&) = delete;
  KeyMeter& operator=(const KeyMeter&) = delete;

  /// Counts a request. One that is refused does not count. Errors: exhausted RATE_LIMITED with the time to wait, also
  /// when no token is left.
  base::Result<> admit_request(base::SteadyTime now);
  /// Counts `estimate` tokens ahead of a call; more than the whole limit waits for a minute in which nothing was used.
  /// Errors: exhausted TOKENS_LIMITED with the time to wait.
  base::Result<TokenHold> hold_tokens(int64_t estimate, base::SteadyTime now);
  /// Replaces the estimate by what was used; once for each hold.
  void settle_tokens(const TokenHold& hold, int64_t used, base::SteadyTime now);

  [[nodiscard]] std::optional<LimitReading> requests(base::SteadyTime now) const;
  [[nodiscard]] std::optional<LimitReading> tokens(base::SteadyTime now) const;

 private:
  mutable std::mutex mutex_;
  mutable std::optional<RateWindow> requests_;  // guarded by mutex_; empty: no limit
  mutable std::optional<RateWindow> tokens_;    // guarded by mutex_; empty: no limit
};

}  // namespace tessera::account
