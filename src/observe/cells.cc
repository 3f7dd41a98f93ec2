#include "observe/cells.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace tessera::observe {
namespace {

constexpr std::array kLatencyBounds = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,     0.25,   0.5,     1.0,    2.0,   5.0,    10.0,  30.0, 60.0};
constexpr std::array kSizeBounds = {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0};
static_assert(kLatencyBounds.size() <= Histogram::kBoundsMax && kSizeBounds.size() <= Histogram::kBoundsMax);

}  // namespace

std::span<const double> latency_bounds() {
  return kLatencyBounds;
}
std::span<const double> size_bounds() {
  return kSizeBounds;
}

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds) {
  TESSERA_ASSERT(bounds.size() <= kBoundsMax && std::ranges::is_sorted(bounds));
}

void Histogram::observe(double value) {
  if (!std::isfinite(value)) return;
  value = std::max(value, 0.0);
  const auto bucket = static_cast<size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot result;
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    result.counts[i] = counts_[i].load(std::memory_order_relaxed);
    result.count += result.counts[i];
  }
  result.sum = sum_.load(std::memory_order_relaxed);
  return result;
}

double Histogram::quantile(double q) const {
  const Snapshot now = snapshot();
  if (now.count == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(now.count);
  double below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    const auto here = static_cast<double>(now.counts[i]);
    if (here > 0 && below + here >= rank) {
      const double from = i == 0 ? 0 : bounds_[i - 1];
      return from + (bounds_[i] - from) * std::max(0.0, rank - below) / here;
    }
    below += here;
  }
  return bounds_.empty() ? 0 : bounds_.back();  // beyond the last bound: all that can be said
}

}  // namespace tessera::observe
