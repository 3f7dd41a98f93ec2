#include <algorithm>
#include <bit>
#include <cmath>

#include "index/vector/graph_scratch.h"

namespace tessera::index {
namespace {

constexpr size_t kDistancesPerCandidate = 12;  // measured: what a walk looks at for each candidate it keeps
constexpr size_t kPrefetchBytes = 384;         // of a row; the processor's own prefetcher goes on from there

// How many of the best by bytes are ordered in full. Far from the query many rows are equally far, within what the
// bytes leave out: a scan under a filter that allows none but these needs more of them.
size_t walk_depth(size_t k) {
  return 2 * k + 32;
}
size_t scan_depth(size_t k) {
  return 8 * k + 128;
}

}  // namespace

bool GraphIndex::encode_query(std::span<const float> vector, Scratch& scratch) const {
  if (vector.size() != options_.dimensions) return false;
  double squares = 0;
  float largest = 0;
  for (const float x : vector) {
    squares += double{x} * x;
    largest = std::max(largest, std::fabs(x));
  }
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm) || norm < 1e-30) return false;
  const auto unit = static_cast<float>(1 / norm);
  if (!std::isfinite(unit)) return false;
  const float steps = 127 / (largest * unit);
  int32_t sum = 0;
  for (size_t i = 0; i < vector.size(); ++i) {
    scratch.unit[i] = vector[i] * unit;
    const auto value = static_cast<int8_t>(std::clamp(std::nearbyint(scratch.unit[i] * steps), -127.0F, 127.0F));
    scratch.values[i] = value;
    sum += value;
  }
  scratch.query = {scratch.values.data(), sum, stride_};
  scratch.query_scale = 1 / steps;
  return true;
}

void GraphIndex::row_query(Row row, Scratch& scratch) const {
  const int32_t sum = kernels_->flip(codes_.data() + size_t{row} * stride_, stride_, scratch.values.data());
  scratch.query = {scratch.values.data(), sum, stride_};
  scratch.query_scale = scales_[row];
}

const Row* GraphIndex::links(Row row, size_t level) const {
  if (level == 0) return links_.data() + size_t{row} * 2 * options_.m;
  return upper_links_.data() + upper_[row] + (level - 1) * options_.m;
}

/// Scores the unseen neighbours of a row together and offers them.
void GraphIndex::expand(Row row, size_t level, Scratch& scratch) const {
  const Row* from = links(row, level);
  const size_t most = width(level);
  const size_t bytes = std::min(stride_, kPrefetchBytes);
  const uint8_t* const codes = codes_.data();
  const float* const scales = scales_.data();
  Row* batch = scratch.batch.data();
  size_t count = 0;
  scratch.make_room_to_visit(most + 1);
  for (size_t i = 0; i < most && from[i] != kNone; ++i) {
    batch[count] = from[i];
    count += scratch.visit(from[i]) ? 1 : 0;
  }
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* ahead = codes + size_t{batch[i]} * stride_;
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(ahead + at);
    __builtin_prefetch(scales + batch[i]);
  }
  if (count == 0) return;
  kernels_->dots(codes, batch, count, scratch.query, scratch.dots.data());
  for (size_t i = 0; i < count; ++i) {
    const float score = static_cast<float>(scratch.dots[i]) * scales[batch[i]] * scratch.query_scale;
    if (score > scratch.pool.floor() && scratch.pool.offer(score, batch[i]) && level == 0) {
      const Row* ahead = links(batch[i], 0);
      for (size_t at = 0; at < most; at += 16) __builtin_prefetch(ahead + at);
    }
  }
  scratch.work.distances += count;
  ++scratch.work.hops;
}

/// Leaves the ef best rows it met in the pool.
void GraphIndex::walk(Row start, size_t level, size_t ef, Scratch& scratch) const {
  scratch.pool.reset(ef);
  int32_t dot = 0;
  kernels_->dots(codes_.data(), &start, 1, scratch.query, &dot);
  scratch.make_room_to_visit(1);
  scratch.visit(start);
  scratch.pool.offer(static_cast<float>(dot) * scales_[start] * scratch.query_scale, start);
  Row row = 0;
  while (scratch.pool.take(row)) expand(row, level, scratch);
  scratch.leave();
}

Row GraphIndex::descend(size_t to_level, Scratch& scratch) const {
  Row best = entry_;
  for (size_t level = top_level_; level > to_level; --level) {
    walk(best, level, 1, scratch);
    best = scratch.pool.row(0);
  }
  return best;
}

size_t GraphIndex::matches(const uint64_t* allowed) const {
  if (allowed == nullptr) return live_count_;
  size_t count = 0;
  for (size_t word = 0; word < live_.size(); ++word) count += std::popcount(live_[word] & allowed[word]);
  return count;
}

float GraphIndex::score(Row row, const float* unit) const {
  const uint8_t* codes = codes_.data() + size_t{row} * stride_;
  const int8_t* low = options_.rerank ? low_.data() + size_t{row} * stride_ : no_low_.data();
  return std::clamp(exact_->exact(codes, low, unit, stride_) * scales_[row] / 256, -1.0F, 1.0F);
}

