#include "index/embedding/row_likeness.h"

#include <cmath>

namespace tessera::index {
namespace {

/// sums[i] = the product of `row` and the i-th of `count` others; the last sum is that of `row` with itself. Plain
/// loops: compilers turn them into multiply-add of 16-bit pairs for each instruction set.
[[gnu::always_inline]] inline void multiply_rows(const int8_t* row, const int16_t* others, size_t count, size_t size,
                                                 int32_t* sums) {
  constexpr size_t kBlock = 64;
  for (size_t i = 0; i <= count; ++i) sums[i] = 0;
  for (size_t first = 0; first < size; first += kBlock) {
    int16_t wide[kBlock];
    for (size_t d = 0; d < kBlock; ++d) wide[d] = row[first + d];
    const int16_t* other = others + first;
    for (size_t i = 0; i < count; ++i, other += size) {
      int32_t sum = 0;
      for (size_t d = 0; d < kBlock; ++d) sum += wide[d] * other[d];
      sums[i] += sum;
    }
    int32_t square = 0;
    for (size_t d = 0; d < kBlock; ++d) square += wide[d] * wide[d];
    sums[count] += square;
  }
}

using Function = void (*)(const int8_t*, const int16_t*, size_t, size_t, int32_t*);

void multiply_plain(const int8_t* row, const int16_t* others, size_t count, size_t size, int32_t* sums) {
  multiply_rows(row, others, count, size, sums);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void multiply_avx2(const int8_t* row, const int16_t* others, size_t count, size_t size,
                                           int32_t* sums) {
  multiply_rows(row, others, count, size, sums);
}

[[gnu::target("avx512f,avx512bw,avx512vl")]] void multiply_avx512(const int8_t* row, const int16_t* others,
                                                                  size_t count, size_t size, int32_t* sums) {
  multiply_rows(row, others, count, size, sums);
}

Function choose() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return multiply_avx512;
  return __builtin_cpu_supports("avx2") ? multiply_avx2 : multiply_plain;
}
#else
Function choose() {
  return multiply_plain;
}
#endif

float inverse_root(int32_t square) {
  return square > 0 ? 1.0F / std::sqrt(static_cast<float>(square)) : 0.0F;
}

}  // namespace

float RowLikeness::length(uint16_t row) const {
  const int8_t* values = table_.values + row * table_.dimensions;
  int32_t square = 0;
  for (size_t d = 0; d < table_.dimensions; ++d) square += values[d] * values[d];
  return table_.scales[row] * std::sqrt(static_cast<float>(square));
}

void RowLikeness::set_others(std::span<const uint16_t> others) {
  others_.clear();
  inverse_.clear();
  for (const uint16_t row : others) {
    const int8_t* values = table_.values + row * table_.dimensions;
    others_.insert(others_.end(), values, values + table_.dimensions);
    int32_t square = 0;
    for (size_t d = 0; d < table_.dimensions; ++d) square += values[d] * values[d];
    inverse_.push_back(inverse_root(square));
  }
  sums_.resize(others.size() + 1);
}

// The scales of both rows cancel out.
void RowLikeness::compare(uint16_t row, float* out) {
  static const Function multiply = choose();
  const size_t count = inverse_.size();
  multiply(table_.values + row * table_.dimensions, others_.data(), count, table_.dimensions, sums_.data());
  const float own = inverse_root(sums_[count]);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(sums_[i]) * own * inverse_[i];
}

}  // namespace tessera::index
