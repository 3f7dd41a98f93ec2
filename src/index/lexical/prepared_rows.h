#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tessera::index {

/// What one row is indexed by: up to three parts (text, headings, title; empty ones do not count). Phrases do not reach
/// from one part into the next.
struct RowText {
  std::array<std::string_view, 3> parts;
};

/// Rows cut into terms, ready for SegmentedIndex::append. Knows nothing of any index: may be made on any thread, ahead
/// of time. A value.
class PreparedRows {
 public:
  /// A term of a row and how often it is there.
  struct RowTerm {
    uint32_t term = 0;  ///< number in this object
    uint32_t tf = 0;
  };
  struct Term {
    uint32_t hash = 0;
    uint32_t offset = 0;  ///< of its bytes
    uint32_t size = 0;
  };
  static constexpr uint32_t kPartEnd = 0xFFFFFFFF;  ///< in a sequence: between two parts

  [[nodiscard]] size_t rows() const { return lengths_.size(); }
  /// Terms in each row, repetitions counted: BM25's length.
  [[nodiscard]] std::span<const uint32_t> lengths() const { return lengths_; }
  /// Distinct terms of row `i`.
  [[nodiscard]] std::span<const RowTerm> terms_of(size_t i) const {
    const uint32_t start = i == 0 ? 0 : term_ends_[i - 1];
    return std::span(row_terms_).subspan(start, term_ends_[i] - start);
  }
  /// All terms of row `i` in order.
  [[nodiscard]] std::span<const uint32_t> sequence_of(size_t i) const {
    const uint32_t start = i == 0 ? 0 : sequence_ends_[i - 1];
    return std::span(sequence_).subspan(start, sequence_ends_[i] - start);
  }
  [[nodiscard]] std::span<const Term> terms() const { return terms_; }
  [[nodiscard]] std::string_view bytes(const Term& term) const { return {bytes_.data() + term.offset, term.size}; }

 private:
  friend class RowPreparer;
  std::vector<uint32_t> lengths_;
  std::vector<RowTerm> row_terms_;
  std::vector<uint32_t> term_ends_;
  std::vector<uint32_t> sequence_;
  std::vector<uint32_t> sequence_ends_;
  std::vector<Term> terms_;
  std::vector<char> bytes_;
};

/// Cuts rows into terms. Give it at most a few hundred rows at a time (one slice of a document).
PreparedRows prepare_rows(std::span<const RowText> rows, bool stemming);

}  // namespace tessera::index
