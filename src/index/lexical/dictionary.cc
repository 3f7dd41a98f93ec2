#include "index/lexical/dictionary.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"

namespace tessera::index {

std::string_view Dictionary::term(uint32_t id) const {
  const size_t start = id == 0 ? 0 : ends_[id - 1];
  return {bytes_.data() + start, ends_[id] - start};
}

uint32_t Dictionary::find(std::string_view wanted) const {
  if (slots_.empty()) return kNone;
  const auto hash = static_cast<uint32_t>(base::hash64(wanted));
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id_plus_one == 0) return kNone;
    if (slot.hash == hash && term(slot.id_plus_one - 1) == wanted) return slot.id_plus_one - 1;
  }
}

uint32_t Dictionary::insert(std::string_view wanted) {
  if (const uint32_t id = find(wanted); id != kNone) return id;
  if (!has_room(wanted.size())) return kNone;
  if ((ends_.size() + 1) * 4 > slots_.size() * 3) grow(std::max<size_t>(64, slots_.size() * 2));
  bytes_.insert(bytes_.end(), wanted.begin(), wanted.end());
  ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  const auto hash = static_cast<uint32_t>(base::hash64(wanted));
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].id_plus_one != 0) at = (at + 1) & mask;
  slots_[at] = {hash, static_cast<uint32_t>(ends_.size())};
  return static_cast<uint32_t>(ends_.size() - 1);
}

void Dictionary::grow(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id_plus_one == 0) continue;
    size_t at = slot.hash & mask;
    while (slots_[at].id_plus_one != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

void Dictionary::reserve(size_t terms, size_t bytes) {
  bytes_.reserve(bytes);
  ends_.reserve(terms);
  const size_t wanted = std::bit_ceil(std::max<size_t>(64, terms * 4 / 3 + 1));
  if (wanted > slots_.size()) grow(wanted);
}

size_t Dictionary::memory_bytes() const {
  return bytes_.capacity() + ends_.capacity() * sizeof(uint32_t) + slots_.capacity() * sizeof(Slot);
}

void Dictionary::clear() {
  *this = Dictionary();
}

}  // namespace tessera::index
