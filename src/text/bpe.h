#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/bpe_tables.h"

namespace tessera::text {

class BpeCountWork;

/// An exact byte-pair vocabulary: the same ids as tiktoken's `encode_ordinary`, that is, `encode` with
/// `allowed_special=set(), disallowed_special=()`: text that looks like a special token is text. Invalid UTF-8, which
/// tiktoken never sees, is read as if each bad sequence were U+FFFD (as decode_utf8 delimits them); NUL counts.
/// A value of views over bytes that outlive it (those of the embedded ones never end): copy freely, any thread, no
/// state. Linear but for pieces of more than 128 bytes (n log n). A call's workspace: at most 560 KiB, 40 bytes for
/// each byte of the longest piece beyond 128, and a copy of a text that is not valid UTF-8.
class BpeVocabulary {
 public:
  /// Reads a file of docs/formats/bpe-vocabulary.md in place; `file` lies 8-byte aligned and outlives every copy.
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
  static size_t count_with(BpeCountWork& work, std::string_view text);
  friend class BpeCounter;

  BpeTables tables_;
  BpePattern pattern_ = BpePattern::cl100k;
  std::string_view name_;
};

/// Counts tokens for callers that do so often: as BpeVocabulary::count_tokens, but the workspace stays, so that the
/// words of one text need not be looked up again in the next. Any thread, no waiting: a call takes a workspace that no
/// other call uses at that moment, or makes one of its own. Each workspace is of fixed size (560 KiB) and holds pieces
/// of up to 126 bytes of texts counted before; nobody can ask for them, and they end with the counter.
class BpeCounter {
 public:
  /// `workspaces`: as many calls as can run at once and find one, usually that of processors.
  explicit BpeCounter(BpeVocabulary vocabulary, size_t workspaces = 2);
  ~BpeCounter();
  BpeCounter(const BpeCounter&) = delete;
  BpeCounter& operator=(const BpeCounter&) = delete;

  /// Number of tokens of `text`.
  [[nodiscard]] size_t count(std::string_view text) const;

 private:
  struct Place;

  BpeVocabulary vocabulary_;
  std::unique_ptr<Place[]> places_;
  size_t workspaces_;
};

}  // namespace tessera::text
