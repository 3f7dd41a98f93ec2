#include "account/rate_window.h"

#include <algorithm>

namespace tessera::account {
namespace {

int64_t milliseconds(base::SteadyTime time) {
  return std::chrono::duration_cast<base::Millis>(time.time_since_epoch()).count();
}

}  // namespace

void RateWindow::advance(base::SteadyTime now) {
  const int64_t second = milliseconds(now) / 1000;
  if (second <= second_) return;
  if (second - second_ >= kSeconds) {
    used_.fill(0);
    total_ = 0;
  } else {
    for (int64_t passed = second_ + 1; passed <= second; ++passed) {
      total_ -= slot(passed);
      slot(passed) = 0;
    }
  }
  second_ = second;
}

std::optional<RateWindow::Mark> RateWindow::take(int64_t amount, base::SteadyTime now) {
  advance(now);
  if (total_ > limit_ - amount) return std::nullopt;
  slot(second_) += amount;
  total_ += amount;
  return Mark{second_};
}

void RateWindow::correct(Mark mark, int64_t taken, int64_t actual, base::SteadyTime now) {
  advance(now);
  const int64_t difference = actual - taken;
  if (difference > 0) {
    slot(second_) += difference;
    total_ += difference;
  } else if (mark.second > second_ - kSeconds) {
    slot(mark.second) += difference;
    total_ += difference;
  }
}

int64_t RateWindow::remaining(base::SteadyTime now) {
  advance(now);
  return std::max<int64_t>(0, limit_ - total_);
}

base::Millis RateWindow::wait(int64_t amount, base::SteadyTime now) {
  advance(now);
  int64_t used = total_;
  for (int64_t second = second_ - kSeconds + 1; second <= second_; ++second) {
    if (used <= limit_ - amount) break;
    // Seconds before the clock's first have no slot.
    if (second < 0 || slot(second) == 0) continue;
    used -= slot(second);
    if (used <= limit_ - amount) return base::Millis((second + kSeconds) * 1000 - milliseconds(now));
  }
  return base::Millis(0);
}

base::Millis RateWindow::reset(base::SteadyTime now) {
  advance(now);
  for (int64_t second = second_; second > second_ - kSeconds && second >= 0; --second) {
    if (slot(second) != 0) return base::Millis((second + kSeconds) * 1000 - milliseconds(now));
  }
  return base::Millis(0);
}

}  // namespace tessera::account
