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
  explicit BpeMerger(const BpeTables& tables) : tables_(tables) {}

  /// Tokens of `piece` (not empty); appends their ids unless `ids` is null.
  size_t merge(std::string_view piece, std::vector<uint32_t>* ids);

 private:
  struct Node {
    uint32_t next;
    uint32_t previous;
    uint32_t rank;   ///< id of this node's bytes with the next one's
    uint32_t token;  ///< id of this node's bytes; kNone for a byte not merged
  };

  size_t merge_short(std::string_view piece, std::vector<uint32_t>* ids) const;
  size_t merge_long(std::string_view piece, std::vector<uint32_t>* ids);
  void push(std::string_view piece, uint32_t at);

  BpeTables tables_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> heap_;
};

}  // namespace tessera::text
