#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tessera::text {

/// The tables of a WordPiece vocabulary, as they lie in a model file (docs/formats/static-model.md). Views only: the
/// file outlives every user. Nothing here is checked again while tokenising; the reader of the file checks it once.
struct WordPieceTables {
  std::span<const uint32_t> token_offsets;  ///< vocabulary + 1 entries: where each token's bytes start
  std::string_view token_bytes;             ///< without the "##" of a continuation
  std::span<const uint32_t> slots;          ///< open-addressed hash table: fingerprint << 16 | id; 0 is empty
  std::span<const uint16_t> pages;          ///< 4,352 page numbers, one for each 256 code points
  std::span<const uint16_t> classes;        ///< 256 entries a page, see WordPiece::kDrop and following
  std::span<const uint32_t> image_offsets;  ///< where the text of image i starts in image_bytes
  std::string_view image_bytes;             ///< what a code point becomes after NFD, accents stripped, lower case
  uint16_t unknown = 0;                     ///< id of [UNK]
};

/// ASCII words of up to 16 bytes and their ids, so that encode() looks each up once. 128 KB; for one thread at a time
/// and one vocabulary. A later word takes a former one's place.
class WordPieceMemo {
 private:
  friend class WordPiece;
  struct Key {
    uint64_t low = 0, high = 0;  // the bytes in lower case, then zeros
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key word;  // zeros: none
    std::array<uint16_t, 7> ids;
    uint16_t count = 0;
  };
  static_assert(sizeof(Entry) == 32);

  static constexpr unsigned kBits = 12;
  static constexpr size_t kWordMax = sizeof(Key);
  static Key key_of(std::string_view text, size_t pos, size_t size);
  Entry& at(const Key& key);

  std::array<Entry, size_t{1} << kBits> entries_{};
};

/// BERT's uncased tokenizer: clean, space CJK, strip accents, lower case, split at punctuation, then greedy longest
/// match in the vocabulary; a word of more than 100 characters, or with a part that is not in the vocabulary, is one
/// [UNK]. Same ids as the reference (Hugging Face tokenizers, special tokens in the text taken as plain text), without
/// [CLS] and [SEP]. Invalid UTF-8 is dropped, as the reference drops U+FFFD. A value of views: copy freely, any thread.
/// No allocation. Linear: at most token_max lookups for each byte.
class WordPiece {
 public:
  /// Classes of code points; kImage + i: replaced by image i (kImageAlone + i: and a word of its own).
  static constexpr uint16_t kSame = 0, kDrop = 1, kSpace = 2, kAlone = 3, kImage = 16, kImageAlone = 0x8000;
  /// `out` of encode() must hold this many ids, so that one word always fits.
  static constexpr size_t kOutMin = 128;

  struct Progress {
    size_t ids = 0;    ///< ids written
    size_t bytes = 0;  ///< bytes of the text read; a call for the rest goes on from there
  };

  WordPiece() = default;
  explicit WordPiece(const WordPieceTables& tables);

  /// Writes the ids of whole words from the start of `text` until the text ends or `out` might not hold another word.
  /// The same ids with a memo as without, several times sooner.
  Progress encode(std::string_view text, std::span<uint16_t> out, WordPieceMemo* memo = nullptr) const;

  /// Tokens of a text.
  [[nodiscard]] size_t count(std::string_view text) const;

  /// The bytes of token `id`, without "##".
  [[nodiscard]] std::string_view token(uint16_t id) const {
    return tables_.token_bytes.substr(tables_.token_offsets[id],
                                      tables_.token_offsets[id + 1] - tables_.token_offsets[id]);
  }

  /// Hash of a token (`continuation`: it had "##"); slot = hash >> shift, fingerprint = bits 16 to 31. The distillation
  /// script fills the table with the same function.
  static uint64_t hash(std::string_view bytes, bool continuation);

 private:
  struct Word;
  [[nodiscard]] uint16_t find(uint64_t hash, std::string_view bytes) const;
  size_t emit(const Word& word, uint16_t* out) const;
  size_t split(std::string_view word, uint16_t* out) const;
  size_t read_word(std::string_view text, size_t& pos, uint16_t* out) const;
  size_t recall_word(std::string_view text, size_t& pos, uint16_t* out, WordPieceMemo& memo) const;
  size_t take_code_point(std::string_view text, size_t pos, Word& word, bool& ends_word) const;

  WordPieceTables tables_;
  uint32_t shift_ = 0;
  uint32_t mask_ = 0;
  uint32_t token_max_ = 0;
};

}  // namespace tessera::text
