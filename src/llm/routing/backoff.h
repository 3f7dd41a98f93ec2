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

/// The pause before try `attempt` + 1 (attempts count from 1): exponential, half of it random, so that callers turned
/// away together do not come back together; at least what the provider asked for. Nothing when the provider asks for
/// more than `max` (too long to hold a request: its caller is told instead) or the pause would reach `deadline`.
std::optional<base::Millis> pause_before_retry(const BackoffOptions& options, int64_t attempt,
                                               std::optional<base::Millis> asked, base::SteadyTime now,
                                               base::SteadyTime deadline, base::Random& random);

}  // namespace tessera::llm
