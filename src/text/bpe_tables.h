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

  /// The first 16 bytes of a string as two numbers, zeros beyond its end.
  struct Key {
    uint64_t low;
    uint64_t high;
  };

  /// Key of `size` <= 16 bytes; nothing at or after `limit` is read.
  static Key key(const char* bytes, size_t size, const char* limit) {
    static constexpr char kMask[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    char near_end[16] = {};
    if (limit - bytes < 16) [[unlikely]] {
      std::memcpy(near_end, bytes, size);
      bytes = near_end;
    }
    const char* mask = kMask + 16 - size;
    return {load<uint64_t>(bytes) & load<uint64_t>(mask), load<uint64_t>(bytes + 8) & load<uint64_t>(mask + 8)};
  }

  /// Hash of a string of `size` bytes; tools/vocabularies/make.py fills the table with the same function. Of more than
  /// 16 bytes: of the last 16, with those before in `state`.
  static uint64_t hash(Key key, size_t size, uint64_t state = kStart) {
    return mix(key.low ^ 0x9E3779B97F4A7C15, key.high ^ state ^ (size * 0xD6E8FEB86659FD93));
  }

  /// Id of the token that is exactly these bytes (size >= 1), or kNone. Nothing at or after `limit` is read.
  [[nodiscard]] uint32_t find(const char* bytes, size_t size, const char* limit) const {
    if (size > 16) return find_long(bytes, size);
    const Key wanted = key(bytes, size, limit);
    return find(wanted, size, hash(wanted, size));
  }

  /// The same for a string of at most 16 bytes whose key and hash are known.
  [[nodiscard]] uint32_t find(Key wanted, size_t size, uint64_t hash) const {
    return walk(hash, size, [&](const char* record) {
      const Key found = key(record, size, record + 16);  // 16 zeros follow the last record
      return ((found.low ^ wanted.low) | (found.high ^ wanted.high)) == 0;
    });
  }

 private:
  static constexpr uint64_t kStart = 0xA0761D6478BD642F;

  template <class Equal>
  [[nodiscard]] uint32_t walk(uint64_t hash, size_t size, const Equal& equal) const {
    const uint32_t fingerprint = static_cast<uint32_t>(hash) & ((1U << (32 - kOffsetBits)) - 1);
    for (const uint32_t* slot = slots + ((hash >> 32) * slot_count >> 32); *slot != 0; ++slot) {
      if (*slot >> kOffsetBits != fingerprint) continue;
      const char* record = records + (*slot & ((1U << kOffsetBits) - 1));
      const auto head = load<uint32_t>(record);
      if (head >> 24 == size && equal(record + 4)) return head & 0xFFFFFF;
    }
    return kNone;
  }

  [[nodiscard]] uint32_t find_long(const char* bytes, size_t size) const {
    if (size > token_max) return kNone;
    uint64_t state = kStart;
    for (size_t at = 0; size - at > 16; at += 16) {
      state = mix(load<uint64_t>(bytes + at) ^ 0x9E3779B97F4A7C15, load<uint64_t>(bytes + at + 8) ^ state);
    }
    const Key last = {load<uint64_t>(bytes + size - 16), load<uint64_t>(bytes + size - 8)};
    return walk(hash(last, size, state), size,
                [&](const char* record) { return std::memcmp(record, bytes, size) == 0; });
  }
};

}  // namespace tessera::text
