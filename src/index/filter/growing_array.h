#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "index/filter/large_pages.h"

namespace tessera::index {

/// An array of plain values at one address that grows at its end. Large ones grow by remapping pages (the system's
/// realloc), not by copying, so that an append under a lock never takes long. Growing moves it. Throws std::bad_alloc.
template <class T>
class GrowingArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  GrowingArray() = default;
  GrowingArray(GrowingArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  GrowingArray& operator=(GrowingArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~GrowingArray() { std::free(data_); }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] T* data() { return data_; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& operator[](size_t i) { return data_[i]; }
  [[nodiscard]] const T& back() const { return data_[size_ - 1]; }
  [[nodiscard]] std::span<const T> span() const { return {data_, size_}; }
  [[nodiscard]] const T* begin() const { return data_; }
  [[nodiscard]] const T* end() const { return data_ + size_; }
  [[nodiscard]] uint64_t memory_bytes() const { return capacity_ * sizeof(T); }

  /// Room for exactly `capacity` elements, if there is less.
  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    void* const memory = std::realloc(static_cast<void*>(data_), capacity * sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    use_large_pages(memory, capacity * sizeof(T));
    data_ = static_cast<T*>(memory);
    capacity_ = capacity;
  }
  void push_back(T value) {
    make_room(1);
    data_[size_++] = value;
  }
  void append(std::span<const T> values) {
    if (values.empty()) return;
    make_room(values.size());
    std::memcpy(data_ + size_, values.data(), values.size_bytes());
    size_ += values.size();
  }
  void append(size_t count, T value) {
    make_room(count);
    for (size_t i = 0; i < count; ++i) data_[size_ + i] = value;
    size_ += count;
  }

 private:
  void make_room(size_t count) {
    if (size_ + count > capacity_) reserve(size_ + count + (size_ + count) / 4 + 4);
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace tessera::index
