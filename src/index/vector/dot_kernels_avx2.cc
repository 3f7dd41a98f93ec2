#include "index/vector/dot_kernel_kinds.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace tessera::index {
namespace {

[[gnu::target("avx2,fma")]] int32_t sum_lanes(__m256i v) {
  const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i quarter = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0xB1)));
}

[[gnu::target("avx2,fma")]] int32_t wide_avx2(const uint8_t* codes, const QueryCodes& query) {
  __m256i even = _mm256_setzero_si256();
  __m256i odd = _mm256_setzero_si256();
  for (size_t i = 0; i < query.stride; i += 32) {
    const auto* from = reinterpret_cast<const __m128i*>(codes + i);
    const auto* with = reinterpret_cast<const __m256i*>(query.values + i);
    const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(from));
    const __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(from + 1));
    even = _mm256_add_epi32(even, _mm256_madd_epi16(a, _mm256_loadu_si256(with)));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(b, _mm256_loadu_si256(with + 1)));
  }
  const auto offset = static_cast<uint32_t>(query.sum) * kCodeOffset;
  return static_cast<int32_t>(static_cast<uint32_t>(sum_lanes(_mm256_add_epi32(even, odd))) - offset);
}

[[gnu::target("avx2,fma")]] void scan_avx2(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  for (size_t row = 0; row < rows; ++row) out[row] = wide_avx2(codes + row * query.stride, query);
}

[[gnu::target("avx2,fma")]] void join_avx2(const SplitCodes& row, size_t stride, uint8_t* codes) {
  join_lanes(row, stride, codes);
}

[[gnu::target("avx2,fma")]] void gather_avx2(const SplitCodes* rows, size_t count, const QueryCodes& query,
                                             int32_t* out) {
  alignas(64) std::array<uint8_t, kStrideMost> codes;
  for (size_t i = 0; i < count; ++i) {
    join_lanes(rows[i], query.stride, codes.data());
    out[i] = wide_avx2(codes.data(), query);
  }
}

// Products of two bytes are added in pairs of 16 bits: at most 2 x 127 x 127, which fits.
[[gnu::target("avx2,fma")]] void dots_avx2(const SplitCodes* rows, size_t count, const ByteQuery& query, int32_t* out) {
  alignas(64) std::array<uint8_t, kStrideMost> codes;
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < count; ++i) {
    join_lanes(rows[i], query.stride, codes.data());
    __m256i sum = _mm256_setzero_si256();
    for (size_t j = 0; j < query.stride; j += 32) {
      const auto* from = reinterpret_cast<const __m256i*>(codes.data() + j);
      const __m256i a = _mm256_xor_si256(_mm256_loadu_si256(from), flip);
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query.values + j));
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    out[i] = sum_lanes(sum);
  }
}

// Pairs are at most 2 x 15 x 127, so that two of them fit 16 bits together.
[[gnu::target("avx2,fma")]] void coarse_avx2(const SplitCodes* rows, size_t count, const ByteQuery& query,
                                             int32_t* out) {
  const __m256i mask = _mm256_set1_epi8(0x0F);
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < count; ++i) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t j = 0; j < query.stride; j += 128) {
      for (size_t half = 0; half < 64; half += 32) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[i].upper + j / 2 + half));
        const auto* with = reinterpret_cast<const __m256i*>(query.values + j + half);
        const __m256i first = _mm256_and_si256(bytes, mask);
        const __m256i second = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
        const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(first, _mm256_loadu_si256(with)),
                                               _mm256_maddubs_epi16(second, _mm256_loadu_si256(with + 2)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
      }
    }
    out[i] = coarse_dot(sum_lanes(sum), query);
  }
}

[[gnu::target("avx2,fma")]] int32_t flip_avx2(const uint8_t* codes, size_t stride, int8_t* out) {
  return flip_lanes(codes, stride, out);
}

[[gnu::target("avx2,fma")]] float exact_avx2(const uint8_t* codes, const int8_t* low, const float* query,
                                             size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

constexpr DotKernels kAvx2{"avx2", scan_avx2, gather_avx2, dots_avx2, coarse_avx2, join_avx2, flip_avx2, exact_avx2};

}  // namespace

const DotKernels& avx2_dot_kernels() {
  return kAvx2;
}

}  // namespace tessera::index
#endif
