#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "index/vector/dot_kernels.h"

namespace tessera::index {

// The kinds of DotKernels; dot_kernels.cc chooses. Each asks for its processor's instructions itself, so that one
// binary holds all of them.
const DotKernels& portable_dot_kernels();
#if defined(__x86_64__)
const DotKernels& avx2_dot_kernels();
const DotKernels& vnni_dot_kernels();
#endif

/// Room for a row's codes.
inline constexpr size_t kStrideMost = 16384;  // kDimensionsMax

// What the kinds share: plain loops that the compiler makes vectors of, for whichever processor they are inlined for.

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

[[gnu::always_inline]] inline void join_lanes(const SplitCodes& row, size_t stride, uint8_t* codes) {
  for (size_t i = 0; i < stride; i += 128, codes += 128) {
    for (size_t j = 0; j < 64; ++j) {
      const uint8_t upper = row.upper[i / 2 + j];
      const uint8_t lower = row.lower[i / 2 + j];
      codes[j] = static_cast<uint8_t>((upper << 4) | (lower & 0x0F));
      codes[64 + j] = static_cast<uint8_t>((upper & 0xF0) | (lower >> 4));
    }
  }
}

[[gnu::always_inline]] inline int32_t flip_lanes(const uint8_t* codes, size_t stride, int8_t* out) {
  int32_t sum = 0;
  for (size_t j = 0; j < stride; ++j) {
    out[j] = static_cast<int8_t>(codes[j] ^ 0x80U);
    sum += out[j];
  }
  return sum;
}

/// From the sum of the products of the upper four bits.
inline int32_t coarse_dot(int32_t sum, const ByteQuery& query) {
  return sum * 16 + query.sum * (kCoarseMiddle - kCodeOffset);
}

}  // namespace tessera::index
