#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/bpe_tables.h"

namespace tessera::text {

/// Byte-pair merging of one piece that is not a token itself: again and again the adjacent pair whose bytes are the
/// token of least id, the leftmost of equals, becomes one. (P. Gage 1994; ids order the merges, as in tiktoken.) Pieces
/// of up to 128 bytes are scanned on the stack; longer ones take a heap, n log n. Keeps its workspace between pieces:
/// one for each call that tokenises.
class BpeMerger {
 public:
  /// `text` is that of which the pieces are parts: nothing outside is read, and the workspace is in proportion to it.
  BpeMerger(const BpeTables& tables, std::string_view text)
      : tables_(tables), limit_(text.data() + text.size()), text_size_(text.size()) {}

  /// Tokens of `piece` (not empty); appends their ids unless `ids` is null.
  size_t merge(std::string_view piece, std::vector<uint32_t>* ids);

 private:
  struct Node {
    uint32_t next;
    uint32_t previous;
    uint32_t rank;   ///< id of this node's bytes with the next one's
    uint32_t token;  ///< id of this node's bytes; kNone for a byte not merged
  };

  /// A string looked up before: texts ask for the same few syllables again and again, so one look at a table that the
  /// processor's cache holds takes the place of two at tables that it does not.
  struct Known {
    uint64_t low = 0;
    uint64_t high = 0;  ///< up to 15 bytes with the low ones, and their number in the top byte
    uint32_t id = 0;
  };

  uint32_t find(const char* bytes, size_t size);
  size_t merge_short(std::string_view piece, std::vector<uint32_t>* ids);
  size_t merge_long(std::string_view piece, std::vector<uint32_t>* ids);
  void push(std::string_view piece, uint32_t at);

  BpeTables tables_;
  const char* limit_;
  size_t text_size_;
  int known_shift_ = 0;
  std::vector<Known> known_;  ///< direct-mapped; empty until the first merge
  std::vector<Node> nodes_;
  std::vector<uint64_t> heap_;
};

}  // namespace tessera::text
