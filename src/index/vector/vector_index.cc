#include "index/vector/vector_index.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "index/top_rows.h"
#include "index/vector/exact_search.h"
#include "index/vector/sign_search.h"
#include "index/vector/vector_state.h"

namespace tessera::index {
namespace {

// With an ef of the caller's own: rows that are looked at one by one rather than as many candidates kept.
constexpr size_t kRowsPerCandidate = 40;
// Fewer rows than these are looked at one by one.
constexpr size_t kGatherRows = 1200;
// A filter that leaves so many is met by a plain walk whose other candidates are dropped.
constexpr double kMostShare = 0.6;
// Where it leaves fewer, the walk looks beyond what it leaves out, so that its hops reach more rows than a plain walk's
// and fewer candidates do.
constexpr double kFilteredEf = 0.5;
constexpr size_t kFilteredSpare = 8;
// A filter that leaves few of the rows near the query, but many elsewhere: what it leaves lies scattered around the
// query at about one distance, where any walk gets lost. It is scanned.
constexpr double kAwayShare = 0.25;  // of the share it leaves in all

// How often a search by signs may miss a row as good as the k-th, for each it may miss of the best k. Cosines thin out
// towards the best, so better rows are missed less; where a filter cut them off, the best are all about as good.
constexpr double kMissed = 1.5;
constexpr double kMissedFiltered = 0.8;

// What the ways of a search cost, in microseconds on the machine they were measured on
// (bench/micro/vector_plans_bench.cc); only their ratios count.
/// `pending`: rows beside the graph, which are scanned in full.
double cost_of_walk(size_t ef, double share, size_t pending) {
  constexpr double kCandidate = 1.2;
  constexpr double kFiltered = 1.8;
  constexpr double kPending = 0.01;
  const double times = share >= kMostShare ? 1 / share : kFiltered;
  return static_cast<double>(ef) * kCandidate * times + static_cast<double>(pending) * kPending;
}
double cost_of_signs(size_t selected, size_t rows) {
  constexpr double kQuery = 20;
  constexpr double kRowInOrder = 0.0012;
  constexpr double kRowGathered = 0.006;
  constexpr double kSelected = 0.0012;  // those of them that are looked at in full
  const auto count = static_cast<double>(selected);
  return kQuery + std::min(kRowInOrder * static_cast<double>(rows), kRowGathered * count) + kSelected * count;
}

std::unexpected<base::Error> mismatch(size_t given, size_t ours) {
  return base::fail(base::Code::conflict, "DIMENSION_MISMATCH",
                    fmt::format("The query vector has {} dimensions, the collection's have {}. If the embedding model "
                                "was changed, reindex the collection (POST /api/reindex).",
                                given, ours));
}

}  // namespace

void VectorIndex::State::start(size_t dimensions) {
  planes = std::make_shared<VectorPlanes>(dimensions);
  graph = std::make_shared<GraphIndex>(planes, graph_options());
  vectors = 0;
  removed_told = 0;
  recall = {};
  extents.clear();
  graph_file.reset();
  graph_changes = 0;
  grow(rows);
}

void VectorIndex::State::grow(Row to) {
  rows = to;
  removed.resize((size_t{to} + 63) / 64, 0);
  if (planes == nullptr) return;
  planes->grow(to);
  graph->grow(to);
}

VectorIndex::VectorIndex(const VectorOptions& options) : state_(std::make_unique<State>(options)) {}
VectorIndex::~VectorIndex() = default;

base::Result<EncodedVectors> VectorIndex::encode(std::span<const float> vectors, size_t rows, size_t dimensions) const {
  if (dimensions > kDimensionsMax || vectors.size() != rows * dimensions) {
    return base::fail(base::Code::invalid, "VECTOR_SHAPE",
                      fmt::format("{} numbers do not make {} vectors of {} dimensions (at most {}).", vectors.size(),
                                  rows, dimensions, kDimensionsMax));
  }
  if (vectors.empty()) {
    EncodedVectors nothing;
    nothing.heads.resize(rows);
    return nothing;
  }
  return encode_vectors(vectors, dimensions);
}

void VectorIndex::append(const EncodedVectors& encoded) {
  State& state = *state_;
  const Row first = state.rows;
  const size_t count = encoded.heads.size();
  if (encoded.dimensions > 0 && (state.planes == nullptr || state.planes->dimensions != encoded.dimensions)) {
    state.start(encoded.dimensions);
  }
  state.grow(static_cast<Row>(first + count));
  if (encoded.dimensions == 0) return;
  VectorPlanes& planes = *state.planes;
  const size_t stride = planes.stride;
  for (size_t i = 0; i < count; ++i) planes.split(static_cast<Row>(first + i), encoded.codes.data() + i * stride);
  planes.low.write(first, encoded.low);
  planes.signs.write(first, encoded.signs);
  planes.heads.write(first, encoded.heads);
  for (const VectorHead& head : encoded.heads) state.vectors += head.scale > 0 ? 1 : 0;
}

void VectorIndex::append_nothing(size_t rows) {
  state_->grow(static_cast<Row>(state_->rows + rows));
}

void VectorIndex::remove(Row first, size_t count) {
  State& state = *state_;
  for (Row row = first; row < std::min<size_t>(state.rows, first + count); ++row) {
    if (state.is_removed(row)) continue;
    state.removed[row / 64] |= uint64_t{1} << (row % 64);
    if (state.planes == nullptr || !state.planes->has(row)) continue;
    --state.vectors;
    ++state.removed_told;
  }
}

namespace {

/// One search: which way, and its parts.
class Searcher {
 public:
  Searcher(const VectorPlanes& planes, const GraphIndex& graph, const DotKernels& kernels,
           const RowSelection& selection, VectorWork& work)
      : planes_(planes),
        graph_(graph),
        kernels_(kernels),
        selection_(selection),
        work_(work),
        graph_rows_(graph.rows()) {}

