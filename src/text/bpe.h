#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/bpe_tables.h"

namespace tessera::text {

/// An exact byte-pair vocabulary: the same ids as tiktoken's `encode_ordinary`, that is, `encode` with
/// `allowed_special=set(), disallowed_special=()`: text that looks like a special token is text. Invalid UTF-8, which
/// tiktoken never sees, is read as if each bad sequence were U+FFFD (as decode_utf8 delimits them); NUL counts.
/// A value of views over bytes that outlive it (those of the embedded ones never end): copy freely, any thread, no
/// state. Linear but for pieces of more than 128 bytes (n log n). A call's workspace: at most 224 KiB, 40 bytes for
/// each byte of the longest piece beyond 128, and a copy of a text that is not valid UTF-8.
class BpeVocabulary {
 public:
  /// Reads a file of docs/formats/bpe-vocabulary.md in place; `file` lies 4-byte aligned and outlives every copy.
  /// Checks everything that reading relies on, checksum included (about 2 ms); error BPE_VOCABULARY_DAMAGED.
  static base::Result<BpeVocabulary> open(std::string_view file);

  /// The vocabularies in the binary. Cost nothing to open: nothing is copied, checked or decoded.
  static BpeVocabulary cl100k();
  static BpeVocabulary o200k();

  /// Number of tokens of `text`.
  [[nodiscard]] size_t count_tokens(std::string_view text) const;

  /// Appends the ids of `text` to `ids`.
  void encode(std::string_view text, std::vector<uint32_t>& ids) const;

  /// The bytes of token `id`, which need not be valid UTF-8; empty for an id beyond size(), as those of special tokens.
  [[nodiscard]] std::string_view token(uint32_t id) const;

  /// Number of tokens, special ones not counted.
  [[nodiscard]] uint32_t size() const { return tables_.token_count; }

  /// "cl100k" or "o200k", as the file says.
  [[nodiscard]] std::string_view name() const { return name_; }

 private:
  static BpeVocabulary embedded(std::string_view file);
  template <class Sink>
  void tokenize(std::string_view text, Sink& sink) const;

  BpeTables tables_;
  BpePattern pattern_ = BpePattern::cl100k;
  std::string_view name_;
};

}  // namespace tessera::text
