#pragma once

#include <array>
#include <atomic>
#include <optional>

#include "api/route.h"
#include "base/error.h"
#include "observe/metrics.h"

namespace tessera::api {

/// A finished request, as the metrics see it.
struct FinishedCall {
  const RouteSpec* route = nullptr;  ///< null: no such route
  wire::Method method = wire::Method::get;
  int status = 0;
  double seconds = 0;
  size_t bytes_in = 0;
  std::optional<base::Code> error;
};

/// Counts requests by route, method and class of status. The series of a route are looked up once, so that counting a
/// request takes no lock; requests without a route (and HEAD) are looked up each time. Thread-safe; lives in the Api;
/// the metrics outlive it.
class CallMetrics {
 public:
  explicit CallMetrics(observe::Metrics& metrics) : metrics_(metrics) {}
  void count(const FinishedCall& call);

 private:
  static constexpr size_t kClasses = 6;
  struct Cells {
    std::array<std::atomic<observe::Counter*>, kClasses> requests{};
    std::atomic<observe::Histogram*> duration{nullptr};
  };

  observe::Counter& requests_of(const FinishedCall& call);
  observe::Histogram& duration_of(const FinishedCall& call);

  observe::Metrics& metrics_;
  std::array<Cells, kRouteCount> cells_;
};

}  // namespace tessera::api
