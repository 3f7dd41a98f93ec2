#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace tessera::index {

/// A row is a chunk's number inside one collection: dense, in order of arrival, renumbered by compaction only.
using Row = uint32_t;

/// A row that matched. Higher is better. Lists of hits are best first, ties by row.
struct RowHit {
  Row row = 0;
  float score = 0;
  bool operator==(const RowHit&) const = default;
};

/// The rows a query may return: live, and of documents that satisfy its filter. A value; holds while the collection is
/// not changed (under the lock it was made under).
struct RowSelection {
  std::span<const uint64_t> bits;                      ///< a bit a row; bits behind the last row are 0
  uint64_t count = 0;                                  ///< bits set
  bool filtered = false;                               ///< false: simply the live rows
  std::shared_ptr<const std::vector<uint64_t>> owner;  ///< of `bits`, unless they are the collection's own

  [[nodiscard]] bool contains(Row row) const { return ((bits[row / 64] >> (row % 64)) & 1) != 0; }
};

inline constexpr Row kGoneRow = std::numeric_limits<Row>::max();

/// What compaction does to rows: old row -> new row, or kGoneRow. Order is kept.
using RowMap = std::vector<Row>;

}  // namespace tessera::index