  [[nodiscard]] Row graph_rows() const { return graph_rows_; }

  std::vector<RowHit> scan(std::span<const float> unit, size_t k, Row first, bool coarse) {
    ExactSearch exact(planes_, kernels_, unit, k, coarse);
    exact.look_at(first, planes_.rows, selection_.bits.data());
    std::vector<RowHit> hits = exact.take();
    work_.distances += exact.distances();
    return hits;
  }

  std::vector<RowHit> scan_signs(std::span<const float> unit, size_t k, double recall) {
    work_.plan = VectorWork::Plan::signs;
    SignSearch signs(planes_, kernels_, unit);
    const double missed = (1 - recall) * (selection_.filtered ? kMissedFiltered : kMissed);
    std::vector<RowHit> hits = signs.search(k, std::min(missed, 0.5), selection_.bits.data(), selection_.count);
    work_.distances += signs.distances();
    return hits;
  }

  /// `share` of the rows are selected. `recall` 1: what a walk cannot find is looked at row by row.
  std::vector<RowHit> walk(std::span<const float> unit, size_t k, size_t ef, double share, double recall) {
    GraphQuery query;
    query.unit = unit;
    query.want = rerank_depth(k);
    query.rows = graph_rows_;
    query.visible = planes_.rows;
    query.bits = selection_.bits.data();
    query.ef = ef;
    if (selection_.filtered) {
      const bool most = share >= kMostShare;
      query.filtered = !most;
      query.away_below = share * kAwayShare;
      query.ef = static_cast<size_t>(static_cast<double>(ef) * (most ? 1 / share : kFilteredEf)) + kFilteredSpare;
      query.ef = std::max(query.ef, k + kFilteredSpare);
    }
    work_.plan = query.filtered ? VectorWork::Plan::filtered_walk : VectorWork::Plan::walk;
    GraphWork walked;
    const std::vector<RowHit> candidates = graph_.search(query, &walked);
    work_.distances += walked.distances;
    work_.hops += walked.hops;
    if (walked.away) {
      if (recall < 1) return scan_signs(unit, k, recall);
      work_.plan = VectorWork::Plan::gather;
      return scan(unit, k, 0, true);
    }
    TopRows best(k);
    for (const RowHit& hit : candidates) {
      best.offer({hit.row, exact_score(planes_, hit.row, unit.data(), kernels_)});
    }
    if (graph_rows_ == planes_.rows) return best.take();
    for (const RowHit& hit : scan(unit, k, graph_rows_, false)) best.offer(hit);
    return best.take();
  }

