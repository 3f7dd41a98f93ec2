#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tessera::text {

/// How a vocabulary cuts a text into pieces before merging.
enum class BpePattern : uint32_t { cl100k = 1, o200k = 2 };

/// The tables of a vocabulary as they lie in its file (docs/formats/bpe-vocabulary.md). Views only; checked once, when
/// the file is opened, never while tokenising.
struct BpeTables {
  static constexpr uint32_t kNone = 0xFFFFFFFF;  ///< no such token
  static constexpr uint32_t kOffsetBits = 22;    ///< of a slot: offset of a record; the bits above are a fingerprint
  static constexpr uint32_t kStride = 16;        ///< the index has the offset of each 16th record

  const char* records = nullptr;  ///< in order of id: u32 (id | size << 24), then the token's bytes; unaligned
  const uint32_t* index = nullptr;
  const uint32_t* slots = nullptr;   ///< hash table, open addressing without wrap; 0 is empty, the last is 0
  const uint8_t* pages = nullptr;    ///< 4,352 numbers of pages, one for each 256 code points
  const uint8_t* classes = nullptr;  ///< 256 for each page, bits of BpeClass
  uint32_t token_count = 0;
  uint32_t token_max = 0;   ///< bytes of the longest token
  uint32_t slot_count = 0;  ///< slots that a hash may start at

  template <class T>
  static T load(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  static uint64_t mix(uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  /// Hash of `size` >= 1 bytes; tools/vocabularies/make.py fills the table with the same function.
  static uint64_t hash(const char* bytes, size_t size) {
    constexpr uint64_t kOne = 0x9E3779B97F4A7C15, kTwo = 0xD6E8FEB86659FD93, kThree = 0xA0761D6478BD642F;
    uint64_t a, b = 0, state = kThree;
    if (size > 16) {
      for (size_t at = 0; size - at > 16; at += 16) {
        state = mix(load<uint64_t>(bytes + at) ^ kOne, load<uint64_t>(bytes + at + 8) ^ state);
      }
      a = load<uint64_t>(bytes + size - 16);
      b = load<uint64_t>(bytes + size - 8);
    } else if (size >= 9) {
      a = load<uint64_t>(bytes);
      b = load<uint64_t>(bytes + size - 8);
    } else if (size >= 4) {
      a = load<uint32_t>(bytes);
      b = load<uint32_t>(bytes + size - 4);
    } else {
      const auto byte = [bytes](size_t i) { return static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])); };
      a = byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
    }
    return mix(a ^ kOne, b ^ state ^ (size * kTwo));
  }

  static bool equal(const char* a, const char* b, size_t size) {
    if (size > 16) return std::memcmp(a, b, size) == 0;
    if (size >= 9) {
      return load<uint64_t>(a) == load<uint64_t>(b) && load<uint64_t>(a + size - 8) == load<uint64_t>(b + size - 8);
    }
    if (size >= 4) {
      return load<uint32_t>(a) == load<uint32_t>(b) && load<uint32_t>(a + size - 4) == load<uint32_t>(b + size - 4);
    }
    return a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1];
  }

  /// Id of the token that is exactly these bytes (size >= 1), or kNone.
  [[nodiscard]] uint32_t find(const char* bytes, size_t size) const {
    if (size > token_max) return kNone;
    const uint64_t value = hash(bytes, size);
    const uint32_t fingerprint = static_cast<uint32_t>(value) & ((1U << (32 - kOffsetBits)) - 1);
    for (const uint32_t* slot = slots + ((value >> 32) * slot_count >> 32); *slot != 0; ++slot) {
      if (*slot >> kOffsetBits != fingerprint) continue;
      const char* record = records + (*slot & ((1U << kOffsetBits) - 1));
      const auto head = load<uint32_t>(record);
      if (head >> 24 == size && equal(record + 4, bytes, size)) return head & 0xFFFFFF;
    }
    return kNone;
  }
};

}  // namespace tessera::text
