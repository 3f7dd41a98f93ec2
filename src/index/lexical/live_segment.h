#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "index/lexical/block_codec.h"
#include "index/lexical/prepared_rows.h"
#include "index/rows.h"

namespace tessera::index {

/// An array that grows by pieces of 2^Bits elements. Only the first piece, which begins small and doubles, ever moves;
/// the others come whole, so that growing never copies much.
template <class T, unsigned Bits>
class PieceArray {
 public:
  static constexpr size_t kPiece = size_t{1} << Bits;
  [[nodiscard]] size_t size() const { return size_; }
  T& operator[](size_t i) { return pieces_[i >> Bits][i & (kPiece - 1)]; }
  const T& operator[](size_t i) const { return pieces_[i >> Bits][i & (kPiece - 1)]; }
  void push_back(const T& value) {
    if (size_ == end_) grow(1);
    (*this)[size_++] = value;
  }
  /// Skips to the next piece if fewer than `count` elements are left in this one; returns the number of the first of
  /// `count` elements that lie beside each other. `count` <= kPiece.
  size_t extend(size_t count) {
    if (end_ - size_ < count) grow(count);
    const size_t first = size_;
    size_ += count;
    return first;
  }
  /// Takes back the last `count` of what extend() gave.
  void give_back(size_t count) { size_ -= count; }
  [[nodiscard]] size_t memory_bytes() const {
    return pieces_.empty() ? 0 : (first_ + (pieces_.size() - 1) * kPiece) * sizeof(T);
  }

 private:
  static constexpr size_t kSmallest = std::min<size_t>(kPiece, 32);

  void grow(size_t count) {
    if (first_ < kPiece && size_ + count <= kPiece) {
      first_ = std::bit_ceil(std::max(kSmallest, size_ + count));
      auto piece = std::make_unique_for_overwrite<T[]>(first_);
      if (pieces_.empty()) {
        pieces_.push_back(std::move(piece));
      } else {
        std::copy_n(pieces_[0].get(), size_, piece.get());
        pieces_[0] = std::move(piece);
      }
      end_ = first_;
      return;
    }
    size_ = pieces_.size() * kPiece;
    pieces_.push_back(std::make_unique_for_overwrite<T[]>(kPiece));
    end_ = size_ + kPiece;
  }

  std::vector<std::unique_ptr<T[]>> pieces_;
  size_t size_ = 0;
  size_t end_ = 0;    // of the last piece
  size_t first_ = 0;  // elements the first piece has room for
};

/// The segment rows are appended to: a hash table of terms and, for each, its postings in one growing array of words
/// (16 bits row, 16 bits frequency) out of a common pool; for each row the sequence of its terms. Guarded by its
/// collection's lock; what was appended before a freeze never changes. The rows appended since the last close() are
/// open: they count for no term yet.
class LiveSegment {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  static constexpr Row kRowsMax = Row{1} << 16;
  static constexpr size_t kPoolWordsMax = size_t{1} << 30;

  /// `reference_length`: the average length at which block bounds are worked out. `terms`: how many to expect.
  LiveSegment(Row first_row, float reference_length, size_t terms);

  [[nodiscard]] Row first_row() const { return first_row_; }
  [[nodiscard]] Row rows() const { return static_cast<Row>(row_info_.size()); }
  [[nodiscard]] uint32_t terms() const { return static_cast<uint32_t>(term_info_.size()); }
  [[nodiscard]] float reference_length() const { return reference_length_; }
  [[nodiscard]] size_t memory_bytes() const;
  /// Whether these rows still fit.
  [[nodiscard]] bool has_room(const PreparedRows& rows) const;

  /// Makes the table of terms big enough. By the applier, without a lock; takes effect with the next append.
  void prepare_room(const PreparedRows& rows);
  void append(const PreparedRows& rows);
  /// The open rows begin to count.
  void close() { open_first_ = rows(); }
  [[nodiscard]] Row open_first() const { return open_first_; }

