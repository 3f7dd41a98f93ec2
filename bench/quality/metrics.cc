#include "metrics.h"

#include <algorithm>
#include <cmath>

namespace tessera::bench {
namespace {
constexpr std::array<size_t, 3> kDepths{1, 5, 10};
constexpr size_t kDepth = 10;
double gain(size_t place) {
  return 1 / std::log2(static_cast<double>(place) + 2);
}
}  // namespace

Measures measure(std::span<const size_t> ranking, std::span<const size_t> right) {
  Measures result;
  if (right.empty()) return result;
  double ideal = 0;
  for (size_t i = 0; i < std::min(kDepth, right.size()); ++i) ideal += gain(i);
  for (size_t i = 0; i < std::min(kDepth, ranking.size()); ++i) {
    if (std::ranges::find(right, ranking[i]) == right.end()) continue;
    result.ndcg += gain(i) / ideal;
    if (result.reciprocal == 0) result.reciprocal = 1 / static_cast<double>(i + 1);
    for (size_t at = 0; at < kDepths.size(); ++at) {
      if (i < kDepths[at]) ++result.recall[at];
    }
  }
  for (double& each : result.recall) each /= static_cast<double>(right.size());
  return result;
}

void MeasureMeans::add(const Measures& measures) {
  for (size_t i = 0; i < sums_.recall.size(); ++i) sums_.recall[i] += measures.recall[i];
  sums_.reciprocal += measures.reciprocal;
  sums_.ndcg += measures.ndcg;
  ++queries_;
}

Measures MeasureMeans::mean() const {
  Measures means = sums_;
  const auto count = static_cast<double>(queries_ == 0 ? 1 : queries_);
  for (double& each : means.recall) each /= count;
  means.reciprocal /= count;
  means.ndcg /= count;
  return means;
}

}  // namespace tessera::bench
