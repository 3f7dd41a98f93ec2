#pragma once

#include <cstdint>
#include <limits>

#include "index/lexical/block_codec.h"
#include "index/lexical/file_list.h"
#include "index/lexical/part.h"

namespace tessera::index {

inline constexpr Row kNoRow = std::numeric_limits<Row>::max();

/// The length part of BM25's denominator: tf + offset + slope * length.
struct LengthNorm {
  float offset = 0;
  float slope = 0;
  [[nodiscard]] float of(uint32_t length) const {
    return offset + slope * static_cast<float>(static_cast<int32_t>(length));
  }
};

/// Turns the stored bounds of a segment, worked out at its reference length, into bounds at the average length of now.
/// A longer average makes the norms of all rows smaller, at most by the ratio of the two; a shorter one makes them
/// larger.
class ImpactScale {
 public:
  ImpactScale(float reference_length, double average_length)
      : ratio_(average_length > reference_length ? reference_length / average_length * (1 - 1e-6) : 1.0) {}
  [[nodiscard]] double operator()(ImpactBound bound) const {
    const double impact = bound * ((1 + 1e-6) / 65535.0);
    return ratio_ == 1.0 ? impact : 1.0 / (1.0 + ratio_ * (1.0 / impact - 1.0));
  }

 private:
  double ratio_;
};

/// Walks one term's list in one part forward, decoding a block of postings only when it must. Rows are local to the
/// part.
class ListCursor {
 public:
  ListCursor(const Part& part, uint32_t number, float weight, LengthNorm norm);

  /// The first block that may hold `row` or a later one becomes the current one.
  void seek(Row row) {
    if (block_ >= blocks_ || last_row(block_) >= row) return;
    seek_far(row);
  }
  [[nodiscard]] bool at_end() const { return block_ >= blocks_; }
  /// A row at or above `row` below which this list has nothing more; kNoRow at its end. After seek(row).
  [[nodiscard]] Row next_possible(Row row) const {
    if (block_ >= blocks_) return kNoRow;
    return block_ == 0 ? std::max(row, first_row_) : std::max(row, last_row(block_ - 1) + 1);
  }
  /// The greatest bound of the blocks that may hold rows below `end`; 0: none. After seek().
  [[nodiscard]] ImpactBound bound_until(Row end) const {
    ImpactBound best = 0;
    for (uint32_t b = block_; b < blocks_; ++b) {
      if (b > 0 && last_row(b - 1) + 1 >= end) break;
      best = std::max(best, bound(b));
    }
    return best;
  }
  /// Blocks that may hold rows below `end`. After seek().
  [[nodiscard]] uint32_t blocks_until(Row end) const {
    uint32_t b = block_;
    while (b < blocks_ && (b == block_ || last_row(b - 1) + 1 < end)) ++b;
    return b - block_;
  }
  /// The greatest score the row may have here, as far as that is known without decoding. Rows as for find().
  double bound_of(Row row, const ImpactScale& scale) {
    seek(row);
    if (block_ >= blocks_ || (block_ > 0 && last_row(block_ - 1) >= row)) return 0;
    if (bounded_ != block_) {
      bounded_ = block_;
      block_bound_ = scale(bound(block_)) * weight_;
    }
    return block_bound_;
  }
  [[nodiscard]] float weight() const { return weight_; }

  /// Adds each row's score in [from, end) to sums[row - from]; returns which groups of 64 rows were touched.
  uint64_t add_scores(Row from, Row end, float* sums);
  /// Sets the bit of each row in [from, end).
  void mark_rows(Row from, Row end, uint64_t* bits);
  /// Whether the list has the row. Rows ascend from call to call.
  bool find(Row row) {
    seek(row);
    if (block_ >= blocks_) return false;
    if (rows_of_ != block_) {
      if (next_possible(row) > row) return false;
      if (!decode_rows()) return false;
    }
    advance_to(row);
    return at_ < count_ && decoded_.rows[at_] == row;
  }
  /// The score of the row find() just found.
  float score();

 private:
  static constexpr uint32_t kNoBlock = 0xFFFFFFFF;

  [[nodiscard]] Row last_row(uint32_t block) const { return block < table_ ? last_rows_[block] : tail_last_; }
  [[nodiscard]] ImpactBound bound(uint32_t block) const { return block < table_ ? bounds_[block] : tail_bound_; }
  void open_live(const Part& part, uint32_t number);
  void open_file(const Part& part, uint32_t number);
  void seek_far(Row row);
  bool decode_rows();
  void decode_tfs();
  void advance_to(Row row);
  template <class Use>
  void for_blocks(Row from, Row end, Use&& use);

  const Part& part_;
  uint32_t number_;
  float weight_;
  LengthNorm norm_;
  FileList file_;
  LiveSegment::List live_;
  const uint32_t* lengths_ = nullptr;  // of a file
  const uint32_t* last_rows_ = nullptr;
  const ImpactBound* bounds_ = nullptr;
  uint32_t blocks_ = 0;
  uint32_t table_ = 0;  // blocks that last_rows_ and bounds_ know
  Row first_row_ = 0;   // if known
  Row tail_last_ = 0;
  ImpactBound tail_bound_ = 0;
  uint32_t block_ = 0;
  uint32_t rows_of_ = kNoBlock;  // the block whose rows are decoded
  uint32_t tfs_of_ = kNoBlock;
  uint32_t bounded_ = kNoBlock;  // the block block_bound_ is of
  double block_bound_ = 0;
  size_t count_ = 0;
  size_t at_ = 0;
  DecodedBlock decoded_;
};

}  // namespace tessera::index
