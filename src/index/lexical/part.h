#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "index/lexical/live_segment.h"
#include "index/lexical/segment.h"
#include "index/rows.h"

namespace tessera::index {

/// For each term of a file segment, how many of its rows were removed since the file was written. Zeros cost nothing:
/// the system gives pages when they are first written to.
class RemovedTerms {
 public:
  explicit RemovedTerms(uint32_t terms)
      : entries_(static_cast<Entry*>(std::calloc(std::max<size_t>(terms, 1), sizeof(Entry)))), terms_(terms) {}

  [[nodiscard]] uint32_t terms() const { return terms_; }
  [[nodiscard]] uint32_t count(uint32_t term) const { return entries_.get()[term].count; }
  /// Adds one for each distinct term of a row that is removed; each row once. Codes as in Segment::sequence.
  void add_row(Row row, std::span<const uint8_t> sequence);
  void set(uint32_t term, uint32_t count) { entries_.get()[term].count = count; }

 private:
  struct Entry {
    uint32_t count;
    uint32_t row_plus_one;  // that counted last
  };
  struct Free {
    void operator()(Entry* entries) const { std::free(entries); }
  };
  std::unique_ptr<Entry, Free> entries_;
  uint32_t terms_;
};

/// A range of an index's rows and the segment they are in, with what may change: which rows count and which are gone
/// (rows that are neither are not activated yet). Guarded by the collection's lock.
struct Part {
  Row first = 0;
  std::shared_ptr<LiveSegment> live;    ///< in memory; only the last part's grows
  std::shared_ptr<const Segment> file;  ///< or in a file
  std::vector<uint64_t> counted;        ///< bit a row
  std::vector<uint64_t> gone;
  Row counted_rows = 0;
  Row gone_rows = 0;
  Row stale_rows = 0;  ///< gone, but still in the file's lists
  uint64_t counted_length = 0;
  std::unique_ptr<RemovedTerms> removed;  ///< of a file; null: none
  // What the last save wrote.
  std::shared_ptr<const Segment> saved;             ///< of a live segment, while it is as it was then
  std::shared_ptr<const IndexFile> saved_removals;  ///< of a file, likewise

  [[nodiscard]] Row rows() const { return live ? live->rows() : file->rows(); }
  [[nodiscard]] Row pending() const { return rows() - counted_rows - gone_rows; }
  [[nodiscard]] uint32_t length(Row row) const { return live ? live->length(row) : file->lengths()[row]; }
  [[nodiscard]] std::span<const uint8_t> sequence(Row row) const {
    return live ? live->sequence(row) : file->sequence(row);
  }
  [[nodiscard]] uint32_t find(std::string_view term, uint32_t hash) const {
    return live ? live->find(term, hash) : file->find(term, hash);
  }
  /// Rows that count and have the term.
  [[nodiscard]] uint32_t rows_with(uint32_t number) const {
    if (live) return live->live_rows_with(number);
    const uint32_t df = file->info(number).df;
    return df - std::min(df, removed ? removed->count(number) : 0);
  }

  void append(const PreparedRows& rows);
  void activate(Row row);
  void remove(Row row);
};

inline bool bit_of(std::span<const uint64_t> bits, Row row) {
  return ((bits[row / 64] >> (row % 64)) & 1) != 0;
}
inline void set_bit(std::span<uint64_t> bits, Row row) {
  bits[row / 64] |= uint64_t{1} << (row % 64);
}

}  // namespace tessera::index