  [[nodiscard]] uint32_t find(std::string_view term, uint32_t hash) const;
  [[nodiscard]] std::string_view term(uint32_t number) const {
    const TermBytes& at = term_bytes_[number];
    return {&bytes_[at.offset], at.size};
  }
  /// Rows with the term that are not open.
  [[nodiscard]] uint32_t rows_with(uint32_t number) const {
    const TermInfo& info = term_info_[number];
    return open_first_ < rows() && info.batch == open_first_ ? info.before : info.count;
  }
  [[nodiscard]] uint32_t length(Row row) const { return row_info_[row].length; }
  /// Variable-length integers: a term's number plus one, or 0 between two parts.
  [[nodiscard]] std::span<const uint8_t> sequence(Row row) const {
    const RowInfo& info = row_info_[row];
    if (info.bytes == 0) return {};
    return {info.own_room ? long_sequences_[info.sequence].get() : &sequences_[info.sequence], info.bytes};
  }

  /// A term's postings: `count` words; with 128 or more also the last row and the bound of each full block.
  struct List {
    const uint32_t* postings = nullptr;
    uint32_t count = 0;
    const uint32_t* last_rows = nullptr;
    const ImpactBound* bounds = nullptr;
    ImpactBound tail_bound = 0;
  };
  [[nodiscard]] List list(uint32_t number) const { return list_of(term_info_[number]); }
  [[nodiscard]] LocalPosting posting(uint32_t number, uint32_t word) const {
    const uint32_t tf = word & 0xFFFF;
    return {word >> 16, tf == kManyTimes ? many_.at(uint64_t{number} << 16 | word >> 16) : tf};
  }

 private:
  static constexpr uint32_t kManyTimes = 0xFFFF;  // the frequency is in many_
  struct Slot {
    uint64_t key = 0;
    uint32_t hash = 0;
    uint32_t number_plus_one = 0;  // 0: free
  };
  struct TermInfo {
    uint32_t count = 0;          ///< postings
    uint32_t at = 0;             ///< the posting itself, or where in the pool
    uint32_t before = 0;         ///< postings before those of the rows opened last
    uint16_t batch = 0;          ///< the first of these rows
    ImpactBound tail_bound = 0;  ///< of the postings behind the last full block
  };
  struct TermBytes {
    uint32_t offset = 0;
    uint32_t size = 0;
  };
  struct RowInfo {
    uint32_t sequence = 0;  ///< place in sequences_, or in long_sequences_
    uint32_t own_room : 1 = 0;
    uint32_t bytes : 31 = 0;
    uint32_t length = 0;
  };
  static size_t array_words(uint32_t capacity) {
    return capacity < kListBlock ? capacity : capacity + capacity / kListBlock + (capacity / kListBlock + 1) / 2;
  }

  uint32_t insert(std::string_view term, uint32_t hash);
  [[nodiscard]] std::vector<Slot> grown_table(size_t slots) const;
  void add_posting(uint32_t number, uint32_t row, uint32_t tf, ImpactBound bound);
  void grow_list(TermInfo& info);
  void seal_block(TermInfo& info);
  [[nodiscard]] List list_of(const TermInfo& info) const;
  uint32_t allocate(uint32_t capacity);
  void append_sequence(std::span<const uint32_t> sequence, uint32_t length);

  Row first_row_;
  Row open_first_ = 0;
  float reference_length_;
  std::vector<Slot> slots_;       // a power of two, at most 2/3 full
  std::vector<Slot> next_slots_;  // the applier's: takes the place of slots_ at the next append
  PieceArray<TermInfo, 14> term_info_;
  PieceArray<TermBytes, 14> term_bytes_;
  PieceArray<char, 18> bytes_;
  PieceArray<uint32_t, 18> pool_;
  std::vector<uint32_t> free_ =
      std::vector<uint32_t>(20, kNone);  // by capacity: arrays given back, each naming the next
  PieceArray<RowInfo, 12> row_info_;
  PieceArray<uint8_t, 18> sequences_;
  std::vector<std::unique_ptr<uint8_t[]>> long_sequences_;
  size_t long_bytes_ = 0;
  std::unordered_map<uint64_t, uint32_t> many_;
  std::vector<uint32_t> numbers_;  // scratch of append
};

}  // namespace tessera::index
