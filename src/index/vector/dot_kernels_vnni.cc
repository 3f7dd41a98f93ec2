#include "index/vector/dot_kernel_kinds.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace tessera::index {
namespace {

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

// The processor multiplies unsigned by signed bytes: unsigned codes by each half of the query.
struct WideSums {
  __m512i high[4];
  __m512i low[4];
};

[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline void add_wide(WideSums& sums, size_t row, __m512i codes,
                                                                       const QueryCodes& query, size_t at) {
  sums.high[row] = _mm512_dpbusd_epi32(sums.high[row], codes, _mm512_loadu_si512(query.high + at));
  sums.low[row] = _mm512_dpbusd_epi32(sums.low[row], codes, _mm512_loadu_si512(query.low + at));
}

[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline WideSums no_sums() {
  WideSums sums;
  for (size_t i = 0; i < 4; ++i) sums.high[i] = sums.low[i] = _mm512_setzero_si512();
  return sums;
}

[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline __m128i finish(WideSums& sums, const QueryCodes& query) {
  for (size_t i = 0; i < 4; ++i) sums.low[i] = _mm512_add_epi32(_mm512_slli_epi32(sums.high[i], 7), sums.low[i]);
  const auto offset = static_cast<int32_t>(static_cast<uint32_t>(query.sum) * kCodeOffset);
  return _mm_sub_epi32(sum_four(sums.low[0], sums.low[1], sums.low[2], sums.low[3]), _mm_set1_epi32(offset));
}

[[gnu::target(TESSERA_VNNI)]] void scan_vnni(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  for (size_t i = 0; i < rows; i += 4) {
    const size_t left = rows - i;
    WideSums sums = no_sums();
    for (size_t j = 0; j < query.stride; j += 64) {
      for (size_t row = 0; row < 4; ++row) {
        add_wide(sums, row, _mm512_loadu_si512(codes + (i + (row < left ? row : 0)) * query.stride + j), query, j);
      }
    }
    _mm_mask_storeu_epi32(out + i, first_lanes(left), finish(sums, query));
  }
}

struct Joined {
  __m512i first;
  __m512i second;
};

[[gnu::target(TESSERA_VNNI), gnu::always_inline]] inline Joined join_line(const SplitCodes& row, size_t line) {
  const __m512i mask = _mm512_set1_epi8(0x0F);
  const __m512i upper = _mm512_loadu_si512(row.upper + line * 64);
  const __m512i lower = _mm512_loadu_si512(row.lower + line * 64);
  // Bit by bit: the mask's bits of one, the others of the other.
  return {_mm512_ternarylogic_epi64(mask, lower, _mm512_slli_epi16(upper, 4), 0xCA),
          _mm512_ternarylogic_epi64(mask, _mm512_srli_epi16(lower, 4), upper, 0xCA)};
}

[[gnu::target(TESSERA_VNNI)]] void gather_vnni(const SplitCodes* rows, size_t count, const QueryCodes& query,
                                               int32_t* out) {
  for (size_t i = 0; i < count; i += 4) {
    const size_t left = count - i;
    WideSums sums = no_sums();
    for (size_t line = 0; line < query.stride / 128; ++line) {
      for (size_t row = 0; row < 4; ++row) {
        const Joined codes = join_line(rows[row < left ? i + row : i], line);
        add_wide(sums, row, codes.first, query, line * 128);
        add_wide(sums, row, codes.second, query, line * 128 + 64);
      }
    }
    _mm_mask_storeu_epi32(out + i, first_lanes(left), finish(sums, query));
  }
}

[[gnu::target(TESSERA_VNNI)]] void dots_vnni(const SplitCodes* rows, size_t count, const ByteQuery& query,
                                             int32_t* out) {
  const __m128i offset = _mm_set1_epi32(query.sum * kCodeOffset);
  for (size_t i = 0; i < count; i += 4) {
    const size_t left = count - i;
    __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t line = 0; line < query.stride / 128; ++line) {
      const __m512i first = _mm512_loadu_si512(query.values + line * 128);
      const __m512i second = _mm512_loadu_si512(query.values + line * 128 + 64);
      for (size_t row = 0; row < 4; ++row) {
        const Joined codes = join_line(rows[row < left ? i + row : i], line);
        sums[row] = _mm512_dpbusd_epi32(sums[row], codes.first, first);
        sums[row] = _mm512_dpbusd_epi32(sums[row], codes.second, second);
      }
    }
    const __m128i four = sum_four(sums[0], sums[1], sums[2], sums[3]);
    _mm_mask_storeu_epi32(out + i, first_lanes(left), _mm_sub_epi32(four, offset));
  }
}

// kLines > 0 is the stride in lines of 128 known beforehand, so that the query stays in registers.
template <size_t kLines>
[[gnu::target(TESSERA_VNNI)]] void coarse_vnni_lines(const SplitCodes* rows, size_t count, const ByteQuery& query,
                                                     int32_t* out) {
  const size_t lines = kLines > 0 ? kLines : query.stride / 128;
  const __m512i mask = _mm512_set1_epi8(0x0F);
  const __m128i offset = _mm_set1_epi32(query.sum * (kCoarseMiddle - kCodeOffset));
  for (size_t i = 0; i < count; i += 4) {
    const size_t left = count - i;
    const uint8_t* from[4] = {rows[i].upper, rows[left > 1 ? i + 1 : i].upper, rows[left > 2 ? i + 2 : i].upper,
                              rows[left > 3 ? i + 3 : i].upper};
    __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t line = 0; line < lines; ++line) {
      const __m512i first = _mm512_loadu_si512(query.values + line * 128);
      const __m512i second = _mm512_loadu_si512(query.values + line * 128 + 64);
      for (size_t row = 0; row < 4; ++row) {
        const __m512i bytes = _mm512_loadu_si512(from[row] + line * 64);
        sums[row] = _mm512_dpbusd_epi32(sums[row], _mm512_and_si512(bytes, mask), first);
        const __m512i upper = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
        sums[row] = _mm512_dpbusd_epi32(sums[row], upper, second);
      }
    }
    const __m128i four = _mm_slli_epi32(sum_four(sums[0], sums[1], sums[2], sums[3]), 4);
    _mm_mask_storeu_epi32(out + i, first_lanes(left), _mm_add_epi32(four, offset));
  }
}

[[gnu::target(TESSERA_VNNI)]] void coarse_vnni(const SplitCodes* rows, size_t count, const ByteQuery& query,
                                               int32_t* out) {
  switch (query.stride / 128) {
    case 1:
      return coarse_vnni_lines<1>(rows, count, query, out);
    case 2:
      return coarse_vnni_lines<2>(rows, count, query, out);
    case 3:
      return coarse_vnni_lines<3>(rows, count, query, out);
    case 6:
      return coarse_vnni_lines<6>(rows, count, query, out);
    default:
      return coarse_vnni_lines<0>(rows, count, query, out);
  }
}

[[gnu::target(TESSERA_VNNI)]] void join_vnni(const SplitCodes& row, size_t stride, uint8_t* codes) {
  for (size_t line = 0; line < stride / 128; ++line) {
    const Joined joined = join_line(row, line);
    _mm512_storeu_si512(codes + line * 128, joined.first);
    _mm512_storeu_si512(codes + line * 128 + 64, joined.second);
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

constexpr DotKernels kVnni{"avx512-vnni", scan_vnni, gather_vnni, dots_vnni,
                           coarse_vnni,   join_vnni, flip_vnni,   exact_vnni};

}  // namespace

const DotKernels& vnni_dot_kernels() {
  return kVnni;
}

}  // namespace tessera::index
#endif
