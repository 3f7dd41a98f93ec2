#include "index/vector/graph_kernels.h"

#include "index/vector/dot_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera::index {
namespace {

void dots_portable(const uint8_t* codes, const Row* rows, size_t count, const ByteQuery& query, int32_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* row = codes + size_t{rows[i]} * query.stride;
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

#if defined(__x86_64__)

// Products of two bytes are added in pairs of 16 bits: at most 2 x 127 x 127, which fits.
[[gnu::target("avx2")]] void dots_avx2(const uint8_t* codes, const Row* rows, size_t count, const ByteQuery& query,
                                       int32_t* out) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* row = codes + size_t{rows[i]} * query.stride;
    __m256i sum = _mm256_setzero_si256();
    for (size_t j = 0; j < query.stride; j += 32) {
      const __m256i a = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + j)), flip);
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query.values + j));
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    const __m128i quarter = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    out[i] = _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0xB1)));
  }
}

#define TESSERA_VNNI "avx512f,avx512bw,avx512vl,avx512vnni"

// Four rows at once. kLines > 0 is the stride in cache lines known beforehand, so that the query stays in registers.
template <size_t kLines>
[[gnu::target(TESSERA_VNNI)]] void dots_vnni_lines(const uint8_t* codes, const Row* rows, size_t count,
                                                   const ByteQuery& query, int32_t* out) {
  const size_t lines = kLines > 0 ? kLines : query.stride / 64;
  const __m128i offset = _mm_set1_epi32(query.sum * kCodeOffset);
  for (size_t i = 0; i < count; i += 4) {
    const uint8_t* r0 = codes + size_t{rows[i]} * query.stride;
    const uint8_t* r1 = i + 1 < count ? codes + size_t{rows[i + 1]} * query.stride : r0;
    const uint8_t* r2 = i + 2 < count ? codes + size_t{rows[i + 2]} * query.stride : r0;
    const uint8_t* r3 = i + 3 < count ? codes + size_t{rows[i + 3]} * query.stride : r0;
    __m512i a = _mm512_setzero_si512();
    __m512i b = a;
    __m512i c = a;
    __m512i d = a;
    for (size_t j = 0; j < lines; ++j) {
      const __m512i q = _mm512_loadu_si512(query.values + j * 64);
      a = _mm512_dpbusd_epi32(a, _mm512_loadu_si512(r0 + j * 64), q);
      b = _mm512_dpbusd_epi32(b, _mm512_loadu_si512(r1 + j * 64), q);
      c = _mm512_dpbusd_epi32(c, _mm512_loadu_si512(r2 + j * 64), q);
      d = _mm512_dpbusd_epi32(d, _mm512_loadu_si512(r3 + j * 64), q);
    }
    // Add up the 16 lanes of each, all four at once, as a transposition does.
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const size_t left = count - i;
    const auto mask = static_cast<__mmask8>(left >= 4 ? 0xF : (1U << left) - 1);
    _mm_mask_storeu_epi32(out + i, mask, _mm_sub_epi32(sums, offset));
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

[[gnu::target(TESSERA_VNNI)]] void dots_vnni(const uint8_t* codes, const Row* rows, size_t count,
                                             const ByteQuery& query, int32_t* out) {
  switch (query.stride / 64) {
    case 2:
      return dots_vnni_lines<2>(codes, rows, count, query, out);
    case 4:
      return dots_vnni_lines<4>(codes, rows, count, query, out);
    case 6:
      return dots_vnni_lines<6>(codes, rows, count, query, out);
    case 12:
      return dots_vnni_lines<12>(codes, rows, count, query, out);
    default:
      return dots_vnni_lines<0>(codes, rows, count, query, out);
  }
}

#endif

constexpr GraphKernels kPortable{"portable", dots_portable, flip_portable};
#if defined(__x86_64__)
constexpr GraphKernels kAvx2{"avx2", dots_avx2, flip_portable};
constexpr GraphKernels kVnni{"avx512-vnni", dots_vnni, flip_vnni};
#endif

}  // namespace

size_t graph_kernel_count() {
  return dot_kernel_count();  // the same features decide
}

const GraphKernels& graph_kernels(size_t index) {
#if defined(__x86_64__)
  if (index == 1) return kAvx2;
  if (index == 2) return kVnni;
#endif
  static_cast<void>(index);
  return kPortable;
}

const GraphKernels& best_graph_kernels() {
  return graph_kernels(graph_kernel_count() - 1);
}

}  // namespace tessera::index
