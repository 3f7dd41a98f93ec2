#include "llm/engines/engine_memory.h"

#include <utility>

namespace tessera::llm {

void EngineMemory::join(const void* who, Occupant occupant) {
  const std::lock_guard lock(mutex_);
  entries_.push_back({who, std::move(occupant)});
}

void EngineMemory::leave(const void* who) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [who](const Entry& entry) { return entry.who == who; });
}

EngineMemory::Verdict EngineMemory::reserve(uint64_t bytes, bool pinned) {
  const std::lock_guard lock(mutex_);
  if (bytes_max_ == 0 || reserved_ + bytes <= bytes_max_) {
    reserved_ += bytes;
    if (pinned) pinned_ += bytes;
    return Verdict::granted;
  }
  if (pinned_ + bytes > bytes_max_) return Verdict::never;
  const Entry* oldest = nullptr;
  base::SteadyTime since = base::SteadyTime::max();
  for (const Entry& entry : entries_) {
    const auto idle = entry.occupant.idle_since();
    if (!idle || *idle >= since) continue;
    oldest = &entry;
    since = *idle;
  }
  if (oldest != nullptr) oldest->occupant.unload();
  return Verdict::later;
}

void EngineMemory::release(uint64_t bytes, bool pinned) {
  const std::lock_guard lock(mutex_);
  reserved_ -= bytes;
  if (pinned) pinned_ -= bytes;
}

uint64_t EngineMemory::reserved() const {
  const std::lock_guard lock(mutex_);
  return reserved_;
}

}  // namespace tessera::llm
