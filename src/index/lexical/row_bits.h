#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "index/rows.h"

namespace tessera::index {

/// Rows [first, end).
struct RowRange {
  Row first = 0;
  Row end = 0;
  [[nodiscard]] Row size() const { return end - first; }
};

inline bool bit_of(std::span<const uint64_t> bits, Row row) {
  return ((bits[row / 64] >> (row % 64)) & 1) != 0;
}
inline void set_bit(std::span<uint64_t> bits, Row row) {
  bits[row / 64] |= uint64_t{1} << (row % 64);
}

/// Calls use(word number, the bits of the range in that word).
template <class Use>
void for_words(RowRange range, Use&& use) {
  for (Row row = range.first; row < range.end;) {
    const Row next = std::min<Row>(range.end, (row / 64 + 1) * 64);
    use(row / 64, (next - row == 64 ? ~uint64_t{0} : (uint64_t{1} << (next - row)) - 1) << (row % 64));
    row = next;
  }
}
inline void set_bits(std::span<uint64_t> bits, RowRange range) {
  for_words(range, [&](size_t word, uint64_t mask) { bits[word] |= mask; });
}
inline void clear_bits(std::span<uint64_t> bits, RowRange range) {
  for_words(range, [&](size_t word, uint64_t mask) { bits[word] &= ~mask; });
}
inline Row count_bits(std::span<const uint64_t> bits, RowRange range) {
  int count = 0;
  for_words(range, [&](size_t word, uint64_t mask) { count += std::popcount(bits[word] & mask); });
  return static_cast<Row>(count);
}
/// The bits of the range, all set, in an array of `rows`.
inline std::vector<uint64_t> all_bits(Row rows) {
  std::vector<uint64_t> bits((size_t{rows} + 63) / 64);
  set_bits(bits, {0, rows});
  return bits;
}

}  // namespace tessera::index
