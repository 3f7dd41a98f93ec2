#include "llm/routing/backoff.h"

#include <algorithm>

namespace tessera::llm {

std::optional<base::Millis> pause_before_retry(const BackoffOptions& options, const FailedTry& failed,
                                               base::Random& random) {
  if (failed.asked && *failed.asked > options.max) return std::nullopt;
  const int64_t doublings = std::clamp<int64_t>(failed.attempt - 1, 0, 20);
  const int64_t longest = std::min(options.max.count(), options.min.count() << doublings);
  base::Millis pause(longest / 2 + static_cast<int64_t>(random.below(static_cast<uint64_t>(longest / 2 + 1))));
  if (failed.asked) pause = std::max(pause, *failed.asked);
  if (failed.deadline != base::SteadyTime::max() && failed.now + pause >= failed.deadline) return std::nullopt;
  return pause;
}

}  // namespace tessera::llm
