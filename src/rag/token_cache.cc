#include "rag/token_cache.h"

#include <utility>

namespace tessera::rag {

// With the list and the map around it.
size_t TokenCache::size_of(const Slot& slot) {
  return slot.tokens->capacity() * sizeof(core::MatchTokens::value_type) + 160;
}

TokenCache::Tokens TokenCache::find(const core::TokenMatcher* matcher, int64_t chunk_key) {
  Part& part = parts_[static_cast<uint64_t>(chunk_key) % kParts];
  const std::lock_guard lock(part.mutex);
  const auto found = part.slots.find(chunk_key);
  if (found == part.slots.end() || found->second.matcher != matcher) return nullptr;
  found->second.used = true;
  return found->second.tokens;
}

void TokenCache::keep(const core::TokenMatcher* matcher, int64_t chunk_key, Tokens tokens) {
  Part& part = parts_[static_cast<uint64_t>(chunk_key) % kParts];
  const std::lock_guard lock(part.mutex);
  const auto [at, added] = part.slots.try_emplace(chunk_key);
  if (added) {
    part.order.push_back(chunk_key);
  } else {
    part.bytes -= size_of(at->second);
  }
  at->second.tokens = std::move(tokens);
  at->second.matcher = matcher;
  part.bytes += size_of(at->second);
  make_room(part);
}

void TokenCache::make_room(Part& part) const {
  while (part.bytes > part_bytes_max_ && !part.order.empty()) {
    const int64_t key = part.order.front();
    part.order.pop_front();
    const auto at = part.slots.find(key);
    if (std::exchange(at->second.used, false)) {
      part.order.push_back(key);
      continue;
    }
    part.bytes -= size_of(at->second);
    part.slots.erase(at);
  }
}

size_t TokenCache::bytes() const {
  size_t sum = 0;
  for (const Part& part : parts_) {
    const std::lock_guard lock(part.mutex);
    sum += part.bytes;
  }
  return sum;
}

}  // namespace tessera::rag
