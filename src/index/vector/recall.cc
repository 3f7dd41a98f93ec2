#include "index/vector/recall.h"

#include <algorithm>
#include <cmath>

#include "index/vector/exact_search.h"

namespace tessera::index {
namespace {

constexpr size_t kGuess = 128;       // before anything was measured
constexpr double kLargest = 0.9995;  // no ef promises more
constexpr double kCaution = 0.1;     // of what a recall lacks: a sample errs, and the graph grows after it

using Counts = std::array<size_t, RecallTable::kEfs.size()>;

std::array<float, RecallTable::kEfs.size()> shares(const Counts& found, size_t wanted) {
  std::array<float, RecallTable::kEfs.size()> shares;
  for (size_t i = 0; i < found.size(); ++i) shares[i] = static_cast<float>(found[i]) / static_cast<float>(wanted);
  return shares;
}

/// Adds up, sample by sample, what is to be found and what each ef finds.
class Tally {
 public:
  explicit Tally(const RecallSubject& subject)
      : subject_(subject), vector_(subject.planes.dimensions), codes_(subject.planes.stride) {}

  void add(Row sample, const std::atomic<bool>& stop) {
    read(sample);
    const std::vector<float> unit = unit_query(vector_, subject_.planes.stride);
    if (unit.empty()) return;
    ExactSearch exact(subject_.planes, subject_.kernels, unit, RecallTable::kMany, true);
    exact.look_at(0, subject_.scope.rows, subject_.scope.bits);
    const std::vector<RowHit> truth = exact.take();
    if (truth.empty()) return;
    const size_t few_there = std::min(RecallTable::kFew, truth.size());
    few_wanted += few_there;
    many_wanted += truth.size();
    bool complete = false;  // a larger ef would find no less
    for (size_t i = 0; i < few.size() && !stop; ++i) {
      const Found found = complete ? Found{few_there, truth.size()} : walk(unit, RecallTable::kEfs[i], truth);
      few[i] += found.few;
      many[i] += found.many;
      complete = found.many >= truth.size();
    }
  }

  Counts few{};
  Counts many{};
  size_t few_wanted = 0;
  size_t many_wanted = 0;

 private:
  struct Found {
    size_t few = 0;
    size_t many = 0;
  };

  void read(Row sample) {
    const VectorPlanes& planes = subject_.planes;
    subject_.kernels.join(planes.codes(sample), planes.stride, codes_.data());
    for (size_t i = 0; i < vector_.size(); ++i) {
      vector_[i] = static_cast<float>((codes_[i] - kCodeOffset) * 256 + planes.low.at(sample)[i]);
    }
  }

  [[nodiscard]] Found walk(const std::vector<float>& unit, size_t ef, const std::vector<RowHit>& truth) const {
    GraphQuery query = subject_.scope;
    query.unit = unit;
    query.ef = ef;
    query.want = rerank_depth(RecallTable::kMany);
    const size_t few_there = std::min(RecallTable::kFew, truth.size());
    Found found;
    for (const RowHit& hit : subject_.graph.search(query)) {
      const float score = exact_score(subject_.planes, hit.row, unit.data(), subject_.kernels);
      found.few += score >= truth[few_there - 1].score ? 1 : 0;
      found.many += score >= truth.back().score ? 1 : 0;
    }
    return {std::min(found.few, few_there), std::min(found.many, truth.size())};
  }

  const RecallSubject& subject_;
  std::vector<float> vector_;
  std::vector<uint8_t> codes_;
};

}  // namespace

RecallTable RecallTable::measure(const RecallSubject& subject, std::span<const Row> samples,
                                 const std::atomic<bool>& stop) {
  Tally tally(subject);
  for (const Row sample : samples) {
    tally.add(sample, stop);
    if (stop) return {};
  }
  RecallTable table;
  if (tally.few_wanted == 0) return table;
  table.rows_ = subject.scope.rows;
  table.few_ = shares(tally.few, tally.few_wanted);
  table.many_ = shares(tally.many, tally.many_wanted);
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
