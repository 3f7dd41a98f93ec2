#include <algorithm>
#include <bit>
#include <cmath>

#include "index/vector/graph_scratch.h"

namespace tessera::index {
namespace {

constexpr size_t kPrefetchBytes = 384;  // of a row; the processor's own prefetcher goes on from there
constexpr size_t kSeeds = 48;           // allowed rows a filtered walk also begins at
constexpr size_t kBatchEnough = 32;     // allowed rows found around one, after which no more bridges are crossed

}  // namespace

void GraphIndex::row_query(Row row, Scratch& scratch) const {
  kernels_->join(planes_->codes(row), planes_->stride, scratch.joined.data());
  const int32_t sum = kernels_->flip(scratch.joined.data(), planes_->stride, scratch.values.data());
  scratch.query = {scratch.values.data(), sum, planes_->stride};
  scratch.query_scale = planes_->heads.at(row)->scale;
}

uint32_t* GraphIndex::links(Row row, size_t level) const {
  if (level == 0) return links_.at(row);
  return pool_.at(*upper_.at(row)) + 1 + (level - 1) * options_.m;
}

/// Scores the rows in the batch together, by the upper halves of their codes, and offers them.
void GraphIndex::score_batch(size_t count, size_t level, Scratch& scratch) const {
  if (count == 0) return;
  const size_t bytes = std::min(planes_->stride / 2, kPrefetchBytes);
  const Row* batch = scratch.batch.data();
  for (size_t i = 0; i < count; ++i) {
    const SplitCodes codes = planes_->codes(batch[i]);
    scratch.pointers[i] = codes;
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(codes.upper + at);
    __builtin_prefetch(planes_->heads.at(batch[i]));
  }
  kernels_->coarse(scratch.pointers.data(), count, scratch.query, scratch.dots.data());
  const size_t most = width(0);
  for (size_t i = 0; i < count; ++i) {
    const float score = static_cast<float>(scratch.dots[i]) * planes_->heads.at(batch[i])->scale * scratch.query_scale;
    if (score > scratch.pool.floor() && scratch.pool.offer(score, batch[i]) && level == 0) {
      const uint32_t* ahead = links_.at(batch[i]);
      for (size_t at = 0; at < most; at += 16) __builtin_prefetch(ahead + at);
    }
  }
  scratch.work.distances += count;
}

/// Scores the unseen neighbours of a row.
void GraphIndex::expand(Row row, size_t level, Scratch& scratch) const {
  const uint32_t* from = links(row, level);
  const size_t most = width(level);
  Row* batch = scratch.batch.data();
  size_t count = 0;
  scratch.make_room_to_visit(most + 1);
  for (size_t i = 0; i < most; ++i) {
    const uint32_t link = __atomic_load_n(from + i, __ATOMIC_RELAXED);
    if (link == 0) break;
    batch[count] = link - 1;
    count += scratch.visit(link - 1) ? 1 : 0;
  }
  score_batch(count, level, scratch);
  ++scratch.work.hops;
}

/// Scores the unseen allowed neighbours of a row; where they are few also those beyond neighbours that are not allowed.
void GraphIndex::expand_filtered(Row row, const uint64_t* bits, Scratch& scratch) const {
  const size_t most = width(0);
  Row* batch = scratch.batch.data();
  Row* bridges = scratch.bridges.data();
  size_t count = 0;
  size_t crossed = 0;
  scratch.make_room_to_visit((most + 1) * (most + 1));
  const uint32_t* from = links_.at(row);
  for (size_t i = 0; i < most; ++i) {
    const uint32_t link = __atomic_load_n(from + i, __ATOMIC_RELAXED);
    if (link == 0) break;
    if (!scratch.visit(link - 1)) continue;
    if (bit(bits, link - 1)) {
      batch[count++] = link - 1;
    } else {
      bridges[crossed++] = link - 1;
    }
  }
  if (count < kBatchEnough) {
    for (size_t i = 0; i < crossed; ++i) {
      const uint32_t* ahead = links_.at(bridges[i]);
      for (size_t at = 0; at < most; at += 16) __builtin_prefetch(ahead + at);
    }
  }
  for (size_t i = 0; i < crossed && count < kBatchEnough; ++i) {
    const uint32_t* past = links_.at(bridges[i]);
    for (size_t j = 0; j < most; ++j) {
      const uint32_t link = __atomic_load_n(past + j, __ATOMIC_RELAXED);
      if (link == 0) break;
      if (!bit(bits, link - 1)) continue;
      batch[count] = link - 1;
      count += scratch.visit(link - 1) ? 1 : 0;
    }
  }
  score_batch(count, 0, scratch);
  ++scratch.work.hops;
}

/// The share of allowed rows among the neighbours of a row and theirs.
double GraphIndex::share_around(Row row, const uint64_t* bits) const {
  Row near[kLinksMax];
  Row beyond[kLinksMax];
  size_t seen = 0;
  size_t allowed = 0;
  const size_t count = read_links(row, 0, near);
  for (size_t i = 0; i < count; ++i) {
    const size_t others = read_links(near[i], 0, beyond);
    for (size_t j = 0; j < others; ++j) allowed += bit(bits, beyond[j]) ? 1 : 0;
    seen += others;
  }
  return seen == 0 ? 0 : static_cast<double>(allowed) / static_cast<double>(seen);
}

/// Leaves the ef best rows it met in the pool.
void GraphIndex::walk(Row start, size_t level, size_t ef, Scratch& scratch) const {
  scratch.pool.reset(ef);
  scratch.make_room_to_visit(1);
  scratch.visit(start);
  scratch.batch[0] = start;
  score_batch(1, level, scratch);
  Row row = 0;
  while (scratch.pool.take(row)) expand(row, level, scratch);
  scratch.leave();
}

/// Leaves the ef best allowed rows it met in the pool. Besides the start, it begins at allowed rows from everywhere:
/// the best of them may lie where no way of allowed rows leads to from the start.
void GraphIndex::walk_filtered(Row start, const GraphQuery& query, Scratch& scratch) const {
  scratch.pool.reset(query.ef);
  scratch.make_room_to_visit(kSeeds + 1);
  size_t count = 0;
  scratch.visit(start);
  if (bit(query.bits, start)) scratch.batch[count++] = start;
  const size_t words = query.rows / 64;
  for (size_t seed = 0; seed < kSeeds && words > 0; ++seed) {
    size_t word = seed * words / kSeeds;
    const size_t end = (seed + 1) * words / kSeeds;
    while (word < end && query.bits[word] == 0) ++word;
    if (word >= end) continue;
    const auto row = static_cast<Row>(word * 64 + static_cast<size_t>(std::countr_zero(query.bits[word])));
    if (!planes_->has(row)) continue;
    scratch.batch[count] = row;
    count += scratch.visit(row) ? 1 : 0;
  }
  score_batch(count, 0, scratch);
  expand_filtered(start, query.bits, scratch);
  Row row = 0;
  while (scratch.pool.take(row)) expand_filtered(row, query.bits, scratch);
  scratch.leave();
}

Row GraphIndex::descend(Row entry, size_t from_level, size_t to_level, Scratch& scratch) const {
  Row best = entry;
  for (size_t level = from_level; level > to_level; --level) {
    walk(best, level, 1, scratch);
    if (scratch.pool.size() > 0) best = scratch.pool.row(0);
  }
  return best;
}

std::vector<RowHit> GraphIndex::search(const GraphQuery& query, GraphWork* work) const {
  std::vector<RowHit> found;
  const uint64_t entry = entry_.load(std::memory_order_acquire);
  if (static_cast<Row>(entry) == kNone || query.want == 0) return found;
  const Lease lease(*this);
  Scratch& scratch = *lease;
  scratch.start(query.visible, planes_->stride);
  scratch.encode(query.unit);
  const Row start = descend(static_cast<Row>(entry), entry >> 32, 0, scratch);
  scratch.work.away = query.away_below > 0 && share_around(start, query.bits) < query.away_below;
  if (scratch.work.away) {
    scratch.pool.reset(0);
  } else if (query.filtered) {
    walk_filtered(start, query, scratch);
  } else {
    walk(start, 0, query.ef, scratch);
  }
  scratch.candidates.clear();
  for (size_t i = 0; i < scratch.pool.size(); ++i) {
    const Row row = scratch.pool.row(i);
    if (row < query.rows && bit(query.bits, row)) scratch.candidates.push_back({0, row});
  }
  score_fully(scratch.candidates, scratch);
  found.reserve(std::min(query.want, scratch.candidates.size()));
  for (const Scored& candidate : scratch.candidates) {
    if (found.size() == query.want) break;
    found.push_back({candidate.row, candidate.score});
  }
  if (work != nullptr) *work = scratch.work;
  return found;
}

}  // namespace tessera::index
