#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <string>

#include "llm/routing/breaker.h"
#include "llm/routing/lanes.h"
#include "llm/routing/verdict.h"
#include "observe/cells.h"

namespace tessera::llm {

/// Where an endpoint's events are counted. Members may be null; what they point at outlives the endpoint.
struct EndpointCounters {
  observe::Counter* retries = nullptr;    ///< calls after a pause, because an earlier one failed
  observe::Counter* fallbacks = nullptr;  ///< calls that came here because another endpoint failed
  observe::Counter* hedges = nullptr;     ///< calls made beside one that was slow
  observe::Gauge* breaker = nullptr;      ///< 0 closed, 1 half open, 2 open
};

struct EndpointOptions {
  std::string name;  ///< unique: "openai#2"
  BreakerOptions breaker;
  LaneOptions lanes;
  EndpointCounters counters;
};

/// The state that all models behind one address and key share: its breaker, its queue, and until when it asked to be
/// left alone. Thread-safe.
class Endpoint {
 public:
  /// `clock` outlives it.
  Endpoint(EndpointOptions options, const base::Clock& clock);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] Breaker& breaker() { return breaker_; }
  [[nodiscard]] Lanes& lanes() { return lanes_; }
  [[nodiscard]] const EndpointCounters& counters() const { return options_.counters; }

  /// It asked to be left alone for this long.
  void rest_for(base::Millis pause);
  [[nodiscard]] bool resting(base::SteadyTime now) const {
    return now.time_since_epoch().count() < rest_until_.load(std::memory_order_relaxed);
  }

 private:
  const EndpointOptions options_;
  const base::Clock& clock_;
  Breaker breaker_;
  Lanes lanes_;
  std::atomic<int64_t> rest_until_{INT64_MIN};  // ticks of the steady clock
};

/// The times of the last calls. Thread-safe.
class LatencyWindow {
 public:
  void add(base::Millis took);
  /// The 95th percentile; nothing before 20 calls.
  [[nodiscard]] std::optional<base::Millis> p95() const;

 private:
  static constexpr size_t kSize = 128;
  static constexpr size_t kEnough = 20;
  std::array<std::atomic<uint32_t>, kSize> ms_{};
  std::atomic<uint64_t> count_{0};
};

}  // namespace tessera::llm
