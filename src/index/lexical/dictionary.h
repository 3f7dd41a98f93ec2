#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tessera::index {

/// Terms numbered from 0 in order of first appearance, in one arena; open addressing over 32-bit hashes. A value; reads
/// may run beside each other, not beside insert().
class Dictionary {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  [[nodiscard]] uint32_t find(std::string_view term) const;
  /// The number of the term, new or not; kNone when the arena (4 GiB) is full.
  uint32_t insert(std::string_view term);
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  [[nodiscard]] std::string_view term(uint32_t id) const;
  [[nodiscard]] size_t memory_bytes() const;
  [[nodiscard]] size_t term_bytes() const { return bytes_.size(); }
  /// Whether terms of so many bytes in all can still be inserted.
  [[nodiscard]] bool has_room(size_t bytes) const { return bytes <= 0xFFFFFFFF - bytes_.size(); }
  void reserve(size_t terms, size_t bytes);
  void clear();

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t id_plus_one = 0;  // 0: free
  };
  void grow(size_t slots);

  std::vector<char> bytes_;
  std::vector<uint32_t> ends_;
  std::vector<Slot> slots_;  // a power of two, at most 3/4 full
};

}  // namespace tessera::index
