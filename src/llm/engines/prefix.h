#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tessera::llm {

/// The beginning of a conversation as a row of hashes: entry i stands for its first (i + 1) * 128 bytes, so two
/// conversations begin alike for as long as their rows agree.
using Prefix = std::vector<uint64_t>;

constexpr size_t kPrefixBlockBytes = 128;
constexpr size_t kPrefixBlocksMax = 4096;  ///< what comes later does not count

/// Of the conversation's bytes, in whatever form, as long as it is always the same.
Prefix prefix_of(std::string_view conversation);

/// How many blocks two prefixes have in common.
size_t common_blocks(const Prefix& left, const Prefix& right);

/// One slot of an engine: the memory of one conversation.
struct Slot {
  Prefix prefix;      ///< of the last request it served
  uint64_t used = 0;  ///< a count that grows with each use; 0: never
  bool busy = false;
};

/// Where a request should go.
struct SlotChoice {
  size_t engine = 0;
  size_t slot = 0;
  size_t common = 0;  ///< blocks that need not be read again
};

/// The free slot that a conversation with this prefix continues: the one that shares most with it, if that is at least
/// half of what the slot holds (else its own conversation would be lost for a greeting that all have in common). When
/// there is none: of the engines with fewest busy slots, the free slot unused for longest. `engines`: the slots of each
/// engine, none of one that cannot take requests. False when no slot is free.
bool choose_slot(std::span<const std::span<const Slot>> engines, const Prefix& prefix, SlotChoice& choice);

}  // namespace tessera::llm
