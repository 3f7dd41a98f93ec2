#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace tessera::index {

/// A growing array of plain values in pages of its own, zero where never written. Growing remaps the pages instead of
/// copying them, so a large index never needs twice its memory; large pages spare scattered reads most address
/// look-ups. A resource; growing moves it. Throws std::bad_alloc.
template <class T>
class PageArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PageArray() = default;
  PageArray(PageArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageArray& operator=(PageArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~PageArray() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }

  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

  /// Room for `count` values, and an eighth more for those to come.
  void reserve(size_t count) {
    if (count * sizeof(T) <= bytes_) return;
    const size_t page = count * sizeof(T) >= kLarge ? kLarge : kSmall;
    const size_t wanted = count * sizeof(T) + (bytes_ > 0 ? bytes_ / 8 : 0);
    const size_t bytes = (wanted + page - 1) / page * page;
    void* memory = data_ == nullptr ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                    : mremap(data_, bytes_, bytes, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    if (bytes >= kLarge) madvise(memory, bytes, MADV_HUGEPAGE);
    data_ = static_cast<T*>(memory);
    bytes_ = bytes;
  }

 private:
  static constexpr size_t kSmall = 4096;
  static constexpr size_t kLarge = size_t{2} << 20;
  T* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace tessera::index
