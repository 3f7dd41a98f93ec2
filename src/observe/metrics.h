#pragma once

#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "observe/family.h"

namespace tessera::observe {

namespace detail {
template <class... Names>
constexpr size_t count_labels(const Names&...) {
  return sizeof...(Names);
}
// What a row's kind stands for.
using counter = Counter;
using sum = Sum;
using gauge = Gauge;
using latency = Histogram;
using size = Histogram;
}  // namespace detail

/// Everything that is counted: one member for each row of metrics.def, where the meaning stands. Built once, passed by
/// reference to whoever counts. Thread-safe. Resolve labelled series once, outside the hot path:
///   Counter& ok = metrics.http_requests.with({"/health", "GET", "2xx"});   ok.increment();
class Metrics {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

#define TESSERA_METRIC(kind, member, name, unit, help, ...) \
  Family<detail::kind, detail::count_labels(__VA_ARGS__)> member;
#include "observe/metrics.def"
#undef TESSERA_METRIC

  /// `collect` runs at the start of every render, to set gauges that are cheaper to read than to keep. It must not
  /// call back into render or add_collector, and must stay valid until remove_collectors.
  void add_collector(std::function<void()> collect);
  void remove_collectors();

  /// All metrics in the Prometheus text format 0.0.4.
  [[nodiscard]] std::string render() const;

 private:
  mutable std::mutex collectors_mutex_;
  std::vector<std::function<void()>> collectors_;  // guarded by collectors_mutex_
};

/// The media type of `render`.
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/// One row of metrics.def.
struct MetricInfo {
  std::string_view kind;  ///< "counter", "gauge" or "histogram", as Prometheus calls it
  std::string_view name;  ///< with the prefix
  std::string_view unit;
  std::string_view help;
  std::vector<std::string_view> labels;
};
std::vector<MetricInfo> metrics_table();

/// The page docs/metrics.md.
std::string metrics_markdown();

}  // namespace tessera::observe
