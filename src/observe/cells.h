#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace tessera::observe {

/// Grows by whole numbers. Thread-safe; an increment is one relaxed atomic add.
class Counter {
 public:
  void increment(uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// Grows by fractions, such as money. Thread-safe. Negative and non-finite amounts are ignored.
class Sum {
 public:
  void add(double by) {
    if (by >= 0 && by <= 1e300) value_.fetch_add(by, std::memory_order_relaxed);
  }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Goes up and down. Thread-safe.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  void increment() { add(1); }
  void decrement() { add(-1); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations by size. Thread-safe; an observation is a short search and two relaxed atomic adds. The buckets
/// of a rendered histogram always add up, even while others observe. Non-finite values are ignored, negative ones
/// count as 0.
class Histogram {
 public:
  static constexpr size_t kBoundsMax = 20;
  explicit Histogram(std::span<const double> bounds);

  void observe(double value);

  struct Snapshot {
    std::array<uint64_t, kBoundsMax + 1> counts{};  ///< per bucket, not cumulative; the last one is +Inf
    uint64_t count = 0;
    double sum = 0;
  };
  [[nodiscard]] Snapshot snapshot() const;
  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
  /// Estimated by interpolation within the bucket; 0 without observations. `q` in [0, 1].
  [[nodiscard]] double quantile(double q) const;

 private:
  std::span<const double> bounds_;  // upper bounds, ascending, of static storage
  std::array<std::atomic<uint64_t>, kBoundsMax + 1> counts_{};
  std::atomic<double> sum_{0};
};

/// Seconds, from 50 microseconds to a minute: what a cached answer and what a model takes.
std::span<const double> latency_bounds();
/// 1 to 1,024 in powers of two.
std::span<const double> size_bounds();

}  // namespace tessera::observe
