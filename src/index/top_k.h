#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "core/index.h"

namespace tessera::index {

/// Whether `a` ranks above `b`: higher score first, then lower chunk key.
inline bool ranks_above(const core::IndexHit& a, const core::IndexHit& b) {
  return a.score != b.score ? a.score > b.score : a.chunk_key < b.chunk_key;
}

/// Keeps the best `k` hits offered. A value; not thread-safe.
class TopK {
 public:
  explicit TopK(size_t k) : k_(k) {}

  /// What a score must reach to have a chance; -infinity until k hits are held.
  [[nodiscard]] float floor() const { return floor_; }

  void offer(const core::IndexHit& hit) {
    if (k_ == 0) return;
    if (heap_.size() < k_) {
      heap_.push_back(hit);
      std::ranges::push_heap(heap_, ranks_above);
    } else if (ranks_above(hit, heap_.front())) {
      std::ranges::pop_heap(heap_, ranks_above);
      heap_.back() = hit;
      std::ranges::push_heap(heap_, ranks_above);
    }
    if (heap_.size() == k_) floor_ = heap_.front().score;
  }

  /// Best first. Leaves nothing behind.
  std::vector<core::IndexHit> take() {
    std::ranges::sort_heap(heap_, ranks_above);
    return std::move(heap_);
  }

 private:
  size_t k_;
  float floor_ = -std::numeric_limits<float>::infinity();
  std::vector<core::IndexHit> heap_;
};

}  // namespace tessera::index
