#include "index/vector/dot_kernels.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera::index {
namespace {

[[gnu::always_inline]] inline float exact_lanes(const uint8_t* codes, const int8_t* low, const float* query,
                                                size_t stride) {
  constexpr size_t kLanes = 32;  // the compiler makes vectors of these
  std::array<float, kLanes> sums{};
  for (size_t i = 0; i < stride; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const int value = (static_cast<int>(codes[i + lane]) - kCodeOffset) * 256 + low[i + lane];
      sums[lane] += query[i + lane] * static_cast<float>(value);
    }
  }
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

int32_t wide_portable(const uint8_t* codes, const QueryCodes& query) {
  int32_t sum = 0;
  for (size_t i = 0; i < query.stride; ++i) {
    sum += (static_cast<int32_t>(codes[i]) - kCodeOffset) * int32_t{query.values[i]};
  }
  return sum;
}

void scan_portable(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  for (size_t row = 0; row < rows; ++row) out[row] = wide_portable(codes + row * query.stride, query);
}

void gather_portable(const uint8_t* const* rows, size_t count, const QueryCodes& query, int32_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = wide_portable(rows[i], query);
}

void dots_portable(const uint8_t* const* rows, size_t count, const ByteQuery& query, int32_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* row = rows[i];
    int32_t sum = 0;
    for (size_t j = 0; j < query.stride; ++j) sum += (static_cast<int32_t>(row[j]) - kCodeOffset) * query.values[j];
    out[i] = sum;
  }
}

int32_t flip_portable(const uint8_t* codes, size_t stride, int8_t* out) {
  int32_t sum = 0;
  for (size_t j = 0; j < stride; ++j) {
    out[j] = static_cast<int8_t>(codes[j] ^ 0x80U);
    sum += out[j];
  }
  return sum;
}

float exact_portable(const uint8_t* codes, const int8_t* low, const float* query, size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

#if defined(__x86_64__)

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

[[gnu::target("avx2,fma")]] void gather_avx2(const uint8_t* const* rows, size_t count, const QueryCodes& query,
                                             int32_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = wide_avx2(rows[i], query);
}

// Products of two bytes are added in pairs of 16 bits: at most 2 x 127 x 127, which fits.
[[gnu::target("avx2,fma")]] void dots_avx2(const uint8_t* const* rows, size_t count, const ByteQuery& query,
                                           int32_t* out) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* row = rows[i];
    __m256i sum = _mm256_setzero_si256();
    for (size_t j = 0; j < query.stride; j += 32) {
      const __m256i a = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + j)), flip);
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query.values + j));
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    out[i] = sum_lanes(sum);
  }
}

