#include "index/vector/graph_index.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "index/vector/graph_scratch.h"
#include "index/vector/vector_store.h"

namespace tessera::index {
namespace {

constexpr size_t kSweepRows = 16;   // looked at for each change, so that a sweep costs no change much
constexpr size_t kSweepShare = 16;  // a sweep begins when one in so many is removed...
constexpr size_t kSweepLeast = 64;  // ...and at least so many are

uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15;  // splitmix64 (Steele, Lea, Flood 2014)
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

GraphIndex::GraphIndex(const GraphOptions& options)
    : options_(options),
      kernels_(options.kernels != nullptr ? options.kernels : &best_graph_kernels()),
      exact_(&best_dot_kernels()) {
  options_.dimensions = std::clamp<size_t>(options_.dimensions, 1, kDimensionsMax);
  options_.m = std::clamp<size_t>(options_.m, 4, kLinksMax / 2);
  options_.ef_construction = std::clamp<size_t>(options_.ef_construction, options_.m, 4096);
  stride_ = (options_.dimensions + kCodeAlign - 1) / kCodeAlign * kCodeAlign;
  no_low_.assign(options_.rerank ? 0 : stride_, 0);
  upper_links_.assign(1, kNone);
}

GraphIndex::~GraphIndex() = default;

size_t GraphIndex::level_of(Row row) const {
  const double unit = (static_cast<double>(mixed(options_.seed ^ mixed(row)) >> 11) + 1) * 0x1p-53;
  return std::min(static_cast<size_t>(-std::log(unit) / std::log(static_cast<double>(options_.m))), kLevelsMax - 1);
}

Row* GraphIndex::links(Row row, size_t level) {
  return const_cast<Row*>(std::as_const(*this).links(row, level));
}

size_t GraphIndex::memory_bytes() const {
  const auto lock = access_.read();
  return sizeof(*this) + codes_.bytes() + links_.bytes() + scales_.bytes() + low_.bytes() + upper_.bytes() +
         upper_links_.capacity() * sizeof(Row) + (live_.capacity() + dead_.capacity() + retiring_.capacity()) * 8;
}

void GraphIndex::make_room(Row row) {
  if (row >= rows_) {
    const size_t rows = size_t{row} + 1;
    codes_.reserve(rows * stride_);
    links_.reserve(rows * 2 * options_.m);
    scales_.reserve(rows);
    upper_.reserve(rows);
    if (options_.rerank) low_.reserve(rows * stride_);
    std::fill(links(rows_, 0), links(row, 0) + width(0), kNone);
    for (auto* bits : {&live_, &dead_, &retiring_}) bits->resize((rows + 63) / 64, 0);
    rows_ = static_cast<Row>(rows);
  }
  const size_t level = level_of(row);
  if (level > 0 && upper_[row] == 0) {
    upper_[row] = static_cast<uint32_t>(upper_links_.size());
    upper_links_.resize(upper_links_.size() + level * options_.m, kNone);
  }
}

bool GraphIndex::add(Row row, std::span<const float> vector) {
  if (vector.size() != options_.dimensions || row >= (Row{1} << 31) - 1) return false;
  if (row < rows_ && bit(live_, row)) return false;
  const EncodedVectors encoded = encode_vectors(vector, options_.dimensions);
  if (!(encoded.heads[0].scale > 0)) return false;
  if (row < rows_ && bit(dead_, row)) repair();
  {
    const auto lock = access_.write();
    make_room(row);
    std::ranges::copy(encoded.codes, codes_.data() + size_t{row} * stride_);
    if (options_.rerank) std::ranges::copy(encoded.low, low_.data() + size_t{row} * stride_);
    scales_[row] = encoded.heads[0].scale;
  }
  const Lease lease(*this);
  Scratch& scratch = *lease;
  scratch.start(rows_, stride_);
  const size_t level = level_of(row);
  if (live_count_ > 0) {
    row_query(row, scratch);
    Row start = descend(std::min(level, top_level_), scratch);
    for (size_t at = std::min(level, top_level_) + 1; at-- > 0;) {
      row_query(row, scratch);
      walk(start, at, options_.ef_construction, scratch);
      start = scratch.pool.row(0);
      connect(row, at, scratch);
    }
  }
  {
    const auto lock = access_.write();
    write_lists(scratch);
    set_bit(live_, row, true);
    if (++live_count_ == 1 || level > top_level_) {
      entry_ = row;
      top_level_ = level;
    }
  }
  sweep(kSweepRows);
  return true;
}

void GraphIndex::score_for(Row owner, std::vector<Scored>& candidates, Scratch& scratch) const {
  row_query(owner, scratch);
  scratch.chosen.clear();
  for (const Scored& candidate : candidates) scratch.chosen.push_back(candidate.row);
  if (scratch.dots.size() < candidates.size()) scratch.dots.resize(candidates.size());
  kernels_->dots(codes_.data(), scratch.chosen.data(), candidates.size(), scratch.query, scratch.dots.data());
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].score = static_cast<float>(scratch.dots[i]) * scales_[candidates[i].row] * scratch.query_scale;
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
  for (const Scored& candidate : candidates) {
    if (chosen.size() == most) break;
    const uint8_t* codes = codes_.data() + size_t{candidate.row} * stride_;
    const int32_t sum = kernels_->flip(codes, stride_, scratch.other.data());
    const ByteQuery query{scratch.other.data(), sum, stride_};
    const float scale = scales_[candidate.row];
    bool hidden = false;
    for (size_t from = 0; from < chosen.size() && !hidden; from += kTogether) {
      const size_t count = std::min(kTogether, chosen.size() - from);
      kernels_->dots(codes_.data(), &chosen[from], count, query, scratch.dots.data());
      for (size_t i = 0; i < count; ++i) {
        hidden |= static_cast<float>(scratch.dots[i]) * scales_[chosen[from + i]] * scale >= candidate.score;
      }
    }
    if (!hidden) chosen.push_back(candidate.row);
  }
}

/// Makes the lists of a new row and of those it links to, from the pool of a walk.
void GraphIndex::connect(Row row, size_t level, Scratch& scratch) {
  scratch.candidates.clear();
  for (size_t i = 0; i < scratch.pool.size(); ++i) {
    const Row other = scratch.pool.row(i);
    if (other != row && bit(live_, other)) scratch.candidates.push_back({scratch.pool.score(i), other});
  }
  if (scratch.candidates.empty()) scratch.candidates.push_back({0, entry_});
  choose(scratch.candidates, options_.m, scratch);
  scratch.lists.push_back({row, level, scratch.chosen});
  const std::vector<Row> to = scratch.chosen;
  const size_t most = width(level);
  for (const Row other : to) {
    const Row* from = links(other, level);
    const size_t held = static_cast<size_t>(std::find(from, from + most, kNone) - from);
    if (held < most) {
      std::vector<Row> longer(from, from + held);
      longer.push_back(row);
      scratch.lists.push_back({other, level, std::move(longer)});
      continue;
    }
    scratch.around.clear();
    scratch.around.push_back({0, row});
    for (size_t i = 0; i < held; ++i) {
      if (!bit(retiring_, from[i])) scratch.around.push_back({0, from[i]});
    }
    score_for(other, scratch.around, scratch);
    choose(scratch.around, most, scratch);
    scratch.lists.push_back({other, level, scratch.chosen});
  }
}

void GraphIndex::write_lists(Scratch& scratch) {
  for (const auto& list : scratch.lists) {
    Row* to = links(list.row, list.level);
    std::ranges::copy(list.to, to);
    std::fill(to + list.to.size(), to + width(list.level), kNone);
  }
  scratch.lists.clear();
}

bool GraphIndex::remove(Row row) {
  if (row >= rows_ || !bit(live_, row)) return false;
  {
    const auto lock = access_.write();
    set_bit(live_, row, false);
    set_bit(dead_, row, true);
    --live_count_;
    ++dead_count_;
    if (live_count_ == 0) {
      forget_all();
    } else if (row == entry_) {
      choose_entry();
    }
  }
  if (!sweeping_ && dead_count_ >= std::max(kSweepLeast, live_count_ / kSweepShare)) start_sweep();
  sweep(kSweepRows);
  return true;
}

void GraphIndex::choose_entry() {
  entry_ = kNone;
  for (Row row = 0; row < rows_; ++row) {
    if (!bit(live_, row)) continue;
    const size_t level = upper_[row] == 0 ? 0 : level_of(row);
    if (entry_ != kNone && level <= top_level_) continue;
    entry_ = row;
    top_level_ = level;
  }
}

void GraphIndex::forget_all() {
  std::fill(links(0, 0), links(0, 0) + size_t{rows_} * width(0), kNone);
  std::ranges::fill(upper_links_, kNone);
  std::ranges::fill(dead_, 0);
  std::ranges::fill(retiring_, 0);
  sweeping_ = false;
  dead_count_ = 0;
  entry_ = kNone;
  top_level_ = 0;
}

void GraphIndex::start_sweep() {
  retiring_ = dead_;
  sweeping_ = true;
  sweep_at_ = 0;
}

/// Gives each of the next rows links past the retiring ones; at the end these are forgotten. Nothing links to a
/// retiring row again: new links lead to live rows, and lists are made without them.
void GraphIndex::sweep(size_t rows) {
  if (!sweeping_) return;
  const Lease lease(*this);
  Scratch& scratch = *lease;
  scratch.start(rows_, stride_);
  for (; rows > 0 && sweep_at_ < rows_; --rows, ++sweep_at_) {
    if (!bit(live_, sweep_at_) && (!bit(dead_, sweep_at_) || bit(retiring_, sweep_at_))) continue;
    const size_t top = upper_[sweep_at_] == 0 ? 0 : level_of(sweep_at_);
    for (size_t level = 0; level <= top; ++level) mend(sweep_at_, level, scratch);
    if (scratch.lists.empty()) continue;
    const auto lock = access_.write();
    write_lists(scratch);
  }
  if (sweep_at_ < rows_) return;
  const auto lock = access_.write();
  for (Row row = 0; row < rows_; ++row) {
    if (!bit(retiring_, row)) continue;
    const size_t top = upper_[row] == 0 ? 0 : level_of(row);
    for (size_t level = 0; level <= top; ++level) std::fill_n(links(row, level), width(level), kNone);
    set_bit(dead_, row, false);
    --dead_count_;
  }
  std::ranges::fill(retiring_, 0);
  sweeping_ = false;
}

/// A list with retiring rows is chosen anew from the others in it and those the retiring ones led to.
void GraphIndex::mend(Row row, size_t level, Scratch& scratch) {
  const Row* from = links(row, level);
  const size_t most = width(level);
  const size_t held = static_cast<size_t>(std::find(from, from + most, kNone) - from);
  if (std::none_of(from, from + held, [&](Row other) { return bit(retiring_, other); })) return;
  scratch.around.clear();
  scratch.make_room_to_visit((most + 1) * (most + 1));
  scratch.visit(row);
  for (size_t i = 0; i < held; ++i) {
    if (!bit(retiring_, from[i])) {
      if (scratch.visit(from[i])) scratch.around.push_back({0, from[i]});
      continue;
    }
    const Row* past = links(from[i], level);
    for (size_t j = 0; j < most && past[j] != kNone; ++j) {
      if (bit(live_, past[j]) && scratch.visit(past[j])) scratch.around.push_back({0, past[j]});
    }
  }
  scratch.leave();
  if (scratch.around.empty() && row != entry_ && level <= top_level_) scratch.around.push_back({0, entry_});
  score_for(row, scratch.around, scratch);
  choose(scratch.around, most, scratch);
  scratch.lists.push_back({row, level, scratch.chosen});
}

void GraphIndex::repair() {
  while (dead_count_ > 0) {
    if (!sweeping_) start_sweep();
    sweep(rows_);
  }
}

}  // namespace tessera::index
