#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/row_table.h"

namespace tessera::index {

inline constexpr size_t kBlockPostings = 128;

/// A row that has a term, and how often.
struct Posting {
  Row row = 0;
  uint32_t tf = 0;
};

/// The rows of one term in ascending order. Full blocks of 128 are bit-packed (row gaps and frequencies, four lanes
/// interleaved, so that any machine with 128-bit vectors unpacks four at a time); the rest waits in a plain tail. Each
/// block keeps its largest frequency and shortest row, which bound its BM25 scores whatever the average length becomes.
/// A value; reads may run beside each other, not beside append().
class PostingList {
 public:
  /// 20 bytes for 128 postings. `offset` is the first word of the block in `words`.
  struct Block {
    Row last_row = 0;
    uint32_t offset = 0;
    uint32_t tf_max = 0;
    uint32_t length_min = 0;
    uint8_t gap_bits = 0;
    uint8_t tf_bits = 0;
    uint16_t reserved = 0;
  };
  struct Bound {
    uint32_t tf_max = 0;
    uint32_t length_min = 0xFFFFFFFF;
  };

  /// `row` is above all rows so far, `tf` >= 1; `length` is the row's number of indexed terms.
  void append(Row row, uint32_t tf, uint32_t length);

  /// Blocks, the tail counted as one.
  [[nodiscard]] size_t blocks() const { return sealed_.size() + (tail_.empty() ? 0 : 1); }
  [[nodiscard]] Row last_row(size_t block) const {
    return block < sealed_.size() ? sealed_[block].last_row : tail_.back().row;
  }
  [[nodiscard]] Bound bound(size_t block) const {
    return block < sealed_.size() ? Bound{sealed_[block].tf_max, sealed_[block].length_min} : tail_bound_;
  }
  /// Unpacks a block into `rows` and `tfs` (128 each, aligned to 16); returns how many there are.
  size_t decode(size_t block, Row* rows, uint32_t* tfs) const;
  [[nodiscard]] size_t size() const { return sealed_.size() * kBlockPostings + tail_.size(); }
  [[nodiscard]] size_t memory_bytes() const;

  /// Live rows that have the term; kept by the owner.
  uint32_t live = 0;

  // For snapshots.
  [[nodiscard]] std::span<const Block> sealed() const { return sealed_; }
  [[nodiscard]] std::span<const uint32_t> words() const { return words_; }
  [[nodiscard]] std::span<const Posting> tail() const { return tail_; }
  /// Takes over what a snapshot held; false if it is not a well-formed list over `lengths` (row -> length).
  bool assign(std::span<const Block> sealed, std::span<const uint32_t> words, std::span<const Posting> tail,
              std::span<const uint32_t> lengths);

 private:
  void seal();
  [[nodiscard]] bool well_formed(std::span<const uint32_t> lengths) const;

  Bound tail_bound_;
  std::vector<Block> sealed_;
  std::vector<uint32_t> words_;
  std::vector<Posting> tail_;
};

}  // namespace tessera::index
