#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/bpe_tables.h"

namespace tessera::text {

/// Byte-pair merging of one piece that is not a token itself: again and again the adjacent pair whose bytes are the
/// token of least id, the leftmost of equals, becomes one. (P. Gage 1994; ids order the merges, as in tiktoken.) Pieces
/// of up to 128 bytes are scanned on the stack; longer ones take a heap, n log n. Keeps its workspace between pieces;
/// belongs to one thread at a time.
class BpeMerger {
 public:
  /// Remembers as many pairs as a text of `text_size` bytes makes worthwhile, 16,384 at most (8 bytes each).
  BpeMerger(const BpeTables& tables, size_t text_size) : tables_(tables), text_size_(text_size) {}

  /// The text of which the pieces to come are parts: nothing outside is read.
  void read(std::string_view text) { limit_ = text.data() + text.size(); }

  /// Gives back the workspace of long pieces.
  void shrink();

  static constexpr size_t kJobs = 16;      ///< pieces that are merged together
  static constexpr size_t kJobBytes = 32;  ///< bytes of such a piece, at most

  /// A piece (not empty), and how many tokens it has.
  struct Job {
    std::string_view piece;
    size_t tokens = 0;
  };

  /// Counts the tokens of at most kJobs pieces of at most kJobBytes, a merge of each in turn: one merge waits for the
  /// one before and each asks large tables, so the memory of many pieces had better be on its way at once.
  void count_all(std::span<Job> jobs);

  /// Tokens of `piece` (not empty); appends their ids unless `ids` is null.
  size_t merge(std::string_view piece, std::vector<uint32_t>* ids);

 private:
  template <size_t kMax>
  struct Chain;
  struct Lane;
  struct Ask {
    Lane* lane;
    uint64_t name;
    uint64_t hash;  ///< of the name; then of the bytes, in the vocabulary
    const uint32_t* slot;
    uint32_t left;  ///< position in the piece
    uint32_t size;  ///< bytes of both
  };
  struct Node {
    uint32_t next;
    uint32_t previous;
    uint32_t rank;   ///< id of this node's bytes with the next one's
    uint32_t token;  ///< id of this node's bytes; of a byte not merged, see single()
  };

  /// Stands for the token of a single byte while merging: beyond all ids, which have 20 bits.
  static uint32_t single(char byte) { return 1U << 20 | static_cast<unsigned char>(byte); }

  uint32_t pair(uint32_t left, uint32_t right, const char* bytes, size_t size);
  void make_known();
  void answer(std::span<Ask> asks);
  void append(uint32_t token, const char* byte, std::vector<uint32_t>& ids) const;
  size_t merge_short(std::string_view piece, std::vector<uint32_t>* ids);
  size_t merge_long(std::string_view piece, std::vector<uint32_t>* ids);
  void push(std::string_view piece, uint32_t at);

  BpeTables tables_;
  const char* limit_ = nullptr;
  size_t text_size_;
  int known_shift_ = 0;
  /// Pairs looked up before, direct-mapped: 42 bits that name the pair, 21 for the id it makes. Texts ask for the same
  /// few thousand pairs again and again, and these lie closer than the tables. Empty until the first merge.
  std::vector<uint64_t> known_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> heap_;
};

}  // namespace tessera::text
