#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "index/rows.h"

namespace tessera::index {

/// Postings in a full block.
inline constexpr size_t kListBlock = 128;
/// Rows a segment may have: gaps of fewer than 25 bits make the sums of a block's gaps always fit 32 bits, so decoding
/// hostile bytes gives ascending rows whatever they say.
inline constexpr unsigned kGapBitsMax = 24;
inline constexpr Row kSegmentRowsMax = Row{1} << kGapBitsMax;

/// A row of a segment (counted from the segment's first) that has a term, and how often.
struct LocalPosting {
  uint32_t row = 0;
  uint32_t tf = 0;
};

/// An upper bound of tf / (tf + norm) in a block, at the segment's reference average length; 65,535 stands for 1.
using ImpactBound = uint16_t;
ImpactBound impact_bound(float impact);

/// Aligned room for a decoded block.
struct DecodedBlock {
  alignas(64) std::array<uint32_t, kListBlock> rows;
  alignas(64) std::array<uint32_t, kListBlock> tfs;
};

/// Bytes of a packed block.
inline constexpr size_t packed_bytes(unsigned gap_bits, unsigned tf_bits) {
  return (size_t{gap_bits} + tf_bits) * sizeof(uint32_t) * 4;
}

/// Bits of each gap and of each frequency.
struct BlockWidths {
  unsigned gap_bits = 0;
  unsigned tf_bits = 0;
};
/// Packs 128 postings behind `out`: gaps less one, then frequencies less one, four lanes interleaved. `before` is the
/// row before the first (0xFFFFFFFF: none).
BlockWidths pack_block(const uint32_t* rows, const uint32_t* tfs, uint32_t before, std::vector<uint32_t>& out);
/// The rows of a packed block; `data` holds packed_bytes(), gap_bits <= kGapBitsMax. Any bytes give ascending rows.
void unpack_rows(const uint8_t* data, unsigned gap_bits, uint32_t before, uint32_t* rows);
/// The frequencies; `data` as above, tf_bits <= 32.
void unpack_tfs(const uint8_t* data, BlockWidths widths, uint32_t* tfs);

/// Fewer than 128 postings as variable-length integers: gap less one, its lowest bit telling whether a frequency above
/// one follows.
void append_short_block(const uint32_t* rows, const uint32_t* tfs, size_t count, uint32_t before,
                        std::vector<uint8_t>& out);
/// Reads `count` of them; false when the bytes end early or a row reaches `rows_end`.
bool read_short_block(std::string_view bytes, size_t count, uint32_t before, uint32_t rows_end, DecodedBlock& block);

}  // namespace tessera::index
