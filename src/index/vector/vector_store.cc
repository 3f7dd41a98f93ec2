#include "index/vector/vector_store.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tessera::index {
namespace {

template <class T>
T* allocate(size_t count) {
  const size_t bytes = (count * sizeof(T) + kCodeAlign - 1) / kCodeAlign * kCodeAlign;
  void* memory = std::aligned_alloc(kCodeAlign, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

template <class T>
void regrow(std::unique_ptr<T, VectorBlock::Free>& memory, size_t used, size_t capacity) {
  std::unique_ptr<T, VectorBlock::Free> larger(allocate<T>(capacity));
  if (used > 0) std::memcpy(larger.get(), memory.get(), used * sizeof(T));
  memory = std::move(larger);
}

}  // namespace

void VectorBlock::Free::operator()(void* memory) const {
  std::free(memory);
}

size_t VectorStore::stride() const {
  return padded_dimensions(dimensions_);
}

size_t VectorStore::memory_bytes() const {
  size_t bytes = blocks_.capacity() * sizeof(VectorBlock);
  for (const VectorBlock& block : blocks_) bytes += block.capacity * (2 * stride() + sizeof(VectorHead));
  return bytes;
}

uint64_t VectorStore::count(Row first, size_t rows) const {
  uint64_t found = 0;
  for (size_t row = first; row < std::min<size_t>(first + rows, rows_); ++row) {
    const float scale = blocks_[row / kVectorBlockRows].heads.get()[row % kVectorBlockRows].scale;
    found += scale > 0 ? 1 : 0;
  }
  return found;
}

void VectorStore::start(size_t dimensions, Row rows) {
  clear();
  dimensions_ = dimensions;
  const EncodedVectors nothing = encode_nothing(kVectorBlockRows, dimensions);
  while (rows_ < rows) {
    append_raw(nothing.codes.data(), nothing.low.data(), nothing.heads.data(),
               std::min<size_t>(kVectorBlockRows, rows - rows_));
  }
}

void VectorStore::append(const EncodedVectors& encoded) {
  append_raw(encoded.codes.data(), encoded.low.data(), encoded.heads.data(), encoded.heads.size());
}

void VectorStore::append_row(const VectorStore& other, Row row) {
  const VectorBlock& block = other.blocks_[row / kVectorBlockRows];
  const size_t at = row % kVectorBlockRows;
  append_raw(block.codes.get() + at * stride(), block.low.get() + at * stride(), block.heads.get() + at, 1);
}

void VectorStore::append_raw(const uint8_t* codes, const int8_t* low, const VectorHead* heads, size_t rows) {
  const size_t width = stride();
  while (rows > 0) {
    if (blocks_.empty() || blocks_.back().rows == kVectorBlockRows) blocks_.emplace_back();
    VectorBlock& block = blocks_.back();
    const size_t count = std::min(rows, kVectorBlockRows - block.rows);
    if (block.rows + count > block.capacity) {
      const size_t capacity = std::min(kVectorBlockRows, std::max<size_t>({block.capacity * 2, block.rows + count, 8}));
      regrow(block.codes, block.rows * width, capacity * width);
      regrow(block.low, block.rows * width, capacity * width);
      regrow(block.heads, block.rows, capacity);
      block.capacity = static_cast<uint32_t>(capacity);
    }
    std::memcpy(block.codes.get() + block.rows * width, codes, count * width);
    std::memcpy(block.low.get() + block.rows * width, low, count * width);
    std::memcpy(block.heads.get() + block.rows, heads, count * sizeof(VectorHead));
    block.rows += static_cast<uint32_t>(count);
    rows_ += static_cast<Row>(count);
    codes += count * width;
    low += count * width;
    heads += count;
    rows -= count;
  }
}

void VectorStore::clear() {
  *this = VectorStore();
}

}  // namespace tessera::index
