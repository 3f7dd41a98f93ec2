#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/embedding/accumulate.h"

namespace tessera::index {

/// Lengths and cosines of quantised rows (a multiple of 64 dimensions). One thread. The processor's best code is chosen
/// once.
class RowLikeness {
 public:
  explicit RowLikeness(const QuantisedRows& table) : table_(table) {}

  /// The length of a row's vector.
  [[nodiscard]] float length(uint16_t row) const;
  /// Adopts the rows to compare with; `compare` writes one cosine for each.
  void set_others(std::span<const uint16_t> others);
  /// out[i] = cosine of `row` and others[i]; 0 where one is all zeros.
  void compare(uint16_t row, float* out);
  /// Has the row on its way from memory.
  void prefetch(uint16_t row) const {
    const int8_t* values = table_.values + row * table_.dimensions;
    for (size_t d = 0; d < table_.dimensions; d += 64) __builtin_prefetch(values + d);
  }

 private:
  QuantisedRows table_;
  std::vector<int16_t> others_;  ///< row-major copies, widened: half the work of widening both sides
  std::vector<uint8_t>
      packed_;  ///< instead, for processors that add up products of bytes: by 16 rows, by 4 dimensions, + 128
  std::vector<float> inverse_;  ///< 1 / length of each, in steps of the row's own scale
  std::vector<int32_t> sums_;   ///< room for compare()
};

}  // namespace tessera::index