/// The pool's rows that may be returned, ordered by their full precision.
std::vector<GraphHit> GraphIndex::best(const GraphQuery& query, Scratch& scratch) const {
  std::vector<GraphHit> hits;
  const size_t depth = scratch.work.scanned ? scan_depth(query.k) : walk_depth(query.k);
  for (size_t i = 0; i < scratch.pool.size() && hits.size() < depth; ++i) {
    const Row row = scratch.pool.row(i);
    if (!bit(live_, row)) continue;
    if (query.allowed != nullptr && ((query.allowed[row / 64] >> (row % 64)) & 1) == 0) continue;
    if (options_.rerank) __builtin_prefetch(low_.data() + size_t{row} * stride_);
    hits.push_back({row, 0});
  }
  for (GraphHit& hit : hits) hit.score = score(hit.row, scratch.unit.data());
  std::ranges::sort(hits, [](const GraphHit& a, const GraphHit& b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  });
  if (hits.size() > query.k) hits.resize(query.k);
  return hits;
}

/// Every live and allowed row against the query in bytes.
std::vector<GraphHit> GraphIndex::scan(const GraphQuery& query, Scratch& scratch) const {
  scratch.pool.reset(scan_depth(query.k));
  scratch.work.scanned = true;
  Row* batch = scratch.batch.data();
  size_t count = 0;
  const auto flush = [&] {
    kernels_->dots(codes_.data(), batch, count, scratch.query, scratch.dots.data());
    for (size_t i = 0; i < count; ++i) {
      scratch.pool.offer(static_cast<float>(scratch.dots[i]) * scales_[batch[i]] * scratch.query_scale, batch[i]);
    }
    scratch.work.distances += count;
    count = 0;
  };
  for (size_t word = 0; word < live_.size(); ++word) {
    uint64_t bits = query.allowed == nullptr ? live_[word] : live_[word] & query.allowed[word];
    for (; bits != 0; bits &= bits - 1) {
      const auto row = static_cast<Row>(word * 64 + std::countr_zero(bits));
      for (size_t i = 0; i < stride_; i += 64) __builtin_prefetch(codes_.data() + size_t{row} * stride_ + i);
      batch[count++] = row;
    }
    if (count + 64 > scratch.batch.size()) flush();
  }
  flush();
  return best(query, scratch);
}

std::vector<GraphHit> GraphIndex::search(const GraphQuery& asked, GraphWork* work) const {
  const Lease lease(*this);
  Scratch& scratch = *lease;
  const auto lock = access_.read();
  scratch.start(rows_, stride_);
  GraphQuery query = asked;
  const size_t found = matches(query.allowed);
  query.k = std::min(query.k, found);
  if (query.k == 0 || !encode_query(query.vector, scratch)) return {};
  // A walk that must meet ef allowed rows meets ef / share rows; where a scan of the allowed ones costs less, it scans.
  const size_t ef = std::max(query.ef, query.k);
  const auto wide = static_cast<size_t>(static_cast<double>(ef) * static_cast<double>(live_count_ + dead_count_) /
                                        static_cast<double>(found)) +
                    1;
  std::vector<GraphHit> hits;
  if (found > wide * kDistancesPerCandidate) {
    const Row start = descend(0, scratch);
    walk(start, 0, found == live_count_ + dead_count_ ? ef : wide, scratch);
    hits = best(query, scratch);
  }
  if (hits.size() < query.k) hits = scan(query, scratch);
  if (work != nullptr) *work = scratch.work;
  return hits;
}

std::vector<GraphHit> GraphIndex::search_exact(const GraphQuery& asked) const {
  const Lease lease(*this);
  Scratch& scratch = *lease;
  const auto lock = access_.read();
  scratch.start(rows_, stride_);
  GraphQuery query = asked;
  query.k = std::min(query.k, matches(query.allowed));
  if (query.k == 0 || !encode_query(query.vector, scratch)) return {};
  scratch.pool.reset(query.k);
  for (size_t word = 0; word < live_.size(); ++word) {
    uint64_t bits = query.allowed == nullptr ? live_[word] : live_[word] & query.allowed[word];
    for (; bits != 0; bits &= bits - 1) {
      const auto row = static_cast<Row>(word * 64 + std::countr_zero(bits));
      scratch.pool.offer(score(row, scratch.unit.data()), row);
    }
  }
  return best(query, scratch);
}

size_t GraphIndex::ef_for_recall(double target, size_t k, size_t samples) const {
  static constexpr size_t kLadder[] = {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
  std::vector<std::vector<float>> queries;
  {
    const auto lock = access_.read();
    const size_t step = std::max<size_t>(1, live_count_ / std::max<size_t>(1, samples));
    size_t seen = 0;
    for (Row row = 0; row < rows_ && queries.size() < samples; ++row) {
      if (!bit(live_, row) || seen++ % step != 0) continue;
      std::vector<float> vector(options_.dimensions);
      for (size_t i = 0; i < vector.size(); ++i) {
        vector[i] = static_cast<float>(int{codes_[size_t{row} * stride_ + i]} - kCodeOffset);
      }
      queries.push_back(std::move(vector));
    }
  }
  const auto without_itself = [&](std::vector<GraphHit> hits) {
    if (!hits.empty()) hits.erase(hits.begin());
    return hits;
  };
  std::vector<std::vector<GraphHit>> truth;
  size_t wanted = 0;
  for (const auto& vector : queries) {
    truth.push_back(without_itself(search_exact({.vector = vector, .k = k + 1})));
    wanted += truth.back().size();
  }
  for (const size_t ef : kLadder) {
    size_t got = 0;
    for (size_t i = 0; i < queries.size(); ++i) {
      for (const GraphHit& hit : without_itself(search({.vector = queries[i], .k = k + 1, .ef = ef}))) {
        got += !truth[i].empty() && hit.score >= truth[i].back().score ? 1 : 0;
      }
    }
    if (static_cast<double>(got) >= target * static_cast<double>(wanted)) return ef;
  }
  return kLadder[std::size(kLadder) - 1];
}

}  // namespace tessera::index
