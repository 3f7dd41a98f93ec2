#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/hash.h"

namespace tessera::index {

/// The first eight bytes of a term, padded with zeros. Terms hold no zero bytes, so for terms of up to eight bytes
/// equal keys mean equal terms.
inline uint64_t term_key(std::string_view term) {
  const char* bytes = term.data();
  const size_t size = term.size();
  if (size >= 8) {
    uint64_t key;
    std::memcpy(&key, bytes, sizeof key);
    return key;
  }
  if (size >= 4) {
    uint32_t first;
    uint32_t last;
    std::memcpy(&first, bytes, sizeof first);
    std::memcpy(&last, bytes + size - 4, sizeof last);
    return first | uint64_t{last} << (8 * (size - 4));
  }
  if (size == 0) return 0;
  const auto at = [&](size_t i) { return uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i); };
  return at(0) | at(size / 2) | at(size - 1);
}

/// A hash for tables that live as long as a slice of rows.
inline uint32_t quick_hash(std::string_view term, uint64_t key) {
  uint64_t hash = (key ^ term.size()) * 0x9E3779B97F4A7C15;
  if (term.size() > 8) {
    hash ^= hash >> 29;
    for (size_t i = 8; i < term.size(); i += 8) {
      hash = (hash ^ term_key(term.substr(i))) * 0xD6E8FEB86659FD93;
      hash ^= hash >> 32;
    }
  }
  return static_cast<uint32_t>(hash >> 32);
}

/// The hash of the segments' dictionaries, in memory and in files.
inline uint32_t term_hash(std::string_view term) {
  return static_cast<uint32_t>(base::hash64(term));
}

}  // namespace tessera::index
