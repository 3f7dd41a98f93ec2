#include "text/bpe_merge.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

namespace tessera::text {
namespace {

constexpr size_t kShort = 128;  // bytes; their positions fit in kPositionBits
constexpr uint32_t kPositionBits = 7;
constexpr size_t kLanes = 8;  // the scan for the least key goes by eights
constexpr uint32_t kPairNone = (1U << 21) - 1;
constexpr uint32_t kKeyBase = 0x00800000;  // the least normal float
constexpr float kNoKey = std::numeric_limits<float>::infinity();

/// The least of keys[0, count), count rounded up to a multiple of kLanes.
inline float least(const float* keys, size_t count) {
  float lanes[kLanes];
  std::copy_n(keys, kLanes, lanes);
  for (size_t i = kLanes; i < count; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = std::min(lanes[j], keys[i + j]);
  }
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t j = 0; j < half; ++j) lanes[j] = std::min(lanes[j], lanes[j + half]);
  }
  return lanes[0];
}

}  // namespace

/// Id of what the two tokens make, whose bytes are these, or kPairNone.
inline uint32_t BpeMerger::pair(uint32_t left, uint32_t right, const char* bytes, size_t size) {
  const uint64_t name = (uint64_t{left} << 21 | right) + 1;  // 0 is an empty slot
  const uint64_t hash = name * 0x9E3779B97F4A7C15;
  if (!tables_.may_merge(hash)) return kPairNone;
  uint64_t& known = known_[hash >> known_shift_];
  if (known >> 21 != name) known = name << 21 | std::min(tables_.find(bytes, size, limit_), kPairNone);
  return known & kPairNone;
}

void BpeMerger::append(uint32_t token, const char* byte, std::vector<uint32_t>& ids) const {
  ids.push_back(token < single(0) ? token : tables_.find(byte, 1, limit_));
}

void BpeMerger::shrink() {
  nodes_ = {};
  heap_ = {};
}

size_t BpeMerger::merge(std::string_view piece, std::vector<uint32_t>* ids) {
  if (known_.empty()) {
    const size_t entries = std::bit_ceil(std::clamp<size_t>(text_size_ / 8, 64, 16384));
    known_.resize(entries);
    known_shift_ = 64 - std::countr_zero(entries);
  }
  return piece.size() <= kShort ? merge_short(piece, ids) : merge_long(piece, ids);
}

size_t BpeMerger::merge_short(std::string_view piece, std::vector<uint32_t>* ids) {
  // Key of a position: id of its pair above, the position below, so that the least key is the leftmost of the least id.
  // As the bits of a float, because those have an instruction for the least on every processor.
  float keys[kShort];
  uint32_t tokens[kShort];
  uint8_t next[kShort + 1], previous[kShort + 1];
  const size_t size = piece.size();
  const char* bytes = piece.data();
  const auto key = [&](size_t left, size_t right) {
    const uint32_t id = pair(tokens[left], tokens[right], bytes + left, next[right] - left);
    const auto bits = (id << kPositionBits | static_cast<uint32_t>(left)) + kKeyBase;
    return id == kPairNone ? kNoKey : std::bit_cast<float>(bits);
  };
  for (size_t i = 0; i < size; ++i) {
    next[i] = static_cast<uint8_t>(i + 1);
    previous[i + 1] = static_cast<uint8_t>(i);
    tokens[i] = single(bytes[i]);
  }
  for (size_t i = 0; i + 1 < size; ++i) keys[i] = key(i, i + 1);
  keys[size - 1] = kNoKey;
  for (size_t i = size; i % kLanes != 0; ++i) keys[i] = kNoKey;
  size_t count = size;
  for (float best = least(keys, size); best != kNoKey; best = least(keys, size)) {
    const uint32_t chosen = std::bit_cast<uint32_t>(best) - kKeyBase, at = chosen & (kShort - 1);
    const size_t gone = next[at], end = next[gone];
    tokens[at] = chosen >> kPositionBits;
    next[at] = static_cast<uint8_t>(end);
    previous[end] = static_cast<uint8_t>(at);
    keys[gone] = kNoKey;
    keys[at] = end < size ? key(at, end) : kNoKey;
    if (at > 0) keys[previous[at]] = key(previous[at], at);
    --count;
  }
  if (ids != nullptr) {
    for (size_t i = 0; i < size; i = next[i]) append(tokens[i], bytes + i, *ids);
  }
  return count;
}

void BpeMerger::push(std::string_view piece, uint32_t at) {
  Node& node = nodes_[at];
  node.rank = BpeTables::kNone;
  if (node.next >= piece.size()) return;
  const Node& right = nodes_[node.next];
  const uint32_t id = pair(node.token, right.token, piece.data() + at, right.next - at);
  if (id == kPairNone) return;
  node.rank = id;
  heap_.push_back(uint64_t{node.rank} << 32 | at);
}

size_t BpeMerger::merge_long(std::string_view piece, std::vector<uint32_t>* ids) {
  const auto size = static_cast<uint32_t>(piece.size());
  nodes_.resize(size_t{size} + 1);
  heap_.clear();
  nodes_[size] = {};
  for (uint32_t i = 0; i < size; ++i) nodes_[i] = {i + 1, i - 1, BpeTables::kNone, single(piece[i])};
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
    for (uint32_t i = 0; i < size; i = nodes_[i].next) append(nodes_[i].token, piece.data() + i, *ids);
  }
  return count;
}

}  // namespace tessera::text
