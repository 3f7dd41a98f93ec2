#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/token_matcher.h"

namespace tessera::rag {

/// The chunks that were ranked lately, as token matchers read them, so that ranking them again needs neither their text
/// nor its tokens. Nothing becomes stale: the store gives a chunk's key to no other text. Holds no text and decides
/// nothing about what is found. Bounded; what was not used since its turn came goes first. Thread-safe.
class TokenCache {
 public:
  using Tokens = std::shared_ptr<const core::MatchTokens>;

  explicit TokenCache(size_t bytes_max) : part_bytes_max_(bytes_max / kParts) {}

  /// Null: not kept.
  Tokens find(const core::TokenMatcher* matcher, int64_t chunk_key);
  void keep(const core::TokenMatcher* matcher, int64_t chunk_key, Tokens tokens);
  [[nodiscard]] size_t bytes() const;

 private:
  struct Slot {
    Tokens tokens;
    const core::TokenMatcher* matcher = nullptr;
    bool used = false;
  };
  /// A lock of its own for each.
  struct Part {
    mutable std::mutex mutex;
    std::unordered_map<int64_t, Slot> slots;  // guarded by mutex
    std::deque<int64_t> order;                // guarded by mutex; the next to go first
    size_t bytes = 0;                         // guarded by mutex
  };
  static constexpr size_t kParts = 16;

  static size_t size_of(const Slot& slot);
  void make_room(Part& part) const;

  size_t part_bytes_max_;
  std::array<Part, kParts> parts_;
};

}  // namespace tessera::rag
