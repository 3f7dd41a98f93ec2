#include "store/half.h"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/assert.h"

namespace tessera::store {
namespace {

uint16_t encode_one(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));  // NaN
  if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // rounds beyond 65504
  if (magnitude < 0x38800000U) {
    // Subnormal: adding 0.5 lets the float unit do the shifting and the rounding.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000U));
  }
  const uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13));
}

float decode_one(uint16_t half) {
  const uint32_t sign = (half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 0x1FU;
  const uint32_t fraction = half & 0x3FFU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) size_t encode_wide(std::span<const float> from, std::span<uint16_t> to) {
  size_t i = 0;
  for (; i + 8 <= from.size(); i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from.data() + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to.data() + i), halves);
  }
  return i;
}

__attribute__((target("avx,f16c"))) size_t decode_wide(std::span<const uint16_t> from, std::span<float> to) {
  size_t i = 0;
  for (; i + 8 <= from.size(); i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.data() + i));
    _mm256_storeu_ps(to.data() + i, _mm256_cvtph_ps(halves));
  }
  return i;
}

bool wide() {
  return __builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c");
}
#else
size_t encode_wide(std::span<const float>, std::span<uint16_t>) {
  return 0;
}
size_t decode_wide(std::span<const uint16_t>, std::span<float>) {
  return 0;
}
bool wide() {
  return false;
}
#endif

}  // namespace

void encode_halves(std::span<const float> from, std::span<uint16_t> to) {
  TESSERA_ASSERT(from.size() == to.size());
  for (size_t i = wide() ? encode_wide(from, to) : 0; i < from.size(); ++i) to[i] = encode_one(from[i]);
}

void decode_halves(std::span<const uint16_t> from, std::span<float> to) {
  TESSERA_ASSERT(from.size() == to.size());
  for (size_t i = wide() ? decode_wide(from, to) : 0; i < from.size(); ++i) to[i] = decode_one(from[i]);
}

}  // namespace tessera::store
