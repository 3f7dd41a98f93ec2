#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "text/bpe_merge.h"
#include "text/bpe_tables.h"

namespace tessera::text {

/// Counts the tokens of valid UTF-8 without making ids, and remembers how many tokens a piece of up to 30 bytes has:
/// words repeat, and one look at a table that the processor's cache holds costs far less than the vocabulary's tables,
/// not to speak of merging. Two direct-mapped tables for pieces of up to 15 and 30 bytes and a small one for lines of
/// signs, the piece itself in the slot, so a hit is exact; their size is fixed at the start. Works by blocks of pieces,
/// step by step, so that the memory of many of them is on its way at once. Belongs to one thread at a time; cannot
/// fail.
class BpeCountWork {
 public:
  /// Bytes of text after which a larger workspace does not help.
  static constexpr size_t kTextMax = size_t{1} << 20;

  /// In proportion to `text_size`, the bytes that it is expected to count: 560 KiB at most, about 10 KiB at least.
  BpeCountWork(const BpeTables& tables, BpePattern pattern, size_t text_size);

  /// Tokens of `text`, which is valid UTF-8. Until the next call or the end, pieces of it stay in memory.
  size_t count(std::string_view text);

 private:
  static constexpr size_t kBlock = 32;    ///< pieces asked for at once
  static constexpr size_t kUnknown = 32;  ///< pieces that the vocabulary is asked for at once

  static constexpr size_t kLineMax = 126;  ///< bytes of a piece

  struct Short {
    uint64_t low;
    uint64_t high;  ///< top byte: bytes, and tokens above them
  };
  struct Long {
    uint64_t words[4];  ///< top two bytes of the last: bytes and tokens
  };
  struct Line {
    uint8_t size;
    uint8_t tokens;
    char bytes[kLineMax];
  };
  struct Asked {
    BpeTables::Key key;  ///< of a short piece: as in its slot, without the tokens
    uint64_t hash;
    const char* bytes;
  };
  struct Unknown {
    const char* bytes;
    size_t size;
    uint64_t hash;
    const uint32_t* slot;  ///< where the vocabulary's search goes on, or null
  };

  template <BpePattern pattern>
  void count_as(std::string_view text);
  void ask(const char* piece, size_t size);
  void ask_long(const char* piece, size_t size);
  void answer();
  void look_up(const char* piece, size_t size, uint64_t hash);
  void look_up_all();
  size_t count_afresh(const Unknown& piece);
  size_t count_parts(const char* piece, size_t size);
  size_t merge_long(const Unknown& piece);
  size_t known_tokens(const Long& key, uint64_t hash) const;
  size_t remembered(const Unknown& piece) const;
  void remember(const Unknown& piece, size_t tokens);
  size_t count_unknown(const Unknown& piece);
  void settle(const Unknown& piece);
  void put_off(const Unknown& piece);
  void merge_all();
  static Short short_key(const char* piece, size_t size, const char* limit);
  static Long long_key(const char* piece, size_t size, const char* limit);

  BpeTables tables_;
  BpePattern pattern_;
  int shift_;  ///< of a hash to the index of a short slot; the others have 1/4 and 1/64 of the slots
  std::unique_ptr<Short[]> short_;
  std::unique_ptr<Long[]> long_;
  std::unique_ptr<Line[]> lines_;
  BpeMerger merger_;
  const char* limit_ = nullptr;
  size_t tokens_ = 0;
  size_t asked_count_ = 0;
  size_t unknown_count_ = 0;
  size_t job_count_ = 0;
  BpeMerger::Job jobs_[BpeMerger::kJobs];  ///< different pieces, which come so many times each:
  size_t job_times_[BpeMerger::kJobs];
  uint64_t job_hashes_[BpeMerger::kJobs];
  Asked asked_[kBlock];
  Unknown unknown_[kUnknown + kBlock];
};

}  // namespace tessera::text
