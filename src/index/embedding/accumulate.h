#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera::index {

/// Rows of int8 with a scale each; the table stays where it is.
struct QuantisedRows {
  const int8_t* values = nullptr;  ///< row-major, `dimensions` a row, a multiple of 64
  const float* scales = nullptr;
  size_t dimensions = 0;
};

/// sum += scale[r] * row[r] for every r of `rows`. Picks AVX-512, AVX2 or plain code by the processor, once. `rows` may
/// repeat. Rounding may differ in the last bit between processors (fused multiply-add).
void accumulate(const QuantisedRows& table, std::span<const uint16_t> rows, float* sum);

}  // namespace tessera::index
