#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "index/vector/graph_index.h"

namespace tessera::index {

struct GraphIndex::Scored {
  float score = 0;
  Row row = 0;
};

/// The candidates of a walk, best first, each looked into once. Sorted storage: with some hundred entries a move of a
/// few lines is cheaper than two heaps.
class CandidatePool {
 public:
  void reset(size_t capacity) {
    if (entries_.size() < capacity + 1) entries_.resize(capacity + 1);
    capacity_ = capacity;
    size_ = 0;
    next_ = 0;
    floor_ = -std::numeric_limits<float>::infinity();
  }
  [[nodiscard]] size_t size() const { return size_; }
  /// What a score must exceed to be held.
  [[nodiscard]] float floor() const { return floor_; }
  [[nodiscard]] Row row(size_t i) const { return entries_[i].row & ~kSeen; }
  [[nodiscard]] float score(size_t i) const { return entries_[i].score; }

  /// False: it is not among the best.
  bool offer(float score, Row row) {
    if (!(score > floor_)) return false;
    size_t low = size_;
    for (size_t length = size_, from = 0; length > 0;) {  // without jumps the processor cannot foretell
      const size_t half = (length + 1) / 2;
      from += entries_[from + half - 1].score >= score ? half : 0;
      length -= half;
      low = from;
    }
    std::memmove(&entries_[low + 1], &entries_[low], (size_ - low) * sizeof(Entry));
    entries_[low] = {score, row};
    size_ = std::min(size_ + 1, capacity_);
    if (size_ == capacity_) floor_ = entries_[size_ - 1].score;
    next_ = std::min(next_, low);
    return true;
  }

  /// The best row not looked into yet; false: there is none.
  bool take(Row& row) {
    while (next_ < size_ && (entries_[next_].row & kSeen) != 0) ++next_;
    if (next_ == size_) return false;
    row = entries_[next_].row;
    entries_[next_++].row |= kSeen;
    return true;
  }

 private:
  static constexpr Row kSeen = 0x80000000;
  struct Entry {
    float score = 0;
    Row row = 0;
  };
  std::vector<Entry> entries_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  size_t next_ = 0;
  float floor_ = -std::numeric_limits<float>::infinity();
};

/// What a walk needs besides the graph; kept between walks. Belongs to one thread while leased.
struct GraphIndex::Scratch {
  struct List {
    Row row = 0;
    size_t level = 0;
    std::vector<Row> to;
  };
  std::vector<uint64_t> visited;  // all zero between walks
  std::vector<Row> touched;       // the first `touched_count` are marked in it
  size_t touched_count = 0;
  CandidatePool pool;
  std::vector<int8_t> values;  // the query in bytes
  std::vector<int8_t> other;   // a row in bytes, while links are chosen
  ByteQuery query;
  float query_scale = 0;
  std::vector<Scored> candidates;
  std::vector<Scored> around;
  std::vector<Row> chosen;
  std::vector<Row> batch;
  std::vector<Row> bridges;
  std::vector<SplitCodes> pointers;
  std::vector<uint8_t> joined;  // a row's codes in one piece
  std::vector<int32_t> dots;
  std::vector<List> lists;
  GraphWork work;

  void start(size_t rows, size_t stride) {
    if (visited.size() < (rows + 63) / 64) visited.resize((rows + 63) / 64 + rows / 512, 0);
    if (values.size() != stride) {
      values.assign(stride, 0);
      other.assign(stride, 0);
      joined.assign(stride, 0);
    }
    make_room(4 * kLinksMax);
    bridges.resize(kLinksMax);
    lists.clear();
    work = {};
  }
  /// For a batch.
  void make_room(size_t rows) {
    if (batch.size() >= rows) return;
    batch.resize(rows);
    pointers.resize(rows);
    dots.resize(rows);
  }
  void encode(std::span<const float> unit) { query_scale = encode_query(unit, values.data(), query); }
  /// Before as many calls of visit().
  void make_room_to_visit(size_t rows) {
    if (touched_count + rows > touched.size()) touched.resize(2 * (touched_count + rows));
  }
  [[gnu::always_inline]] bool visit(Row row) {
    uint64_t& word = visited[row / 64];
    const uint64_t mask = uint64_t{1} << (row % 64);
    const bool fresh = (word & mask) == 0;
    word |= mask;
    touched[touched_count] = row;
    touched_count += fresh ? 1 : 0;
    return fresh;
  }
  void leave() {
    for (size_t i = 0; i < touched_count; ++i) visited[touched[i] / 64] = 0;
    touched_count = 0;
  }
};

/// A scratch for as long as a call lasts.
class GraphIndex::Lease {
 public:
  explicit Lease(const GraphIndex& index) : index_(index) {
    const std::lock_guard lock(index_.scratch_mutex_);
    if (index_.scratches_.empty()) {
      scratch_ = std::make_unique<Scratch>();
    } else {
      scratch_ = std::move(index_.scratches_.back());
      index_.scratches_.pop_back();
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard lock(index_.scratch_mutex_);
    index_.scratches_.push_back(std::move(scratch_));
  }
  Scratch& operator*() const { return *scratch_; }

 private:
  const GraphIndex& index_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace tessera::index
