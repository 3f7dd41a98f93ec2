#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "index/lexical/live_segment.h"
#include "index/lexical/row_bits.h"
#include "index/lexical/segment.h"
#include "index/rows.h"

namespace tessera::index {

/// For each term of a segment, how many of its rows do not count any more. Zeros cost nothing: the system gives pages
/// when they are first written to. A value.
class RemovedTerms {
 public:
  explicit RemovedTerms(uint32_t terms) : entries_(allocate(terms)), terms_(terms) {}
  RemovedTerms(const RemovedTerms& other);
  RemovedTerms& operator=(const RemovedTerms&) = delete;
  ~RemovedTerms() = default;

  [[nodiscard]] uint32_t terms() const { return terms_; }
  [[nodiscard]] uint32_t count(uint32_t term) const { return term < terms_ ? entries_.get()[term].count : 0; }
  /// Makes room for a segment that has got more terms.
  void extend(uint32_t terms);
  /// Adds one for each distinct term of a row, or takes it back. Codes as in Segment::sequence.
  void add_row(std::span<const uint8_t> sequence) { change(sequence, 1); }
  void take_back_row(std::span<const uint8_t> sequence) { change(sequence, -1); }
  void set(uint32_t term, uint32_t count) { entries_.get()[term].count = count; }
  [[nodiscard]] size_t memory_bytes() const { return size_t{terms_} * sizeof(Entry); }

 private:
  struct Entry {
    uint32_t count;
    uint32_t turn;  // that changed it last: a row counts once
  };
  struct Free {
    void operator()(Entry* entries) const { std::free(entries); }
  };
  using Entries = std::unique_ptr<Entry, Free>;
  static Entries allocate(uint32_t terms) {
    return Entries(static_cast<Entry*>(std::calloc(std::max<size_t>(terms, 1), sizeof(Entry))));
  }
  void change(std::span<const uint8_t> sequence, int by);

  Entries entries_;
  uint32_t terms_;
  uint32_t turn_ = 0;
};

/// A range of an index's rows and the segment they are in, with what may change: which rows count and which are gone
/// (rows that are neither are not activated yet). Rows and ranges are counted from its first row. Guarded by the
/// collection's lock.
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
  std::unique_ptr<RemovedTerms> removed;  ///< what the segment counts too much, but for `unsettled`; null: nothing
  std::vector<RowRange> unsettled;        ///< rows gone that are not in `removed` yet: searches count their postings
  // What the last save wrote.
  std::shared_ptr<const Segment> saved;             ///< of a live segment, while it is as it was then
  std::shared_ptr<const IndexFile> saved_removals;  ///< of a file, likewise

  [[nodiscard]] Row rows() const { return live ? live->rows() : file->rows(); }
  [[nodiscard]] Row pending() const { return rows() - counted_rows - gone_rows; }
  [[nodiscard]] uint32_t terms() const { return live ? live->terms() : file->terms(); }
  [[nodiscard]] uint32_t length(Row row) const { return live ? live->length(row) : file->lengths()[row]; }
  [[nodiscard]] std::span<const uint8_t> sequence(Row row) const {
    return live ? live->sequence(row) : file->sequence(row);
  }
  [[nodiscard]] uint32_t find(std::string_view term, uint32_t hash) const {
    return live ? live->find(term) : file->find(term, hash);
  }
  /// Rows that count and have the term.
  [[nodiscard]] uint32_t rows_with(uint32_t number) const;
  /// `removed` as it is when everything is settled, for a file.
  [[nodiscard]] std::unique_ptr<RemovedTerms> settled() const;

  void append(const PreparedRows& rows);
  /// In time that does not depend on the rows if they are all that was appended since the last activation.
  void activate(RowRange range);
  /// Long ranges are left unsettled.
  void remove(RowRange range);
  /// Puts about `rows` unsettled rows into `removed`.
  void settle(Row rows);

 private:
  RemovedTerms& removed_terms();
  void close_open_rows();
  [[nodiscard]] uint64_t length_of(RowRange range) const;
};

}  // namespace tessera::index
