#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "index/lexical/block_codec.h"
#include "index/lexical/memory_block.h"
#include "index/lexical/prepared_rows.h"
#include "index/rows.h"

namespace tessera::index {

/// The segment rows are appended to: a hash table of terms and, for each, its postings in one growing array of words
/// (16 bits row, 16 bits frequency) out of a common pool; for each row the sequence of its terms. Guarded by its
/// collection's lock; what was appended before a freeze never changes. The rows appended since the last close() are
/// open: they count for no term yet.
class LiveSegment {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  static constexpr Row kRowsMax = Row{1} << 16;
  static constexpr size_t kPoolWordsMax = size_t{1} << 30;
  static constexpr uint32_t kManyTimes = 0xFFFF;  ///< a frequency in a word that says: posting() knows

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

  [[nodiscard]] uint32_t find(std::string_view term) const;
  [[nodiscard]] std::string_view term(uint32_t number) const {
    const TermBytes& at = term_bytes_[number];
    return {&bytes_[at.offset], at.size};
  }
  [[nodiscard]] const TermKey& key(uint32_t number) const { return term_info_[number].key; }
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
  void prefetch_list(uint32_t number) const {
    const TermInfo& info = term_info_[number];
    if (info.count > 1) __builtin_prefetch(&pool_[info.at]);
  }
  [[nodiscard]] List list(uint32_t number) const { return list_of(term_info_[number]); }
  [[nodiscard]] LocalPosting posting(uint32_t number, uint32_t word) const {
    const uint32_t tf = word & 0xFFFF;
    return {word >> 16, tf == kManyTimes ? many_.at(uint64_t{number} << 16 | word >> 16) : tf};
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t number_plus_one = 0;  // 0: free
  };
  struct TermInfo {
    TermKey key;
    uint32_t count = 0;          ///< postings
    uint32_t at = 0;             ///< the posting itself, or where in the pool
    uint32_t before = 0;         ///< postings before those of the rows opened last
    uint16_t batch = 0;          ///< the first of these rows
    ImpactBound tail_bound = 0;  ///< of the postings behind the last full block
  };
  static_assert(sizeof(TermInfo) == 32);
  /// A hash table: a power of two of slots, at most 2/3 full.
  struct Table {
    explicit Table(size_t slots) : block(slots), size(slots) { std::fill_n(block.data(), slots, Slot()); }
    Slot& operator[](size_t i) { return block.data()[i]; }
    const Slot& operator[](size_t i) const { return block.data()[i]; }
    MemoryBlock<Slot> block;
    size_t size = 0;
  };
  class OpenRow;
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

  void append_row(const PreparedRows& rows, size_t i);
  void append_tokens(const PreparedRows& rows, std::span<const PreparedRows::Token> tokens, OpenRow& row);
  void find_numbers(const PreparedRows& rows, std::span<const PreparedRows::Token> tokens, uint32_t* numbers);
  [[nodiscard]] bool is(uint32_t number, const TermKey& key, std::string_view term) const;
  [[nodiscard]] uint32_t find(const TermKey& key, uint32_t hash, std::string_view term) const;
  uint32_t insert(const PreparedRows& rows, const PreparedRows::Token& token);
  [[nodiscard]] Table grown_table(size_t slots) const;
  void add_posting(uint32_t number, ImpactBound once, OpenRow& row);
  void repeat_posting(uint32_t number, uint32_t& posting, OpenRow& row);
  void grow_list(TermInfo& info);
  void seal_block(TermInfo& info);
  [[nodiscard]] List list_of(const TermInfo& info) const;
  uint32_t allocate(uint32_t capacity);

  Row first_row_;
  Row open_first_ = 0;
  float reference_length_;
  Table slots_;
  std::optional<Table> next_slots_;  // the applier's: takes the place of slots_ at the next append
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
};

}  // namespace tessera::index
