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

void scan_portable(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  for (size_t row = 0; row < rows; ++row, codes += query.stride) {
    int32_t sum = 0;
    for (size_t i = 0; i < query.stride; ++i) {
      sum += (static_cast<int32_t>(codes[i]) - kCodeOffset) * int32_t{query.values[i]};
    }
    out[row] = sum;
  }
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

[[gnu::target("avx2,fma")]] void scan_avx2(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  const auto offset = static_cast<uint32_t>(query.sum) * kCodeOffset;
  for (size_t row = 0; row < rows; ++row, codes += query.stride) {
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
    out[row] = static_cast<int32_t>(static_cast<uint32_t>(sum_lanes(_mm256_add_epi32(even, odd))) - offset);
  }
}

[[gnu::target("avx2,fma")]] float exact_avx2(const uint8_t* codes, const int8_t* low, const float* query,
                                             size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

#define TESSERA_VNNI "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma"

// The processor multiplies unsigned by signed bytes: unsigned codes by each half of the query.
[[gnu::target(TESSERA_VNNI)]] void scan_vnni(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out) {
  const auto offset = static_cast<uint32_t>(query.sum) * kCodeOffset;
  for (size_t row = 0; row < rows; ++row, codes += query.stride) {
    __m512i high = _mm512_setzero_si512();
    __m512i low = _mm512_setzero_si512();
    for (size_t i = 0; i < query.stride; i += 64) {
      const __m512i values = _mm512_loadu_si512(codes + i);
      high = _mm512_dpbusd_epi32(high, values, _mm512_loadu_si512(query.high + i));
      low = _mm512_dpbusd_epi32(low, values, _mm512_loadu_si512(query.low + i));
    }
    const __m512i both = _mm512_add_epi32(_mm512_slli_epi32(high, 7), low);
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1));
    const __m128i quarter = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const __m128i pair = _mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0x4E));
    const __m128i one = _mm_add_epi32(pair, _mm_shuffle_epi32(pair, 0xB1));
    out[row] = static_cast<int32_t>(static_cast<uint32_t>(_mm_cvtsi128_si32(one)) - offset);
  }
}

[[gnu::target(TESSERA_VNNI)]] float exact_vnni(const uint8_t* codes, const int8_t* low, const float* query,
                                               size_t stride) {
  return exact_lanes(codes, low, query, stride);
}

#endif

constexpr DotKernels kPortable{"portable", scan_portable, exact_portable};
#if defined(__x86_64__)
constexpr DotKernels kAvx2{"avx2", scan_avx2, exact_avx2};
constexpr DotKernels kVnni{"avx512-vnni", scan_vnni, exact_vnni};
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
