#include "llm/engines/prefix.h"

#include <algorithm>

#include "base/hash.h"

namespace tessera::llm {

Prefix prefix_of(std::string_view conversation) {
  const size_t blocks = std::min(conversation.size() / kPrefixBlockBytes, kPrefixBlocksMax);
  Prefix prefix(blocks);
  uint64_t before = 0;
  for (size_t i = 0; i < blocks; ++i) {
    before = base::hash64(conversation.substr(i * kPrefixBlockBytes, kPrefixBlockBytes), before);
    prefix[i] = before;
  }
  return prefix;
}

size_t common_blocks(const Prefix& left, const Prefix& right) {
  const auto [at, other] = std::ranges::mismatch(left, right);
  return static_cast<size_t>(at - left.begin());
}

bool choose_slot(std::span<const std::span<const Slot>> engines, const Prefix& prefix, SlotChoice& choice) {
  bool continues = false;
  bool found = false;
  size_t least_busy = 0;
  uint64_t oldest = 0;
  for (size_t engine = 0; engine < engines.size(); ++engine) {
    const auto busy = static_cast<size_t>(std::ranges::count_if(engines[engine], &Slot::busy));
    for (size_t slot = 0; slot < engines[engine].size(); ++slot) {
      const Slot& each = engines[engine][slot];
      if (each.busy) continue;
      const size_t common = common_blocks(each.prefix, prefix);
      if (common > 0 && common * 2 >= each.prefix.size()) {
        if (!continues || common > choice.common) choice = {engine, slot, common};
        continues = found = true;
        continue;
      }
      if (continues) continue;
      if (!found || busy < least_busy || (busy == least_busy && each.used < oldest)) {
        choice = {engine, slot, common};
        least_busy = busy;
        oldest = each.used;
        found = true;
      }
    }
  }
  return found;
}

}  // namespace tessera::llm
