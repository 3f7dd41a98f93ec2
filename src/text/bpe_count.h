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
/// not to speak of merging. Three direct-mapped tables for pieces of up to 7, 15 and 30 bytes, the piece itself in the
/// slot, so a hit is exact; their size is fixed at the start. Belongs to one thread at a time; cannot fail.
class BpeCountWork {
 public:
  /// Bytes of text after which a larger workspace does not help.
  static constexpr size_t kTextMax = size_t{1} << 20;

  /// In proportion to `text_size`, the bytes that it is expected to count: 448 KiB at most, less than 2 KiB at least.
  BpeCountWork(const BpeTables& tables, BpePattern pattern, size_t text_size);

  /// Tokens of `text`, which is valid UTF-8. Until the next call or the end, pieces of it stay in memory.
  size_t count(std::string_view text);

 private:
  struct Wide {
    uint64_t low;
    uint64_t high;  ///< top byte: bytes, and tokens above them
  };
  struct Long {
    uint64_t words[4];  ///< top two bytes of the last: bytes and tokens
  };

  template <BpePattern pattern>
  size_t count_as(std::string_view text);
  size_t count_small(const char* piece, size_t size);
  size_t count_wide(const char* piece, size_t size);
  size_t count_long(const char* piece, size_t size);
  size_t count_afresh(const char* piece, size_t size);

  BpeTables tables_;
  BpePattern pattern_;
  int shift_;  ///< of a hash to the index of a small slot; the other tables have 1/2 and 1/8 of the slots
  std::unique_ptr<uint64_t[]> small_;
  std::unique_ptr<Wide[]> wide_;
  std::unique_ptr<Long[]> long_;
  BpeMerger merger_;
  const char* limit_ = nullptr;
};

}  // namespace tessera::text
