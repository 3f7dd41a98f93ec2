#include "index/vector/recall.h"

#include <algorithm>
#include <cmath>

#include "index/vector/exact_search.h"

namespace tessera::index {
namespace {

constexpr size_t kGuess = 128;       // before anything was measured
constexpr double kLargest = 0.9995;  // no ef promises more
constexpr double kCaution = 0.1;     // of what a recall lacks: a sample errs, and the graph grows after it

}  // namespace

RecallTable RecallTable::measure(const GraphIndex& graph, const VectorPlanes& planes, const DotKernels& kernels,
                                 std::span<const Row> samples, const GraphQuery& scope, const std::atomic<bool>& stop) {
  std::array<size_t, kEfs.size()> few{};
  std::array<size_t, kEfs.size()> many{};
  size_t few_wanted = 0;
  size_t many_wanted = 0;
  std::vector<float> vector(planes.dimensions);
  std::vector<uint8_t> codes(planes.stride);
  for (const Row sample : samples) {
    kernels.join(planes.codes(sample), planes.stride, codes.data());
    for (size_t i = 0; i < vector.size(); ++i) {
      vector[i] = static_cast<float>((codes[i] - kCodeOffset) * 256 + planes.low.at(sample)[i]);
    }
    const std::vector<float> unit = unit_query(vector, planes.stride);
    if (unit.empty()) continue;
    ExactSearch exact(planes, kernels, unit, kMany, true);
    exact.look_at(0, scope.rows, scope.bits);
    const std::vector<RowHit> truth = exact.take();
    if (truth.empty()) continue;
    const float least_few = truth[std::min(kFew, truth.size()) - 1].score;
    const float least_many = truth.back().score;
    few_wanted += std::min(kFew, truth.size());
    many_wanted += truth.size();
    bool complete = false;  // a larger ef would find no less
    for (size_t i = 0; i < kEfs.size(); ++i) {
      if (stop) return {};
      if (complete) {
        few[i] += std::min(kFew, truth.size());
        many[i] += truth.size();
        continue;
      }
      GraphQuery query = scope;
      query.unit = unit;
      query.ef = kEfs[i];
      query.want = rerank_depth(kMany);
      size_t found_few = 0;
      size_t found_many = 0;
      for (const RowHit& hit : graph.search(query)) {
        const float score = exact_score(planes, hit.row, unit.data(), kernels);
        found_few += score >= least_few ? 1 : 0;
        found_many += score >= least_many ? 1 : 0;
      }
      few[i] += std::min(found_few, kFew);
      many[i] += std::min(found_many, truth.size());
      complete = found_many >= truth.size();
    }
  }
  RecallTable table;
  if (few_wanted == 0) return table;
  table.rows_ = scope.rows;
  for (size_t i = 0; i < kEfs.size(); ++i) {
    table.few_[i] = static_cast<float>(few[i]) / static_cast<float>(few_wanted);
    table.many_[i] = static_cast<float>(many[i]) / static_cast<float>(many_wanted);
  }
  return table;
}

double RecallTable::ef_of(const std::array<float, kEfs.size()>& recalls, double recall) {
  size_t at = 0;
  while (at + 1 < kEfs.size() && recalls[at] < recall) ++at;
  const auto ef = static_cast<double>(kEfs[at]);
  if (at == 0 || recalls[at] <= recalls[at - 1]) return ef;
  const auto before = static_cast<double>(kEfs[at - 1]);
  return before + (ef - before) * std::clamp((recall - recalls[at - 1]) / (recalls[at] - recalls[at - 1]), 0.0, 1.0);
}

size_t RecallTable::ef_for(double recall, size_t k, uint64_t rows) const {
  if (rows_ == 0) return std::max(kGuess, 2 * k);
  recall = std::min(recall + (1 - recall) * kCaution, kLargest);
  const double few = ef_of(few_, recall);
  double ef = few;
  if (k > kFew) {
    const double many = std::max(few, ef_of(many_, recall));
    const double share = std::log(static_cast<double>(k) / kFew) / std::log(static_cast<double>(kMany) / kFew);
    ef = k <= kMany ? few + (many - few) * share : many * static_cast<double>(k) / kMany;
  }
  const double growth = static_cast<double>(std::max(rows, rows_)) / static_cast<double>(rows_);
  return std::max(static_cast<size_t>(std::ceil(ef * std::sqrt(growth))), k);
}

double RecallTable::recall_at(size_t ef) const {
  size_t at = 0;
  while (at + 1 < kEfs.size() && kEfs[at] < ef) ++at;
  if (at == 0 || kEfs[at] < ef) return few_[at];
  const auto before = static_cast<double>(kEfs[at - 1]);
  const double share = (static_cast<double>(ef) - before) / (static_cast<double>(kEfs[at]) - before);
  return few_[at - 1] + (few_[at] - few_[at - 1]) * share;
}

void RecallTable::write(ByteWriter& out) const {
  out.put(rows_);
  out.put_array(std::span<const float>(few_));
  out.put_array(std::span<const float>(many_));
}

RecallTable RecallTable::read(ByteReader& in) {
  RecallTable table;
  table.rows_ = in.get<uint64_t>();
  for (auto* recalls : {&table.few_, &table.many_}) {
    for (float& recall : *recalls) recall = in.get<float>();
    for (float& recall : *recalls) recall = recall >= 0 && recall <= 1 ? recall : 0;
  }
  return table;
}

}  // namespace tessera::index