[[gnu::target("avx2,fma")]] float exact_avx2(const uint8_t* codes, const int8_t* low, const float* query,
                                             size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

#define TESSERA_VNNI "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma"

/// Adds up the 16 lanes of each of four, all at once, as a transposition does.
[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline __m128i sum_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline __mmask8 first_lanes(size_t count) {
  return static_cast<__mmask8>(count >= 4 ? 0xF : (1U << count) - 1);
}

struct FourRows {
  const uint8_t* a;
  const uint8_t* b;
  const uint8_t* c;
  const uint8_t* d;
};

// The processor multiplies unsigned by signed bytes: unsigned codes by each half of the query.
[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline __m128i wide_vnni(const FourRows& rows,
                                                                           const QueryCodes& query) {
  __m512i high[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
  __m512i low[4] = {high[0], high[0], high[0], high[0]};
  for (size_t i = 0; i < query.stride; i += 64) {
    const __m512i h = _mm512_loadu_si512(query.high + i);
    const __m512i l = _mm512_loadu_si512(query.low + i);
    const __m512i a = _mm512_loadu_si512(rows.a + i);
    const __m512i b = _mm512_loadu_si512(rows.b + i);
    const __m512i c = _mm512_loadu_si512(rows.c + i);
    const __m512i d = _mm512_loadu_si512(rows.d + i);
    high[0] = _mm512_dpbusd_epi32(high[0], a, h);
    high[1] = _mm512_dpbusd_epi32(high[1], b, h);
    high[2] = _mm512_dpbusd_epi32(high[2], c, h);
    high[3] = _mm512_dpbusd_epi32(high[3], d, h);
    low[0] = _mm512_dpbusd_epi32(low[0], a, l);
    low[1] = _mm512_dpbusd_epi32(low[1], b, l);
    low[2] = _mm512_dpbusd_epi32(low[2], c, l);
    low[3] = _mm512_dpbusd_epi32(low[3], d, l);
  }
  for (size_t i = 0; i < 4; ++i) low[i] = _mm512_add_epi32(_mm512_slli_epi32(high[i], 7), low[i]);
  const auto offset = static_cast<int32_t>(static_cast<uint32_t>(query.sum) * kCodeOffset);
  return _mm_sub_epi32(sum_four(low[0], low[1], low[2], low[3]), _mm_set1_epi32(offset));
}

[[gnu::target(TESSERA_VNNI)]] void scan_vnni(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  for (size_t i = 0; i < rows; i += 4) {
    const size_t left = rows - i;
    const uint8_t* at = codes + i * query.stride;
    const FourRows four{at, left > 1 ? at + query.stride : at, left > 2 ? at + 2 * query.stride : at,
                        left > 3 ? at + 3 * query.stride : at};
    _mm_mask_storeu_epi32(out + i, first_lanes(left), wide_vnni(four, query));
  }
}

[[gnu::target(TESSERA_VNNI)]] void gather_vnni(const uint8_t* const* rows, size_t count, const QueryCodes& query,
                                               int32_t* out) {
  for (size_t i = 0; i < count; i += 4) {
    const size_t left = count - i;
    const FourRows four{rows[i], rows[left > 1 ? i + 1 : i], rows[left > 2 ? i + 2 : i], rows[left > 3 ? i + 3 : i]};
    _mm_mask_storeu_epi32(out + i, first_lanes(left), wide_vnni(four, query));
  }
}

// kLines > 0 is the stride in cache lines known beforehand, so that the query stays in registers.
template <size_t kLines>
[[gnu::target(TESSERA_VNNI)]] void dots_vnni_lines(const uint8_t* const* rows, size_t count, const ByteQuery& query,
                                                   int32_t* out) {
  const size_t lines = kLines > 0 ? kLines : query.stride / 64;
  const __m128i offset = _mm_set1_epi32(query.sum * kCodeOffset);
  for (size_t i = 0; i < count; i += 4) {
    const size_t left = count - i;
    const FourRows four{rows[i], rows[left > 1 ? i + 1 : i], rows[left > 2 ? i + 2 : i], rows[left > 3 ? i + 3 : i]};
    __m512i a = _mm512_setzero_si512();
    __m512i b = a;
    __m512i c = a;
    __m512i d = a;
    for (size_t j = 0; j < lines; ++j) {
      const __m512i q = _mm512_loadu_si512(query.values + j * 64);
      a = _mm512_dpbusd_epi32(a, _mm512_loadu_si512(four.a + j * 64), q);
      b = _mm512_dpbusd_epi32(b, _mm512_loadu_si512(four.b + j * 64), q);
      c = _mm512_dpbusd_epi32(c, _mm512_loadu_si512(four.c + j * 64), q);
      d = _mm512_dpbusd_epi32(d, _mm512_loadu_si512(four.d + j * 64), q);
    }
    _mm_mask_storeu_epi32(out + i, first_lanes(left), _mm_sub_epi32(sum_four(a, b, c, d), offset));
  }
}

[[gnu::target(TESSERA_VNNI)]] void dots_vnni(const uint8_t* const* rows, size_t count, const ByteQuery& query,
                                             int32_t* out) {
  switch (query.stride / 64) {
    case 2:
      return dots_vnni_lines<2>(rows, count, query, out);
    case 4:
      return dots_vnni_lines<4>(rows, count, query, out);
    case 6:
      return dots_vnni_lines<6>(rows, count, query, out);
    case 12:
      return dots_vnni_lines<12>(rows, count, query, out);
    default:
      return dots_vnni_lines<0>(rows, count, query, out);
  }
}

[[gnu::target(TESSERA_VNNI)]] int32_t flip_vnni(const uint8_t* codes, size_t stride, int8_t* out) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  for (size_t j = 0; j < stride; j += 64) {
    const __m512i row = _mm512_loadu_si512(codes + j);
    _mm512_storeu_si512(out + j, _mm512_xor_si512(row, flip));
    sum = _mm512_dpbusd_epi32(sum, row, ones);
  }
  return _mm512_reduce_add_epi32(sum) - static_cast<int32_t>(stride) * kCodeOffset;
}

[[gnu::target(TESSERA_VNNI)]] float exact_vnni(const uint8_t* codes, const int8_t* low, const float* query,
                                               size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

#endif

constexpr DotKernels kPortable{"portable",    scan_portable, gather_portable,
                               dots_portable, flip_portable, exact_portable};
#if defined(__x86_64__)
constexpr DotKernels kAvx2{"avx2", scan_avx2, gather_avx2, dots_avx2, flip_portable, exact_avx2};
constexpr DotKernels kVnni{"avx512-vnni", scan_vnni, gather_vnni, dots_vnni, flip_vnni, exact_vnni};
#endif

}  // namespace

size_t dot_kernel_count() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) return 1;
  const bool vnni = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                    __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  return vnni ? 3 : 2;
#else
  return 1;
#endif
}

const DotKernels& dot_kernels(size_t index) {
#if defined(__x86_64__)
  if (index == 1) return kAvx2;
  if (index == 2) return kVnni;
#endif
  static_cast<void>(index);
  return kPortable;
}

const DotKernels& best_dot_kernels() {
  return dot_kernels(dot_kernel_count() - 1);
}

}  // namespace tessera::index
