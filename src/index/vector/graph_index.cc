#include "index/vector/graph_index.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "index/vector/graph_scratch.h"

namespace tessera::index {
namespace {

constexpr size_t kSweepShare = 16;  // a sweep begins when one in so many is removed...
constexpr size_t kSweepLeast = 64;  // ...and at least so many are

uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15;  // splitmix64 (Steele, Lea, Flood 2014)
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

GraphIndex::GraphIndex(std::shared_ptr<const VectorPlanes> planes, const GraphOptions& options)
    : planes_(std::move(planes)),
      options_(options),
      kernels_(options.kernels != nullptr ? options.kernels : &best_dot_kernels()),
      links_(2 * std::clamp<size_t>(options.m, 4, kLinksMax / 2), true),
      upper_(1, false),
      pool_(1, false) {
  options_.m = std::clamp<size_t>(options_.m, 4, kLinksMax / 2);
  options_.ef_construction = std::clamp<size_t>(options_.ef_construction, options_.m, 4096);
  for (uint64_t bound = ~uint64_t{0} / options_.m; bound > 0 && level_bounds_.size() + 1 < kLevelsMax;
       bound /= options_.m) {
    level_bounds_.push_back(bound);
  }
}

GraphIndex::~GraphIndex() = default;

size_t GraphIndex::level_of(Row row) const {
  const uint64_t number = mixed(options_.seed ^ mixed(row));
  size_t level = 0;
  while (level < level_bounds_.size() && number < level_bounds_[level]) ++level;
  return level;
}

/// A row's lists lie together, within one slab.
void GraphIndex::reserve_upper(Row row, size_t levels) {
  const auto size = static_cast<uint32_t>(1 + levels * options_.m);
  if (pool_used_ % kSlabRows + size > kSlabRows) pool_used_ = (pool_used_ / kSlabRows + 1) * kSlabRows;
  pool_.grow(size_t{pool_used_} + size);
  *upper_.at(row) = pool_used_;
  *pool_.at(pool_used_) = static_cast<uint32_t>(levels);
  pool_used_ += size;
}

size_t GraphIndex::top_of(Row row) const {
  const uint32_t at = *upper_.at(row);
  return at == 0 ? 0 : *pool_.at(at);
}

void GraphIndex::grow(Row rows) {
  links_.grow(rows);
  upper_.grow(rows);
  for (; upper_rows_ < rows; ++upper_rows_) {
    if (const size_t level = level_of(upper_rows_); level > 0) reserve_upper(upper_rows_, level);
  }
}

size_t GraphIndex::read_links(Row row, size_t level, Row* out) const {
  const uint32_t* from = links(row, level);
  size_t count = 0;
  for (; count < width(level); ++count) {
    const uint32_t link = __atomic_load_n(from + count, __ATOMIC_RELAXED);
    if (link == 0) break;
    out[count] = link - 1;
  }
  return count;
}

void GraphIndex::write_links(Row row, size_t level, std::span<const Row> to) {
  uint32_t* at = links(row, level);
  for (size_t i = 0; i < width(level); ++i) {
    __atomic_store_n(at + i, i < to.size() ? to[i] + 1 : 0, __ATOMIC_RELEASE);
  }
}

size_t GraphIndex::memory_bytes() const {
  return sizeof(*this) + links_.memory_bytes() + upper_.memory_bytes() + pool_.memory_bytes() +
         bits_bytes_.load(std::memory_order_relaxed);
}

void GraphIndex::make_bits(Row rows) {
  size_t bytes = 0;
  for (Bits* bits : {&linked_, &dead_, &retiring_}) {
    bits->resize((size_t{rows} + 63) / 64, 0);
    bytes += bits->capacity() * sizeof(uint64_t);
  }
  bits_bytes_.store(bytes, std::memory_order_relaxed);
}

void GraphIndex::set_entry(Row row, size_t level) {
  entry_.store(row | (uint64_t{level} << 32), std::memory_order_release);
}

void GraphIndex::insert_next(const Bits& removed) {
  const Row row = rows_.load(std::memory_order_relaxed);
  make_bits(row + 1);
  if (planes_->has(row) && !bit(removed, row)) {
    const Lease lease(*this);
    Scratch& scratch = *lease;
    scratch.start(row + size_t{1}, planes_->stride);
    const uint64_t entry = entry_.load(std::memory_order_relaxed);
    const size_t level = top_of(row);
    if (static_cast<Row>(entry) == kNone) {
      set_entry(row, level);
    } else {
      const size_t top = entry >> 32;
      row_query(row, scratch);
      Row start = descend(static_cast<Row>(entry), top, std::min(level, top), scratch);
      for (size_t at = std::min(level, top) + 1; at-- > 0;) {
        row_query(row, scratch);
        walk(start, at, options_.ef_construction, scratch);
        if (scratch.pool.size() > 0) start = scratch.pool.row(0);
        connect(row, at, scratch);
      }
      // The new row's own lists come first, so that who reaches it can go on.
      for (const auto& list : scratch.lists) write_links(list.row, list.level, list.to);
      if (level > top) set_entry(row, level);
    }
    set_bit(linked_, row, true);
    live_count_.fetch_add(1, std::memory_order_relaxed);
    changes_.fetch_add(1, std::memory_order_relaxed);
  }
  rows_.store(row + 1, std::memory_order_release);
}

/// By whole codes, and sorted.
void GraphIndex::score_fully(std::vector<Scored>& candidates, Scratch& scratch) const {
  scratch.make_room(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    const SplitCodes codes = planes_->codes(candidates[i].row);
    scratch.pointers[i] = codes;
    for (size_t at = 0; at < planes_->stride / 2; at += 64) __builtin_prefetch(codes.lower + at);
  }
  kernels_->dots(scratch.pointers.data(), candidates.size(), scratch.query, scratch.dots.data());
  for (size_t i = 0; i < candidates.size(); ++i) {
    const float score =
        static_cast<float>(scratch.dots[i]) * planes_->heads.at(candidates[i].row)->scale * scratch.query_scale;
    candidates[i].score = std::isfinite(score) ? score : -1;
  }
  std::ranges::sort(candidates, [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  });
}

/// Leaves in scratch.chosen at most `most` of the candidates (best first): those not closer to one already chosen than
/// to their owner, so that the links lead in different directions (heuristic of Malkov and Yashunin, algorithm 4). An
/// equal distance counts as closer, or copies of one text would link to nothing but each other.
void GraphIndex::choose(std::vector<Scored>& candidates, size_t most, Scratch& scratch) const {
  constexpr size_t kTogether = 4;
  std::vector<Row>& chosen = scratch.chosen;
  chosen.clear();
  SplitCodes pointers[kLinksMax];
  float scales[kLinksMax];
  int32_t dots[kTogether];
  for (const Scored& candidate : candidates) {
    if (chosen.size() == most) break;
    const SplitCodes codes = planes_->codes(candidate.row);
    kernels_->join(codes, planes_->stride, scratch.joined.data());
    const int32_t sum = kernels_->flip(scratch.joined.data(), planes_->stride, scratch.other.data());
    const ByteQuery query{scratch.other.data(), sum, planes_->stride};
    const float scale = planes_->heads.at(candidate.row)->scale;
    bool hidden = false;
    for (size_t from = 0; from < chosen.size() && !hidden; from += kTogether) {
      const size_t count = std::min(kTogether, chosen.size() - from);
      kernels_->dots(pointers + from, count, query, dots);
      for (size_t i = 0; i < count; ++i) {
        hidden |= static_cast<float>(dots[i]) * scales[from + i] * scale >= candidate.score;
      }
    }
    if (hidden) continue;
    pointers[chosen.size()] = codes;
    scales[chosen.size()] = scale;
    chosen.push_back(candidate.row);
  }
}

/// Makes the lists of a new row and of those it links to, from the pool of a walk.
void GraphIndex::connect(Row row, size_t level, Scratch& scratch) {
  scratch.candidates.clear();
  for (size_t i = 0; i < scratch.pool.size(); ++i) {
    const Row other = scratch.pool.row(i);
    if (other != row && !bit(dead_, other)) scratch.candidates.push_back({0, other});
  }
  score_fully(scratch.candidates, scratch);
  if (scratch.candidates.empty()) {
    scratch.candidates.push_back({0, static_cast<Row>(entry_.load(std::memory_order_relaxed))});
  }
  choose(scratch.candidates, options_.m, scratch);
  scratch.lists.push_back({row, level, scratch.chosen});
  const std::vector<Row> to = scratch.chosen;
  const size_t most = width(level);
  Row held[kLinksMax];
  for (const Row other : to) {
    const size_t count = read_links(other, level, held);
    if (count < most) {
      std::vector<Row> longer(held, held + count);
      longer.push_back(row);
      scratch.lists.push_back({other, level, std::move(longer)});
      continue;
    }
    scratch.around.clear();
    scratch.around.push_back({0, row});
    for (size_t i = 0; i < count; ++i) {
      if (!bit(retiring_, held[i])) scratch.around.push_back({0, held[i]});
    }
    row_query(other, scratch);
    score_fully(scratch.around, scratch);
    choose(scratch.around, most, scratch);
    scratch.lists.push_back({other, level, scratch.chosen});
  }
}

void GraphIndex::retire(const Bits& removed) {
  const Row rows = rows_.load(std::memory_order_relaxed);
  uint64_t retired = 0;
  for (size_t word = 0; word < linked_.size() && word < removed.size(); ++word) {
    const uint64_t fresh = linked_[word] & removed[word] & ~dead_[word];
    dead_[word] |= fresh;
    retired += static_cast<uint64_t>(std::popcount(fresh));
  }
  if (retired == 0 || rows == 0) return;
  live_count_.fetch_sub(retired, std::memory_order_relaxed);
  dead_count_.fetch_add(retired, std::memory_order_relaxed);
  changes_.fetch_add(retired, std::memory_order_relaxed);
  if (live() == 0) {
    forget_all();
  } else if (bit(dead_, static_cast<Row>(entry_.load(std::memory_order_relaxed)))) {
    choose_entry();
  }
}

void GraphIndex::choose_entry() {
  Row entry = kNone;
  size_t top = 0;
  const Row rows = rows_.load(std::memory_order_relaxed);
  for (Row row = 0; row < rows; ++row) {
    if (!bit(linked_, row) || bit(dead_, row)) continue;
    const size_t level = top_of(row);
    if (entry != kNone && level <= top) continue;
    entry = row;
    top = level;
  }
  if (entry == kNone) {
    entry_.store(kNone, std::memory_order_release);
  } else {
    set_entry(entry, top);
  }
}

void GraphIndex::forget_all() {
  entry_.store(kNone, std::memory_order_release);
  for (Row row = 0; row < rows_.load(std::memory_order_relaxed); ++row) {
    if (!bit(linked_, row)) continue;
    for (size_t level = 0; level <= top_of(row); ++level) write_links(row, level, {});
  }
  for (Bits* bits : {&linked_, &dead_, &retiring_}) std::ranges::fill(*bits, 0);
  sweeping_ = false;
  dead_count_.store(0, std::memory_order_relaxed);
}

bool GraphIndex::wants_sweep() const {
  return sweeping_ || waypoints() >= std::max<uint64_t>(kSweepLeast, live() / kSweepShare);
}

/// Gives each of the next rows links past the retiring ones; at the end these are forgotten. Nothing links to a
/// retiring row again: new links lead to live rows, and lists are made without them.
bool GraphIndex::sweep(size_t rows, bool at_once) {
  if (!sweeping_) {
    if (waypoints() == 0 || (!at_once && !wants_sweep())) return false;
    retiring_ = dead_;
    sweeping_ = true;
    sweep_at_ = 0;
  }
  const Lease lease(*this);
  Scratch& scratch = *lease;
  const Row end = rows_.load(std::memory_order_relaxed);
  scratch.start(end, planes_->stride);
  for (; rows > 0 && sweep_at_ < end; --rows, ++sweep_at_) {
    if (!bit(linked_, sweep_at_) || bit(retiring_, sweep_at_)) continue;
    for (size_t level = 0; level <= top_of(sweep_at_); ++level) {
      if (choose_past(sweep_at_, level, retiring_, scratch)) write_links(sweep_at_, level, scratch.chosen);
    }
  }
  if (sweep_at_ == end) finish_sweep();
  return true;
}

void GraphIndex::finish_sweep() {
  uint64_t gone = 0;
  for (Row row = 0; row < rows_.load(std::memory_order_relaxed); ++row) {
    if (!bit(retiring_, row)) continue;
    for (size_t level = 0; level <= top_of(row); ++level) write_links(row, level, {});
    set_bit(dead_, row, false);
    set_bit(linked_, row, false);
    ++gone;
  }
  dead_count_.fetch_sub(gone, std::memory_order_relaxed);
  std::ranges::fill(retiring_, 0);
  sweeping_ = false;
}

/// A list with rows that go is chosen anew, into scratch.chosen, from the others in it and those the going ones led to.
/// False: it has none.
bool GraphIndex::choose_past(Row row, size_t level, const Bits& gone, Scratch& scratch) const {
  Row held[kLinksMax];
  Row past[kLinksMax];
  const size_t most = width(level);
  const size_t count = read_links(row, level, held);
  if (std::none_of(held, held + count, [&](Row other) { return bit(gone, other); })) return false;
  scratch.around.clear();
  scratch.make_room_to_visit((most + 1) * (most + 1));
  scratch.visit(row);
  for (size_t i = 0; i < count; ++i) {
    if (!bit(gone, held[i])) {
      if (scratch.visit(held[i])) scratch.around.push_back({0, held[i]});
      continue;
    }
    const size_t beyond = read_links(held[i], level, past);
    for (size_t j = 0; j < beyond; ++j) {
      const bool stays = bit(linked_, past[j]) && !bit(dead_, past[j]) && !bit(gone, past[j]);
      if (stays && scratch.visit(past[j])) scratch.around.push_back({0, past[j]});
    }
  }
  scratch.leave();
  const uint64_t entry = entry_.load(std::memory_order_relaxed);
  const auto from = static_cast<Row>(entry);
  if (scratch.around.empty() && from != kNone && row != from && level <= (entry >> 32) && !bit(gone, from)) {
    scratch.around.push_back({0, from});
  }
  row_query(row, scratch);
  score_fully(scratch.around, scratch);
  choose(scratch.around, most, scratch);
  return true;
}

}  // namespace tessera::index
