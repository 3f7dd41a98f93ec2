#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "index/lexical/term_key.h"

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
  /// A term where it stands.
  struct Token {
    TermKey key;
    uint32_t hash = 0;  ///< key_hash
    uint32_t rest = 0;  ///< where its bytes are, if the key is not whole
  };

  /// Cuts rows into terms, in the place and the memory of what was prepared before. Give it at most a few hundred rows
  /// at a time (one slice of a document).
  void prepare(std::span<const RowText> rows, bool stemming);

  [[nodiscard]] size_t rows() const { return lengths_.size(); }
  /// Terms in each row, repetitions counted: BM25's length.
  [[nodiscard]] std::span<const uint32_t> lengths() const { return lengths_; }
  /// All terms of row `i` in order.
  [[nodiscard]] std::span<const Token> tokens_of(size_t i) const {
    return std::span(tokens_).subspan(part_ends_[i][2] - lengths_[i], lengths_[i]);
  }
  /// Of these terms, how many belong to the first part, and to the first and the second.
  [[nodiscard]] std::array<uint32_t, 2> part_ends_of(size_t i) const {
    const uint32_t start = part_ends_[i][2] - lengths_[i];
    return {part_ends_[i][0] - start, part_ends_[i][1] - start};
  }
  [[nodiscard]] size_t tokens() const { return tokens_.size(); }
  /// The bytes of a token of this object, as long as both live.
  [[nodiscard]] std::string_view term(const Token& token) const {
    if (token.key.whole()) return token.key.bytes();
    const LongTerm& at = long_terms_[token.rest];
    return {bytes_.data() + at.offset, at.size};
  }
  /// No less than the bytes of all terms.
  [[nodiscard]] size_t bytes_max() const { return tokens_.size() * sizeof(TermKey) + bytes_.size(); }

 private:
  struct LongTerm {
    uint32_t offset = 0;
    uint32_t size = 0;
  };
  void clear();
  void add(std::string_view term, const TermKey& key);
  void keep_bytes(Token& token, std::string_view term);

  std::vector<uint32_t> lengths_;
  std::vector<std::array<uint32_t, 3>> part_ends_;  // of each row, in tokens_
  std::vector<Token> tokens_;
  std::vector<LongTerm> long_terms_;
  std::vector<char> bytes_;
};

PreparedRows prepare_rows(std::span<const RowText> rows, bool stemming);

}  // namespace tessera::index
