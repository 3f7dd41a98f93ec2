#include "api/call_metrics.h"

#include <algorithm>
#include <string_view>

namespace tessera::api {
namespace {

constexpr std::string_view kUnmatched = "unmatched";

size_t class_of(int status) {
  return static_cast<size_t>(std::clamp(status / 100, 0, 5));
}

// Two threads may both look a series up; they find the same one.
template <class Cell, class Find>
Cell& resolved(std::atomic<Cell*>& known, Find find) {
  if (Cell* const cell = known.load(std::memory_order_acquire)) return *cell;
  Cell& cell = find();
  known.store(&cell, std::memory_order_release);
  return cell;
}

}  // namespace

observe::Counter& CallMetrics::requests_of(const FinishedCall& call) {
  static constexpr std::string_view kNames[kClasses] = {"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"};
  const size_t status_class = class_of(call.status);
  const auto find = [&]() -> observe::Counter& {
    const std::string_view route = call.route == nullptr ? kUnmatched : call.route->name;
    return metrics_.http_requests.with({route, wire::to_string(call.method), kNames[status_class]});
  };
  if (call.route == nullptr || call.method != call.route->method) return find();
  return resolved(cells_[static_cast<size_t>(call.route->id)].requests[status_class], find);
}

observe::Histogram& CallMetrics::duration_of(const FinishedCall& call) {
  if (call.route == nullptr) return metrics_.http_duration.with(kUnmatched);
  return resolved(cells_[static_cast<size_t>(call.route->id)].duration,
                  [&]() -> observe::Histogram& { return metrics_.http_duration.with(call.route->name); });
}

void CallMetrics::count(const FinishedCall& call) {
  requests_of(call).increment();
  duration_of(call).observe(call.seconds);
  metrics_.http_bytes_in.increment(call.bytes_in);
  if (call.error) metrics_.errors.with(base::to_string(*call.error)).increment();
}

}  // namespace tessera::api
