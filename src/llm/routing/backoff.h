#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/random.h"

namespace tessera::llm {

/// How tries of one call are spaced.
struct BackoffOptions {
  base::Millis min{2'000};  ///< before the second try; doubles up to max
  base::Millis max{10'000};
};

/// A call that failed and may be tried again.
struct FailedTry {
  int64_t attempt = 1;                ///< which one failed
  std::optional<base::Millis> asked;  ///< how long the provider wants to be left alone
  base::SteadyTime now;
  base::SteadyTime deadline = base::SteadyTime::max();
};

/// The pause before the next try: exponential, half of it random, so that callers turned away together do not come back
/// together; at least what the provider asked for. Nothing when the provider asks for more than `max` (too long to hold
/// a request: its caller is told instead) or the pause would reach the deadline.
std::optional<base::Millis> pause_before_retry(const BackoffOptions& options, const FailedTry& failed,
                                               base::Random& random);

}  // namespace tessera::llm
