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
constexpr uint32_t kPairNone = BpeTables::kNoPair;
constexpr uint32_t kKeyBase = 0x00800000;  // the least normal float
constexpr float kNoKey = std::numeric_limits<float>::infinity();

constexpr uint64_t kNameHash = 0x9E3779B97F4A7C15;

/// Names a pair of tokens; never 0, which is an empty slot.
inline uint64_t name_of(uint32_t left, uint32_t right) {
  return (uint64_t{left} << 21 | right) + 1;
}

/// Key of a position: id of its pair above, the position below, so that the least key is the leftmost of the least id.
/// As the bits of a float, because those have an instruction for the least on every processor.
inline float key_of(uint64_t id, size_t left) {
  const uint32_t bits = static_cast<uint32_t>(id << kPositionBits | left) + kKeyBase;
  return id == kPairNone ? kNoKey : std::bit_cast<float>(bits);
}

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
  const uint64_t name = name_of(left, right), hash = name * kNameHash;
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

void BpeMerger::make_known() {
  if (!known_.empty()) return;
  const size_t entries = std::bit_ceil(std::clamp<size_t>(text_size_ / 8, 64, 16384));
  known_.resize(entries);
  known_shift_ = 64 - std::countr_zero(entries);
}

/// The tokens of a piece of at most kMax bytes while they become fewer, and a key for each pair of neighbours.
template <size_t kMax>
struct BpeMerger::Chain {
  float keys[kMax];
  uint32_t tokens[kMax];
  uint8_t next[kMax + 1];
  uint8_t previous[kMax + 1];

  void start(const char* bytes, size_t size, const BpeTables& tables) {
    for (size_t i = 0; i < size; ++i) {
      next[i] = static_cast<uint8_t>(i + 1);
      previous[i + 1] = static_cast<uint8_t>(i);
      tokens[i] = single(bytes[i]);
    }
    for (size_t i = 0; i + 1 < size; ++i) keys[i] = key_of(tables.byte_pair(bytes + i), i);
    keys[size - 1] = kNoKey;
    for (size_t i = size; i % kLanes != 0; ++i) keys[i] = kNoKey;
  }

  /// Makes the pair with this key one token; its place, whose pairs have no keys yet.
  size_t join(float key) {
    const uint32_t chosen = std::bit_cast<uint32_t>(key) - kKeyBase, at = chosen & (kShort - 1);
    const size_t gone = next[at], end = next[gone];
    tokens[at] = chosen >> kPositionBits;
    next[at] = static_cast<uint8_t>(end);
    previous[end] = static_cast<uint8_t>(at);
    keys[gone] = keys[at] = kNoKey;
    return at;
  }
};

/// A piece that is being merged along with others; as in merge_short().
struct BpeMerger::Lane : Chain<kJobBytes> {
  const char* bytes;
  size_t size;
  Job* job;

  void start(Job& of, const BpeTables& tables) {
    job = &of;
    bytes = of.piece.data();
    size = of.piece.size();
    job->tokens = size;
    Chain::start(bytes, size, tables);
  }

  Ask ask(size_t left, size_t right) {
    const uint64_t name = name_of(tokens[left], tokens[right]);
    return {
        this, name, name * kNameHash, nullptr, static_cast<uint32_t>(left), static_cast<uint32_t>(next[right] - left)};
  }

  /// Does the next merge, if there is one; adds the pairs that come of it, two at most.
  bool step(Ask*& asks) {
    const float best = least(keys, size);
    if (best == kNoKey) return false;
    const size_t at = join(best), end = next[at], before = previous[at];
    --job->tokens;
    if (end < size) *asks++ = ask(at, end);
    if (at > 0) {
      keys[before] = kNoKey;
      *asks++ = ask(before, at);
    }
    return true;
  }
};

/// Sets the keys of those pairs that merge, step by step for all.
void BpeMerger::answer(std::span<Ask> asks) {
  for (const Ask& ask : asks) {
    tables_.prefetch_pair(ask.hash);
    __builtin_prefetch(&known_[ask.hash >> known_shift_]);
  }
  size_t merging = 0;
  for (const Ask& ask : asks) {
    asks[merging] = ask;
    merging += tables_.may_merge(ask.hash) ? 1 : 0;
  }
  size_t unknown = 0;
  for (const Ask& ask : asks.first(merging)) {
    const uint64_t known = known_[ask.hash >> known_shift_];
    if (known >> 21 == ask.name) {
      ask.lane->keys[ask.left] = key_of(known & kPairNone, ask.left);
      continue;
    }
    Ask& later = asks[unknown++] = ask;
    later.hash = BpeTables::hash(ask.lane->bytes + ask.left, ask.size, limit_);
    __builtin_prefetch(tables_.first_slot(later.hash));
  }
  for (Ask& ask : asks.first(unknown)) {
    ask.slot = BpeTables::next_slot(tables_.first_slot(ask.hash), ask.hash);
    __builtin_prefetch(tables_.record(*ask.slot));
  }
  for (const Ask& ask : asks.first(unknown)) {
    const uint32_t found = tables_.find(ask.lane->bytes + ask.left, ask.size, limit_, ask.hash, ask.slot);
    const uint32_t id = std::min(found, kPairNone);
    known_[ask.name * kNameHash >> known_shift_] = ask.name << 21 | id;
    ask.lane->keys[ask.left] = key_of(id, ask.left);
  }
}

void BpeMerger::count_all(std::span<Job> jobs) {
  make_known();
  Lane lanes[kJobs];
  Lane* active[kJobs];
  size_t count = 0;
  for (Job& job : jobs) {
    lanes[count].start(job, tables_);
    active[count] = &lanes[count];
    ++count;
  }
  while (count > 0) {
    Ask asks[2 * kJobs];
    Ask* end = asks;
    size_t left = 0;
    for (Lane* lane : std::span(active, count)) {
      active[left] = lane;
      left += lane->step(end) ? 1 : 0;
    }
    count = left;
    answer({asks, end});
  }
}

size_t BpeMerger::merge(std::string_view piece, std::vector<uint32_t>* ids) {
  make_known();
  return piece.size() <= kShort ? merge_short(piece, ids) : merge_long(piece, ids);
}

size_t BpeMerger::merge_short(std::string_view piece, std::vector<uint32_t>* ids) {
  Chain<kShort> chain;
  const size_t size = piece.size();
  const char* bytes = piece.data();
  const auto key = [&](size_t left, size_t right) {
    const size_t bytes_of_both = chain.next[right] - left;
    return key_of(pair(chain.tokens[left], chain.tokens[right], bytes + left, bytes_of_both), left);
  };
  chain.start(bytes, size, tables_);
  size_t count = size;
  for (float best = least(chain.keys, size); best != kNoKey; best = least(chain.keys, size)) {
    const size_t at = chain.join(best), end = chain.next[at], before = chain.previous[at];
    if (end < size) chain.keys[at] = key(at, end);
    if (at > 0) chain.keys[before] = key(before, at);
    --count;
  }
  if (ids != nullptr) {
    for (size_t i = 0; i < size; i = chain.next[i]) append(chain.tokens[i], bytes + i, *ids);
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
