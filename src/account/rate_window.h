#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace tessera::account {

/// Counts what was used in the last minute, second by second: never more than `limit` in any 60 seconds (a use is
/// forgotten 60 to 61 seconds after). A value; one thread at a time. Time must not run backwards.
class RateWindow {
 public:
  explicit RateWindow(int64_t limit) : limit_(limit) {}

  /// When something was used, to correct it later.
  struct Mark {
    int64_t second = 0;
  };
  /// Adds `amount` if it fits.
  std::optional<Mark> take(int64_t amount, base::SteadyTime now);
  /// Corrects what was taken: less is given back where it was taken, more counts from now on, above the limit too.
  void correct(Mark mark, int64_t taken, int64_t actual, base::SteadyTime now);

  [[nodiscard]] int64_t limit() const { return limit_; }
  [[nodiscard]] int64_t remaining(base::SteadyTime now);
  /// Until `amount` (at most the limit) fits.
  [[nodiscard]] base::Millis wait(int64_t amount, base::SteadyTime now);
  /// Until all of the limit is there again.
  [[nodiscard]] base::Millis reset(base::SteadyTime now);

 private:
  static constexpr int64_t kSeconds = 61;  // the one that is passing, and the 60 before it

  void advance(base::SteadyTime now);
  [[nodiscard]] int64_t& slot(int64_t second) { return used_[static_cast<size_t>(second % kSeconds)]; }

  int64_t limit_;
  int64_t second_ = 0;  // the newest that is counted
  int64_t total_ = 0;
  std::array<int64_t, kSeconds> used_{};
};

}  // namespace tessera::account
