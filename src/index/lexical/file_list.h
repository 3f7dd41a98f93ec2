#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "index/lexical/block_codec.h"
#include "index/lexical/segment.h"

namespace tessera::index {

/// One term's list in a segment file. Checks what it reads, so that damaged bytes give wrong rows at worst, never rows
/// outside the segment and never memory outside the file. A value that borrows from the segment.
class FileList {
 public:
  FileList() = default;
  /// A list without blocks when the header makes no sense.
  FileList(const Segment& segment, uint32_t number) : rows_(segment.rows()), info_(&segment.info(number)) {
    if (info_->df <= 1) {
      blocks_ = info_->df;
      return;
    }
    const std::string_view all = segment.postings();
    const uint64_t offset = uint64_t{info_->at} * 4;
    if (offset >= all.size()) return;
    bytes_ = all.substr(offset);
    if (info_->df < kListBlock) {
      blocks_ = 1;
      return;
    }
    const uint64_t blocks = (uint64_t{info_->df} + kListBlock - 1) / kListBlock;
    if (blocks * kHeaderBytes > bytes_.size()) return;
    blocks_ = static_cast<uint32_t>(blocks);
    last_rows_ = reinterpret_cast<const uint32_t*>(bytes_.data());
    offsets_ = last_rows_ + blocks;
    bounds_ = reinterpret_cast<const ImpactBound*>(offsets_ + blocks);
    widths_ = bounds_ + blocks;
  }

  static constexpr size_t kHeaderBytes = 12;  ///< of a block: last row, offset, bound, widths

  [[nodiscard]] uint32_t blocks() const { return blocks_; }
  /// Null for lists of fewer than 128 postings, which are one block.
  [[nodiscard]] const uint32_t* last_rows() const { return last_rows_; }
  [[nodiscard]] const ImpactBound* bounds() const { return bounds_; }
  [[nodiscard]] ImpactBound max_bound() const {
    return static_cast<ImpactBound>(std::min<uint32_t>(info_->more, 0xFFFF));
  }

  /// The rows of a block; of a short one the frequencies too. Returns how many, 0 when the bytes are damaged.
  size_t decode_rows(uint32_t block, DecodedBlock& out) const {
    if (info_->df == 1) {
      if (info_->at >= rows_) return 0;
      out.rows[0] = info_->at;
      out.tfs[0] = info_->more;
      return 1;
    }
    const uint32_t before = block == 0 || last_rows_ == nullptr ? 0xFFFFFFFF : last_rows_[block - 1];
    if (block > 0 && before >= rows_) return 0;
    const size_t count = count_of(block);
    if (count < kListBlock) {
      const uint32_t offset = offsets_ == nullptr ? 0 : offsets_[block];
      if (offset >= bytes_.size() || !read_short_block(bytes_.substr(offset), count, before, rows_, out)) return 0;
      return last_rows_ == nullptr || out.rows[count - 1] == last_rows_[block] ? count : 0;
    }
    const BlockWidths widths = widths_of(block);
    if (widths.gap_bits > kGapBitsMax || widths.tf_bits > 32 || offsets_[block] > bytes_.size() ||
        packed_bytes(widths.gap_bits, widths.tf_bits) > bytes_.size() - offsets_[block]) {
      return 0;
    }
    unpack_rows(data(block), widths.gap_bits, before, out.rows.data());
    return out.rows[kListBlock - 1] == last_rows_[block] && last_rows_[block] < rows_ ? kListBlock : 0;
  }

  /// How many postings have a row below `row`.
  [[nodiscard]] uint32_t postings_below(Row row) const {
    const uint32_t block =
        last_rows_ == nullptr
            ? 0
            : static_cast<uint32_t>(std::lower_bound(last_rows_, last_rows_ + blocks_, row) - last_rows_);
    if (block >= blocks_) return info_ == nullptr ? 0 : info_->df;
    DecodedBlock decoded;
    const size_t count = decode_rows(block, decoded);
    const uint32_t* const rows = decoded.rows.data();
    return block * static_cast<uint32_t>(kListBlock) +
           static_cast<uint32_t>(std::lower_bound(rows, rows + count, row) - rows);
  }

  /// After decode_rows(block) gave rows: their frequencies.
  void decode_tfs(uint32_t block, DecodedBlock& out) const {
    if (count_of(block) == kListBlock) unpack_tfs(data(block), widths_of(block), out.tfs.data());
  }

 private:
  [[nodiscard]] size_t count_of(uint32_t block) const {
    return std::min<size_t>(kListBlock, info_->df - size_t{block} * kListBlock);
  }
  [[nodiscard]] BlockWidths widths_of(uint32_t block) const {
    return {static_cast<unsigned>(widths_[block] & 0xFF), static_cast<unsigned>(widths_[block] >> 8)};
  }
  [[nodiscard]] const uint8_t* data(uint32_t block) const {
    return reinterpret_cast<const uint8_t*>(bytes_.data()) + offsets_[block];
  }

  uint32_t rows_ = 0;
  uint32_t blocks_ = 0;
  const segment_format::TermInfo* info_ = nullptr;
  std::string_view bytes_;
  const uint32_t* last_rows_ = nullptr;
  const uint32_t* offsets_ = nullptr;
  const ImpactBound* bounds_ = nullptr;
  const uint16_t* widths_ = nullptr;
};

}  // namespace tessera::index
