#pragma once

#include <atomic>
#include <chrono>
#include <string>

namespace tessera::base {

using SteadyTime = std::chrono::steady_clock::time_point;
using Millis = std::chrono::milliseconds;

/// Where time comes from. Parts take a `const Clock&`; tests hand them a ManualClock. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic, for deadlines and durations.
  [[nodiscard]] virtual SteadyTime now() const = 0;
  /// Milliseconds since the Unix epoch, UTC, for records.
  [[nodiscard]] virtual int64_t unix_ms() const = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime now() const override;
  [[nodiscard]] int64_t unix_ms() const override;
};

/// Stands still until told otherwise; starts at 2025-01-01T00:00:00Z.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime now() const override { return SteadyTime(std::chrono::milliseconds(elapsed_ms_.load())); }
  [[nodiscard]] int64_t unix_ms() const override { return 1735689600000 + elapsed_ms_.load(); }
  void advance(Millis by) { elapsed_ms_ += by.count(); }

 private:
  std::atomic<int64_t> elapsed_ms_{0};
};

/// RFC 3339 UTC with milliseconds: "2025-01-01T00:00:00.000Z".
std::string format_rfc3339(int64_t unix_ms);

}  // namespace tessera::base
