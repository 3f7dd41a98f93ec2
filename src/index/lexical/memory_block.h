#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "index/filter/large_pages.h"

namespace tessera::index {

inline constexpr size_t kLargePage = size_t{2} << 20;

/// Memory for elements that need no construction, in large pages if it is large. Owns it; throws std::bad_alloc.
template <class T>
  requires std::is_trivially_copyable_v<T>
class MemoryBlock {
 public:
  MemoryBlock() = default;
  explicit MemoryBlock(size_t count) : data_(allocate(count * sizeof(T))) {}
  [[nodiscard]] T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    std::align_val_t alignment{kAlignment};
    void operator()(T* data) const { ::operator delete(static_cast<void*>(data), alignment); }
  };
  using Owner = std::unique_ptr<T, Free>;

  static Owner allocate(size_t bytes) {
    const bool large = bytes >= kLargePage;
    const Free free{large ? std::align_val_t{kLargePage} : kAlignment};
    void* const data = ::operator new(bytes, free.alignment);
    if (large) use_large_pages(data, bytes);
    return Owner(static_cast<T*>(data), free);
  }

  Owner data_;
};

/// An array that grows by pieces of 2^Bits elements. Only the first piece, which begins small and doubles, ever moves;
/// the others come whole, so that growing never copies much.
template <class T, unsigned Bits>
class PieceArray {
 public:
  static constexpr size_t kPiece = size_t{1} << Bits;
  [[nodiscard]] size_t size() const { return size_; }
  T& operator[](size_t i) { return pieces_[i >> Bits][i & (kPiece - 1)]; }
  const T& operator[](size_t i) const { return pieces_[i >> Bits][i & (kPiece - 1)]; }
  void push_back(const T& value) {
    if (size_ == end_) grow(1);
    (*this)[size_++] = value;
  }
  /// Skips to new pieces if fewer than `count` elements are left; returns the number of the first of `count` elements
  /// that lie beside each other. `count` <= kPiece.
  size_t extend(size_t count) {
    if (end_ - size_ < count) grow(count);
    const size_t first = size_;
    size_ += count;
    return first;
  }
  /// Takes back the last `count` of what extend() gave.
  void give_back(size_t count) { size_ -= count; }
  [[nodiscard]] size_t memory_bytes() const {
    return pieces_.empty() ? 0 : (first_ + (pieces_.size() - 1) * kPiece) * sizeof(T);
  }

 private:
  static constexpr size_t kSmallest = std::min<size_t>(kPiece, 32);
  /// Pieces of a large array come several at a time, in a block that is worth a large page.
  static constexpr size_t kTogether = std::max<size_t>(1, kLargePage / (kPiece * sizeof(T)));

  void grow(size_t count) {
    if (first_ < kPiece && size_ + count <= kPiece) {
      first_ = std::bit_ceil(std::max(kSmallest, size_ + count));
      MemoryBlock<T> block(first_);
      if (pieces_.empty()) {
        blocks_.emplace_back();
        pieces_.emplace_back();
      } else {
        std::copy_n(pieces_[0], size_, block.data());
      }
      pieces_[0] = block.data();
      blocks_[0] = std::move(block);
      end_ = first_;
      return;
    }
    size_ = pieces_.size() * kPiece;
    const size_t fresh = memory_bytes() >= kLargePage ? kTogether : 1;
    MemoryBlock<T>& block = blocks_.emplace_back(fresh * kPiece);
    for (size_t i = 0; i < fresh; ++i) pieces_.push_back(block.data() + i * kPiece);
    end_ = pieces_.size() * kPiece;
  }

  std::vector<T*> pieces_;
  std::vector<MemoryBlock<T>> blocks_;
  size_t size_ = 0;
  size_t end_ = 0;    // of the last piece
  size_t first_ = 0;  // elements the first piece has room for
};

}  // namespace tessera::index
