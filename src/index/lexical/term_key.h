#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/hash.h"

namespace tessera::index {

/// The first sixteen bytes of a term, padded with zeros. Terms hold no zero bytes, so for terms of up to fifteen bytes,
/// whose keys are whole, equal keys mean equal terms.
struct TermKey {
  uint64_t low = 0;
  uint64_t high = 0;

  bool operator==(const TermKey&) const = default;
  [[nodiscard]] bool whole() const { return high >> 56 == 0; }
  /// Bytes before the zeros.
  [[nodiscard]] size_t size() const {
    return high != 0 ? 16 - static_cast<size_t>(std::countl_zero(high)) / 8
                     : 8 - static_cast<size_t>(std::countl_zero(low)) / 8;
  }
  /// The bytes, as long as the key lives.
  [[nodiscard]] std::string_view bytes() const { return {reinterpret_cast<const char*>(this), size()}; }
};
static_assert(sizeof(TermKey) == 16 && std::endian::native == std::endian::little);

/// Of sixteen bytes that can be read.
inline TermKey key_at(const char* bytes) {
  TermKey key;
  std::memcpy(&key, bytes, sizeof key);
  return key;
}

/// Of any term; loads that may overlap instead of a copy of unknown length.
inline TermKey term_key(std::string_view term) {
  const char* const bytes = term.data();
  const size_t size = term.size();
  if (size >= 16) return key_at(bytes);
  TermKey key;
  if (size >= 8) {
    std::memcpy(&key.low, bytes, 8);
    std::memcpy(&key.high, bytes + size - 8, 8);
    key.high = size == 8 ? 0 : key.high >> (8 * (16 - size));
  } else if (size >= 4) {
    uint32_t first;
    uint32_t last;
    std::memcpy(&first, bytes, sizeof first);
    std::memcpy(&last, bytes + size - 4, sizeof last);
    key.low = first | uint64_t{last} << (8 * (size - 4));
  } else if (size > 0) {
    const auto at = [&](size_t i) { return uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i); };
    key.low = at(0) | at(size / 2) | at(size - 1);
  }
  return key;
}

/// The hash of tables in memory.
inline uint32_t key_hash(const TermKey& key, std::string_view term) {
  if (!key.whole()) return static_cast<uint32_t>(base::hash64(term));
  uint64_t hash = (key.low ^ key.high * 0xFF51AFD7ED558CCD) * 0x9E3779B97F4A7C15;
  hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93;
  return static_cast<uint32_t>(hash >> 32);
}

/// The hash of the dictionaries in files.
inline uint32_t term_hash(std::string_view term) {
  return static_cast<uint32_t>(base::hash64(term));
}

}  // namespace tessera::index