 private:
  const VectorPlanes& planes_;
  const GraphIndex& graph_;
  const DotKernels& kernels_;
  const RowSelection& selection_;
  VectorWork& work_;
  Row graph_rows_;
};

}  // namespace

base::Result<std::vector<RowHit>> VectorIndex::search(const VectorQuery& query, const RowSelection& selection,
                                                      VectorWork* work) const {
  const State& state = *state_;
  VectorWork ignored;
  VectorWork& did = work != nullptr ? *work : ignored;
  did = {};
  double squares = 0;
  for (const float x : query.vector) squares += double{x} * x;
  if (!std::isfinite(squares)) {
    return base::fail(base::Code::invalid, "VECTOR_NOT_FINITE", "The query vector holds a value that is no number.");
  }
  if (state.vectors == 0) return std::vector<RowHit>();
  if (query.vector.size() != state.planes->dimensions) {
    return mismatch(query.vector.size(), state.planes->dimensions);
  }
  const size_t k = std::min<size_t>({query.k, selection.count, state.vectors});
  const std::vector<float> unit = unit_query(query.vector, state.planes->stride);
  if (k == 0 || unit.empty()) return std::vector<RowHit>();

  Searcher searcher(*state.planes, *state.graph, *state.kernels, selection, did);
  const double target = query.recall > 0 ? query.recall : state.options.recall;
  size_t ef = query.ef > 0 ? query.ef : state.options.ef;
  const bool chosen_ef = ef > 0;
  const bool exact = !chosen_ef && target >= 1;
  if (ef == 0) ef = state.recall.ef_for(target, k, searcher.graph_rows());
  ef = std::clamp<size_t>(ef, k, state.rows);
  const double share = static_cast<double>(selection.count) / static_cast<double>(state.rows);
  if (searcher.graph_rows() == 0 || exact) {
    did.plan = VectorWork::Plan::scan;
    return searcher.scan(unit, k, 0, false);
  }
  if (selection.count <= (chosen_ef ? std::max(kGatherRows, ef * kRowsPerCandidate) : kGatherRows)) {
    did.plan = VectorWork::Plan::gather;
    return searcher.scan(unit, k, 0, true);
  }
  const double walk =
      cost_of_walk(ef, selection.filtered ? share : 1, state.rows - std::min(state.rows, searcher.graph_rows()));
  if (!chosen_ef && cost_of_signs(selection.count, state.rows) < walk) {
    return searcher.scan_signs(unit, k, target);
  }
  std::vector<RowHit> hits = searcher.walk(unit, k, ef, share, chosen_ef ? 1 : target);
  if (hits.size() < k) {
    did.rescued = true;
    hits = searcher.scan(unit, k, 0, true);
  }
  return hits;
}

bool VectorIndex::vector_of(Row row, std::span<float> out) const {
  const State& state = *state_;
  if (state.planes == nullptr || row >= state.rows || out.size() != state.planes->dimensions) return false;
  const VectorHead head = *state.planes->heads.at(row);
  if (!sound(head)) return false;
  std::vector<uint8_t> codes(state.planes->stride);
  state.kernels->join(state.planes->codes(row), state.planes->stride, codes.data());
  const int8_t* low = state.planes->low.at(row);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = head.scale * static_cast<float>((codes[i] - kCodeOffset) * 256 + low[i]) / 256;
  }
  return true;
}

VectorStats VectorIndex::stats() const {
  const State& state = *state_;
  VectorStats stats;
  stats.vectors = state.vectors;
  stats.pending = state.vectors;
  stats.m = state.options.m;
  stats.ef_construction = state.options.ef_construction;
  stats.recall_target = state.options.recall;
  stats.memory_bytes = sizeof(State) + state.removed.capacity() * sizeof(uint64_t);
  if (state.planes == nullptr) return stats;
  const VectorPlanes& planes = *state.planes;
  stats.dimensions = planes.dimensions;
  planes.for_each_plane([&](const auto& plane) {
    stats.memory_bytes += plane.memory_bytes();
    stats.mapped_bytes += plane.mapped_bytes();
  });
  if (state.graph->rows() == 0) return stats;
  stats.memory_bytes += state.graph->memory_bytes();
  stats.mapped_bytes += state.graph->mapped_bytes();
  stats.removed = state.graph->waypoints();
  stats.graph_rows = std::min(state.vectors, state.graph->live());
  stats.pending = state.vectors - stats.graph_rows;
  stats.ef = state.options.ef > 0 ? state.options.ef
                                  : state.recall.ef_for(state.options.recall, RecallTable::kFew, state.graph->rows());
  stats.recall = state.recall.recall_at(stats.ef);
  stats.measured_rows = state.recall.rows();
  return stats;
}

size_t VectorIndex::dimensions() const {
  return state_->planes == nullptr ? 0 : state_->planes->dimensions;
}
Row VectorIndex::rows() const {
  return state_->rows;
}
uint64_t VectorIndex::vectors() const {
  return state_->vectors;
}

}  // namespace tessera::index
