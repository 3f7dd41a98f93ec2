#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "index/rows.h"

namespace tessera::index {

/// Keeps the best `k` rows offered, in whatever order they come. A value; not thread-safe.
class TopRows {
 public:
  explicit TopRows(size_t k) : k_(k) {}

  /// What a score must reach to have a chance; -infinity until k rows are held.
  [[nodiscard]] float floor() const { return floor_; }

  void offer(RowHit hit) {
    if (k_ == 0) return;
    if (heap_.size() < k_) {
      heap_.push_back(hit);
      std::ranges::push_heap(heap_, above);
    } else if (above(hit, heap_.front())) {
      std::ranges::pop_heap(heap_, above);
      heap_.back() = hit;
      std::ranges::push_heap(heap_, above);
    }
    if (heap_.size() == k_) floor_ = heap_.front().score;
  }

  /// Best first. Leaves nothing behind.
  std::vector<RowHit> take() {
    std::ranges::sort_heap(heap_, above);
    return std::move(heap_);
  }

 private:
  static bool above(const RowHit& a, const RowHit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

  size_t k_;
  float floor_ = -std::numeric_limits<float>::infinity();
  std::vector<RowHit> heap_;
};

}  // namespace tessera::index
