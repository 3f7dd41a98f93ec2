#include "llm/routing/endpoint.h"

#include <algorithm>

namespace tessera::llm {

Endpoint::Endpoint(EndpointOptions options, const base::Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      breaker_(options_.breaker,
               [gauge = options_.counters.breaker](Breaker::State state) {
                 if (gauge != nullptr) gauge->set(static_cast<double>(state));
               }),
      lanes_(options_.lanes, clock) {}

void Endpoint::rest_for(base::Millis pause) {
  const int64_t until = (clock_.now() + pause).time_since_epoch().count();
  int64_t before = rest_until_.load(std::memory_order_relaxed);
  while (before < until && !rest_until_.compare_exchange_weak(before, until, std::memory_order_relaxed)) {
  }
}

void LatencyWindow::add(base::Millis took) {
  const uint64_t at = count_.fetch_add(1, std::memory_order_relaxed);
  ms_[at % kSize].store(static_cast<uint32_t>(std::clamp<int64_t>(took.count(), 0, UINT32_MAX)),
                        std::memory_order_relaxed);
}

std::optional<base::Millis> LatencyWindow::p95() const {
  const size_t size = std::min<uint64_t>(count_.load(std::memory_order_relaxed), kSize);
  if (size < kEnough) return std::nullopt;
  std::array<uint32_t, kSize> sorted;
  for (size_t i = 0; i < size; ++i) sorted[i] = ms_[i].load(std::memory_order_relaxed);
  const size_t at = size * 95 / 100;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<int64_t>(at),
                   sorted.begin() + static_cast<int64_t>(size));
  return base::Millis(sorted[at]);
}

}  // namespace tessera::llm
