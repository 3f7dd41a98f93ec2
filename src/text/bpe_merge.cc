#include "text/bpe_merge.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace tessera::text {
namespace {

constexpr size_t kShort = 128;  // bytes; their positions fit in kPositionBits
constexpr uint32_t kPositionBits = 7;
constexpr size_t kLanes = 8;  // the scan for the least key goes by eights
constexpr int32_t kNoKey = 0x7FFFFFFF;

/// The least of keys[0, count), count rounded up to a multiple of kLanes.
int32_t least(const int32_t* keys, size_t count) {
  int32_t lanes[kLanes];
  std::copy_n(keys, kLanes, lanes);
  for (size_t i = kLanes; i < count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = std::min(lanes[j], keys[i + j]);
  }
  return *std::min_element(lanes, lanes + kLanes);
}

}  // namespace

inline uint32_t BpeMerger::find(const char* bytes, size_t size) {
  if (size > 15) return tables_.find(bytes, size, limit_);
  const BpeTables::Key key = BpeTables::key(bytes, size, limit_);
  const uint64_t hash = BpeTables::hash(key, size), high = key.high | uint64_t{size} << 56;
  Known& known = known_[hash >> known_shift_];
  if (known.low != key.low || known.high != high) known = {key.low, high, tables_.find(key, size, hash)};
  return known.id;
}

size_t BpeMerger::merge(std::string_view piece, std::vector<uint32_t>* ids) {
  if (known_.empty()) {
    const size_t entries = std::bit_ceil(std::clamp<size_t>(text_size_ / 16, 64, 4096));
    known_.resize(entries);
    known_shift_ = 64 - std::countr_zero(entries);
  }
  return piece.size() <= kShort ? merge_short(piece, ids) : merge_long(piece, ids);
}

size_t BpeMerger::merge_short(std::string_view piece, std::vector<uint32_t>* ids) {
  // Key of a position: id of its pair above, the position below, so that the least key is the leftmost of the least id.
  int32_t keys[kShort];
  uint32_t tokens[kShort];
  uint8_t next[kShort + 1], previous[kShort + 1];
  const size_t size = piece.size();
  const char* bytes = piece.data();
  const auto key = [&](size_t from, size_t to) {
    const uint32_t id = find(bytes + from, to - from);
    return id == BpeTables::kNone ? kNoKey : static_cast<int32_t>(id << kPositionBits | from);
  };
  for (size_t i = 0; i < size; ++i) {
    keys[i] = i + 1 < size ? key(i, i + 2) : kNoKey;
    next[i] = static_cast<uint8_t>(i + 1);
    previous[i + 1] = static_cast<uint8_t>(i);
    tokens[i] = BpeTables::kNone;
  }
  for (size_t i = size; i % kLanes != 0; ++i) keys[i] = kNoKey;
  size_t count = size;
  for (int32_t best = least(keys, size); best != kNoKey; best = least(keys, size)) {
    const auto at = static_cast<uint32_t>(best) & (kShort - 1);
    const size_t gone = next[at], end = next[gone];
    tokens[at] = static_cast<uint32_t>(best) >> kPositionBits;
    next[at] = static_cast<uint8_t>(end);
    previous[end] = static_cast<uint8_t>(at);
    keys[gone] = kNoKey;
    keys[at] = end < size ? key(at, next[end]) : kNoKey;
    if (at > 0) keys[previous[at]] = key(previous[at], end);
    --count;
  }
  if (ids != nullptr) {
    for (size_t i = 0; i < size; i = next[i]) {
      ids->push_back(tokens[i] != BpeTables::kNone ? tokens[i] : find(bytes + i, 1));
    }
  }
  return count;
}

void BpeMerger::push(std::string_view piece, uint32_t at) {
  Node& node = nodes_[at];
  node.rank = BpeTables::kNone;
  if (node.next >= piece.size()) return;
  node.rank = find(piece.data() + at, nodes_[node.next].next - at);
  if (node.rank == BpeTables::kNone) return;
  heap_.push_back(uint64_t{node.rank} << 32 | at);
}

size_t BpeMerger::merge_long(std::string_view piece, std::vector<uint32_t>* ids) {
  const auto size = static_cast<uint32_t>(piece.size());
  nodes_.resize(size_t{size} + 1);
  heap_.clear();
  for (uint32_t i = 0; i <= size; ++i) nodes_[i] = {i + 1, i - 1, BpeTables::kNone, BpeTables::kNone};
  for (uint32_t i = 0; i < size; ++i) push(piece, i);
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  const auto update = [&](uint32_t at) {
    const size_t before = heap_.size();
    push(piece, at);
    if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  };
  size_t count = size;
  while (!heap_.empty()) {
    const auto at = static_cast<uint32_t>(heap_.front());
    const auto rank = static_cast<uint32_t>(heap_.front() >> 32);
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    Node& node = nodes_[at];
    if (node.rank != rank) continue;  // out of date
    Node& gone = nodes_[node.next];
    gone.rank = BpeTables::kNone;
    node.token = rank;
    node.next = gone.next;
    nodes_[node.next].previous = at;
    update(at);
    if (at > 0) update(node.previous);
    --count;
  }
  if (ids != nullptr) {
    for (uint32_t i = 0; i < size; i = nodes_[i].next) {
      ids->push_back(nodes_[i].token != BpeTables::kNone ? nodes_[i].token : find(piece.data() + i, 1));
    }
  }
  return count;
}

}  // namespace tessera::text
