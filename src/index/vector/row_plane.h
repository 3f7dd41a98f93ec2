#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

namespace tessera::index {

/// Rows of a slab; a file's part of a plane begins and ends at a multiple of kPlaneAlign, so that it fills whole pages.
inline constexpr size_t kSlabRows = size_t{1} << 16;
inline constexpr size_t kPlaneAlign = 512;
inline uint64_t whole_blocks(uint64_t rows) {
  return (rows + kPlaneAlign - 1) / kPlaneAlign * kPlaneAlign;
}

/// Memory for rows of `width` plain values, zero where never written, at addresses that never move: slabs of kSlabRows
/// rows reserved at once and filled by the system as they are touched. Parts can be pages of a file instead. grow() and
/// borrow() need the owner's write lock, or that nobody uses the rows in question; share() leaves the rows' values as
/// they are, so that others may read them meanwhile. Throws std::bad_alloc.
template <class T>
class RowPlane {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  /// `large`: prefer large pages once there are some megabytes, which spare scattered reads most address look-ups.
  RowPlane(size_t width, bool large) : width_(width), large_(large) {
    table_ = static_cast<T**>(reserve(kSlabsMax * sizeof(T*)));
  }
  RowPlane(const RowPlane&) = delete;
  RowPlane& operator=(const RowPlane&) = delete;
  ~RowPlane() {
    for (size_t slab = 0; slab < slabs_; ++slab) munmap(table_[slab], slab_bytes());
    munmap(static_cast<void*>(table_), kSlabsMax * sizeof(T*));
  }

  [[nodiscard]] size_t width() const { return width_; }
  [[nodiscard]] T* at(size_t row) const { return table_[row / kSlabRows] + (row % kSlabRows) * width_; }

  void grow(size_t rows) {
    while (slabs_ * kSlabRows < rows) {
      if (slabs_ == kSlabsMax) throw std::bad_alloc();
      table_[slabs_++] = static_cast<T*>(reserve(slab_bytes()));
      if (slabs_ > 1) want_large(slabs_ - 1);
    }
    if (rows * width_ * sizeof(T) >= kLargeFrom && rows_ * width_ * sizeof(T) < kLargeFrom) want_large(0);
    rows_ = std::max(rows_, rows);
  }

  /// The rows from `first` (both multiples of kPlaneAlign, grown to) become the same pages as `values`, a part of a
  /// shared mapping of a file; where that is refused they are copied.
  void share(size_t first, std::span<const T> values) {
    for_parts(first, values.size() / width_, [&](T* to, size_t from, size_t bytes) {
      auto* source = const_cast<char*>(reinterpret_cast<const char*>(values.data()) + from);
      if (mremap(source, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED) {
        note_mapped(first * width_ * sizeof(T) + from, bytes);
      } else {
        std::memcpy(to, source, bytes);
      }
    });
  }

  /// Likewise, but changes stay in memory. `file` at `offset` holds them. False: refused; nothing is lost.
  bool borrow(size_t first, size_t rows, int file, uint64_t offset) {
    bool done = true;
    for_parts(first, rows, [&](T* to, size_t from, size_t bytes) {
      const void* at =
          mmap(to, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, static_cast<off_t>(offset + from));
      done = done && at != MAP_FAILED;
      if (at != MAP_FAILED) note_mapped(first * width_ * sizeof(T) + from, bytes);
    });
    return done;
  }

  /// Rows from `first` on, grown to, become `values`.
  void write(size_t first, std::span<const T> values) {
    const T* from = values.data();
    pieces(first, first + values.size() / width_, [&](T* to, size_t rows) {
      std::memcpy(to, from, rows * width_ * sizeof(T));
      from += rows * width_;
    });
  }

  /// Calls visit(values, count of rows) for the rows in pieces that lie together.
  template <class Visit>
  void pieces(size_t first, size_t end, Visit visit) const {
    while (first < end) {
      const size_t count = std::min(end - first, kSlabRows - first % kSlabRows);
      visit(at(first), count);
      first += count;
    }
  }

  /// Of its own pages, as far as they were grown to; those shared with files are mapped_bytes().
  [[nodiscard]] size_t memory_bytes() const {
    const size_t bytes = rows_ * width_ * sizeof(T);
    const size_t page = large_ && bytes >= kLargeFrom ? kLarge : kSmall;
    return (bytes + page - 1) / page * page - std::min(bytes, mapped_bytes()) + slabs_ * sizeof(T*);
  }
  [[nodiscard]] size_t mapped_bytes() const { return mapped_blocks_.load(std::memory_order_relaxed) * block_bytes(); }

 private:
  static constexpr size_t kSlabsMax = (size_t{1} << 31) / kSlabRows;
  static constexpr size_t kSmall = 4096;
  static constexpr size_t kLarge = size_t{2} << 20;
  static constexpr size_t kLargeFrom = size_t{8} << 20;

  [[nodiscard]] size_t slab_bytes() const { return kSlabRows * width_ * sizeof(T); }
  [[nodiscard]] size_t block_bytes() const { return kPlaneAlign * width_ * sizeof(T); }
  void note_mapped(size_t from, size_t bytes) {
    mapped_.resize(std::max(mapped_.size(), (from + bytes) / block_bytes()));
    for (size_t block = from / block_bytes(); block < (from + bytes) / block_bytes(); ++block) {
      if (mapped_[block]) continue;
      mapped_[block] = true;
      mapped_blocks_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  /// Begins at a large page's boundary if it is that long.
  static void* reserve(size_t bytes) {
    const size_t spare = bytes >= kLarge ? kLarge : 0;
    void* memory =
        mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    if (spare == 0) return memory;
    auto* from = static_cast<char*>(memory);
    auto* begin = from + (kLarge - reinterpret_cast<uintptr_t>(from) % kLarge) % kLarge;
    if (begin > from) munmap(from, static_cast<size_t>(begin - from));
    munmap(begin + bytes, static_cast<size_t>(from + spare - begin));
    return begin;
  }
  void want_large(size_t slab) {
    if (large_ && slab_bytes() >= kLarge) madvise(table_[slab], slab_bytes(), MADV_HUGEPAGE);
  }
  template <class Each>
  void for_parts(size_t first, size_t rows, Each each) {
    size_t done = 0;
    while (done < rows) {
      const size_t count = std::min(rows - done, kSlabRows - (first + done) % kSlabRows);
      each(at(first + done), done * width_ * sizeof(T), count * width_ * sizeof(T));
      done += count;
    }
  }

  size_t width_;
  bool large_;
  T** table_ = nullptr;
  size_t slabs_ = 0;
  size_t rows_ = 0;
  std::vector<bool> mapped_;  // by blocks of kPlaneAlign rows; of whoever calls share() or borrow()
  std::atomic<size_t> mapped_blocks_ = 0;
};

}  // namespace tessera::index
