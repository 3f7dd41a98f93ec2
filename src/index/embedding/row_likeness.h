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

 private:
  QuantisedRows table_;
  std::vector<int16_t> others_;  ///< row-major copies, widened: half the work of widening both sides
  std::vector<float> inverse_;   ///< 1 / length of each, in steps of the row's own scale
  std::vector<int32_t> sums_;    ///< room for compare()
};

}  // namespace tessera::index
