#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "index/filter/large_pages.h"

namespace tessera::index {

/// Numbers found by the hash of what they stand for; what is the same, the caller says. Linear probing over slots of
/// eight bytes. A table that grows is moved a few slots with every insertion, so that none takes long. Nothing is ever
/// erased. A value; readers need no lock against each other.
class HashIndex {
 public:
  /// Hashes of 32 bits, evenly spread.
  struct Slot {
    uint32_t hash = 0;
    uint32_t number_plus_one = 0;  // 0: empty
  };

  /// Where the number is for which same(number) holds; null if there is none. Good until the next insertion.
  template <class Same>
  [[nodiscard]] const Slot* find(uint32_t hash, Same&& same) const {
    if (const Slot* slot = table_.find(hash, same)) return slot;
    return old_.find(hash, same);
  }
  /// As find, for changing the number in place.
  template <class Same>
  [[nodiscard]] Slot* find(uint32_t hash, Same&& same) {
    return const_cast<Slot*>(std::as_const(*this).find(hash, same));
  }
  /// Adds a number that is not there yet.
  void insert(uint32_t hash, uint32_t number) {
    if (used_ + used_ / 3 >= table_.capacity) grow(table_.capacity == 0 ? kLeast : table_.capacity * 2);
    move_some(kMoved);
    table_.put({hash, number + 1});
    ++used_;
  }
  /// Room for so many numbers at once; moves all there are.
  void reserve(uint64_t count) {
    const uint64_t capacity = std::bit_ceil(count + count / 2 + kLeast);
    if (capacity > table_.capacity) grow(capacity);
    move_some(old_.capacity);
  }
  /// Begins to fetch the place of a number that is soon to be inserted.
  void prefetch(uint32_t hash) const {
    if (table_.capacity > 0) __builtin_prefetch(table_.slots.get() + (hash & (table_.capacity - 1)), 1);
  }
  [[nodiscard]] uint64_t memory_bytes() const { return (table_.capacity + old_.capacity) * sizeof(Slot); }

 private:
  static constexpr uint64_t kLeast = 8;
  static constexpr uint64_t kMoved = 8;

  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  struct Table {
    std::unique_ptr<Slot, Free> slots;
    uint64_t capacity = 0;  // a power of two

    template <class Same>
    [[nodiscard]] const Slot* find(uint32_t hash, Same&& same) const {
      if (capacity == 0) return nullptr;
      for (uint64_t at = hash & (capacity - 1);; at = (at + 1) & (capacity - 1)) {
        const Slot& slot = slots.get()[at];
        if (slot.number_plus_one == 0) return nullptr;
        if (slot.hash == hash && same(slot.number_plus_one - 1)) return &slot;
      }
    }
    void put(Slot slot) {
      uint64_t at = slot.hash & (capacity - 1);
      while (slots.get()[at].number_plus_one != 0) at = (at + 1) & (capacity - 1);
      slots.get()[at] = slot;
    }
  };

  void grow(uint64_t capacity) {
    move_some(old_.capacity);
    old_ = std::move(table_);
    moved_ = 0;
    table_.slots.reset(static_cast<Slot*>(std::calloc(capacity, sizeof(Slot))));
    if (table_.slots == nullptr) throw std::bad_alloc();
    use_large_pages(table_.slots.get(), capacity * sizeof(Slot));
    table_.capacity = capacity;
  }
  void move_some(uint64_t count) {
    for (; count > 0 && moved_ < old_.capacity; --count, ++moved_) {
      const Slot& slot = old_.slots.get()[moved_];
      if (slot.number_plus_one != 0) table_.put(slot);
    }
    if (moved_ == old_.capacity) old_ = {};
  }

  Table table_;
  Table old_;           // being moved into table_
  uint64_t moved_ = 0;  // slots of old_
  uint64_t used_ = 0;
};

/// Spreads a number over 32 bits (the finaliser of MurmurHash3).
inline uint32_t hash_of(uint64_t value) {
  value ^= value >> 33;
  value *= 0xFF51AFD7ED558CCDULL;
  value ^= value >> 33;
  value *= 0xC4CEB9FE1A85EC53ULL;
  return static_cast<uint32_t>(value >> 32);
}

}  // namespace tessera::index
