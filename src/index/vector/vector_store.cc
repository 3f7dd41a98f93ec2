#include "index/vector/vector_store.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tessera::index {
namespace {

constexpr float kCodeMax = 127;

size_t padded(size_t dimensions) {
  return (dimensions + kCodeAlign - 1) / kCodeAlign * kCodeAlign;
}

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

void encode_row(const float* from, size_t dimensions, uint8_t* codes, int8_t* low, VectorHead& head) {
  double squares = 0;
  for (size_t i = 0; i < dimensions; ++i) squares += double{from[i]} * from[i];
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm) || norm < 1e-30) return;
  float largest = 0;
  for (size_t i = 0; i < dimensions; ++i) largest = std::max(largest, std::fabs(from[i]));
  const auto unit = static_cast<float>(1 / norm);
  const float scale = largest * unit / kCodeMax;
  if (!(scale > 0) || !std::isfinite(unit)) return;
  double left_out = 0;
  for (size_t i = 0; i < dimensions; ++i) {
    const float steps = from[i] * unit / scale;
    const float code = std::clamp(std::nearbyint(steps), -kCodeMax, kCodeMax);
    const float rest = std::clamp(std::nearbyint((steps - code) * 256), -128.0F, 127.0F);
    codes[i] = static_cast<uint8_t>(static_cast<int>(code) + kCodeOffset);
    low[i] = static_cast<int8_t>(rest);
    left_out += double{rest} * rest / (256.0 * 256.0);
  }
  head.scale = scale;
  head.error = static_cast<float>(std::sqrt(left_out) * scale * 1.0001);
}

}  // namespace

void VectorBlock::Free::operator()(void* memory) const {
  std::free(memory);
}

EncodedVectors encode_nothing(size_t rows, size_t dimensions) {
  EncodedVectors encoded;
  encoded.dimensions = dimensions;
  encoded.stride = padded(dimensions);
  encoded.codes.assign(rows * encoded.stride, kCodeOffset);
  encoded.low.assign(rows * encoded.stride, 0);
  encoded.heads.assign(rows, {});
  return encoded;
}

EncodedVectors encode_vectors(std::span<const float> vectors, size_t dimensions) {
  const size_t rows = dimensions == 0 ? 0 : vectors.size() / dimensions;
  EncodedVectors encoded = encode_nothing(rows, dimensions);
  for (size_t row = 0; row < rows; ++row) {
    encode_row(vectors.data() + row * dimensions, dimensions, encoded.codes.data() + row * encoded.stride,
               encoded.low.data() + row * encoded.stride, encoded.heads[row]);
  }
  return encoded;
}

size_t VectorStore::stride() const {
  return padded(dimensions_);
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
