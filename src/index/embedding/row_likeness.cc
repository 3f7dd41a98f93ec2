#include "index/embedding/row_likeness.h"

#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

constexpr size_t kLanes = 16;
constexpr int32_t kOffset = 128;

#if defined(__x86_64__)
#define TESSERA_VNNI "avx512f,avx512bw,avx512vl,avx512vnni"

bool packs() {
  static const bool kPacks =
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return kPacks;
}

/// As multiply_rows; a lane for each other row, so that nothing is added up across lanes. `sums` has room for whole
/// groups of 16 and one more.
[[gnu::target(TESSERA_VNNI)]] void multiply_packed(const int8_t* row, const uint8_t* packed, size_t count, size_t size,
                                                   int32_t* sums) {
  __m512i square = _mm512_setzero_si512();
  __m512i sum = _mm512_setzero_si512();
  for (size_t d = 0; d < size; d += 32) {
    const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + d)));
    square = _mm512_add_epi32(square, _mm512_madd_epi16(wide, wide));
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(wide, _mm512_set1_epi16(kOffset)));
  }
  const __m512i offset = _mm512_set1_epi32(_mm512_reduce_add_epi32(sum));
  for (size_t first = 0; first < count; first += kLanes) {
    __m512i parts[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t d = 0; d < size; d += 16, packed += 4 * 64) {
      for (size_t i = 0; i < 4; ++i) {
        int32_t four;
        std::memcpy(&four, row + d + 4 * i, sizeof four);
        parts[i] = _mm512_dpbusd_epi32(parts[i], _mm512_loadu_si512(packed + i * 64), _mm512_set1_epi32(four));
      }
    }
    const __m512i whole = _mm512_add_epi32(_mm512_add_epi32(parts[0], parts[1]), _mm512_add_epi32(parts[2], parts[3]));
    _mm512_storeu_si512(sums + first, _mm512_sub_epi32(whole, offset));
  }
  sums[count] = _mm512_reduce_add_epi32(square);
}
#else
bool packs() {
  return false;
}
void multiply_packed(const int8_t*, const uint8_t*, size_t, size_t, int32_t*) {}
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
  packed_.clear();
  inverse_.clear();
  const size_t lanes = (others.size() + kLanes - 1) / kLanes * kLanes;
  if (packs()) packed_.resize(lanes * table_.dimensions);
  for (size_t i = 0; i < others.size(); ++i) {
    const int8_t* values = table_.values + others[i] * table_.dimensions;
    if (packs()) {
      uint8_t* column = packed_.data() + i / kLanes * kLanes * table_.dimensions + i % kLanes * 4;
      for (size_t d = 0; d < table_.dimensions; ++d) {
        column[d / 4 * 4 * kLanes + d % 4] = static_cast<uint8_t>(values[d] + kOffset);
      }
    } else {
      others_.insert(others_.end(), values, values + table_.dimensions);
    }
    int32_t square = 0;
    for (size_t d = 0; d < table_.dimensions; ++d) square += values[d] * values[d];
    inverse_.push_back(inverse_root(square));
  }
  sums_.resize(lanes + 1);
}

// The scales of both rows cancel out.
void RowLikeness::compare(uint16_t row, float* out) {
  static const Function multiply = choose();
  const size_t count = inverse_.size();
  const int8_t* values = table_.values + row * table_.dimensions;
  if (packs()) {
    multiply_packed(values, packed_.data(), count, table_.dimensions, sums_.data());
  } else {
    multiply(values, others_.data(), count, table_.dimensions, sums_.data());
  }
  const float own = inverse_root(sums_[count]);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(sums_[i]) * own * inverse_[i];
}

}  // namespace tessera::index
