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
  static constexpr uint32_t kNone = 0xFFFFFFFF;        ///< no such token
  static constexpr uint32_t kNoPair = (1U << 21) - 1;  ///< a pair that does not merge
  static constexpr uint32_t kOffsetBits = 22;  ///< of a slot: offset of a record; the bits above are a fingerprint
  static constexpr uint32_t kStride = 16;      ///< the index has the offset of each 16th record

  const char* records = nullptr;  ///< in order of id: u32 (id | size << 24), then the token's bytes; unaligned
  const uint32_t* index = nullptr;
  const uint32_t* slots = nullptr;       ///< hash table, open addressing without wrap; 0 is empty, the last is 0
  const uint8_t* pages = nullptr;        ///< 4,352 numbers of pages, one for each 256 code points
  const uint8_t* classes = nullptr;      ///< 256 for each page, bits of BpeClass
  const uint64_t* pairs = nullptr;       ///< filter of the pairs that merge
  const uint8_t* joins = nullptr;        ///< two bitmaps of neighbours that a token may hold both of
  const uint32_t* byte_pairs = nullptr;  ///< token of each two bytes, or kNoPair
  uint32_t pair_words = 0;               ///< words of `pairs`, a power of two
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

  /// The same of a string of any size >= 1. Nothing at or after `limit` is read.
  static uint64_t hash(const char* bytes, size_t size, const char* limit) {
    if (size <= 16) return hash(key(bytes, size, limit), size);
    uint64_t state = kStart;
    for (size_t at = 0; size - at > 16; at += 16) {
      state = mix(load<uint64_t>(bytes + at) ^ 0x9E3779B97F4A7C15, load<uint64_t>(bytes + at + 8) ^ state);
    }
    return hash({load<uint64_t>(bytes + size - 16), load<uint64_t>(bytes + size - 8)}, size, state);
  }

  /// Where a search for `hash` starts.
  [[nodiscard]] const uint32_t* first_slot(uint64_t hash) const { return slots + ((hash >> 32) * slot_count >> 32); }

  /// From `slot` on, the first that may be of a token of this hash, or an empty one.
  static const uint32_t* next_slot(const uint32_t* slot, uint64_t hash) {
    const uint32_t fingerprint = static_cast<uint32_t>(hash) & ((1U << (32 - kOffsetBits)) - 1);
    while (*slot != 0 && *slot >> kOffsetBits != fingerprint) ++slot;
    return slot;
  }

  /// The record that a slot that is not empty points at.
  [[nodiscard]] const char* record(uint32_t slot) const { return records + (slot & ((1U << kOffsetBits) - 1)); }

  /// Whether a pair may merge, by its PairName's hash. Of the others, which are most, nothing else need be asked.
  [[nodiscard]] bool may_merge(uint64_t pair_hash) const {
    const uint64_t bits = uint64_t{1} << (pair_hash >> 58) | uint64_t{1} << (pair_hash >> 52 & 63);
    return (~pairs[pair_hash >> 32 & (pair_words - 1)] & bits) == 0;
  }

  void prefetch_pair(uint64_t pair_hash) const { __builtin_prefetch(&pairs[pair_hash >> 32 & (pair_words - 1)]); }

  /// The token of the two bytes, or kNoPair.
  [[nodiscard]] uint32_t byte_pair(const char* bytes) const {
    return byte_pairs[static_cast<size_t>(static_cast<unsigned char>(bytes[0])) << 8 |
                      static_cast<unsigned char>(bytes[1])];
  }

  /// Whether a token may lie across `at`, where a character of three bytes ends and another begins. If not, merging
  /// does not either: what lies before and what lies behind can be counted alone.
  [[nodiscard]] bool may_join(const char* at) const {
    const auto byte = [at](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(at[i])); };
    const uint32_t partial = (byte(-1) & 63) << 10 | (byte(0) & 15) << 6 | (byte(1) & 63);
    const uint32_t left = (byte(-3) & 15) << 12 | (byte(-2) & 63) << 6 | (byte(-1) & 63);
    const uint32_t right = (byte(0) & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63);
    const uint32_t whole = (left << 16 | right) * 0x9E3779B1U >> (32 - kWholeBits);
    return ((joins[partial >> 3] >> (partial & 7) | joins[kPartialSize + (whole >> 3)] >> (whole & 7)) & 1) != 0;
  }

  static constexpr uint32_t kWholeBits = 17;
  static constexpr uint32_t kPartialSize = 1U << 13;  ///< bytes of the first bitmap of `joins`
  static constexpr uint32_t kJoinsSize = kPartialSize + (1U << kWholeBits) / 8;  ///< of both

  /// Id of the token that is exactly these bytes (size >= 1), or kNone. Nothing at or after `limit` is read.
  [[nodiscard]] uint32_t find(const char* bytes, size_t size, const char* limit) const {
    if (size > token_max) return kNone;
    const uint64_t hashed = hash(bytes, size, limit);
    return find(bytes, size, limit, hashed, next_slot(first_slot(hashed), hashed));
  }

  /// The same when the hash is known, and the slot that next_slot() gave first.
  [[nodiscard]] uint32_t find(const char* bytes, size_t size, const char* limit, uint64_t hash,
                              const uint32_t* slot) const {
    if (size > 16) {
      return walk(hash, slot, size, [&](const char* found) { return std::memcmp(found, bytes, size) == 0; });
    }
    return find(key(bytes, size, limit), size, hash, slot);
  }

  /// The same for a string of at most 16 bytes whose key is known too.
  [[nodiscard]] uint32_t find(Key wanted, size_t size, uint64_t hash, const uint32_t* slot) const {
    return walk(hash, slot, size, [&](const char* bytes) {
      const Key found = key(bytes, size, bytes + 16);  // 16 zeros follow the last record
      return ((found.low ^ wanted.low) | (found.high ^ wanted.high)) == 0;
    });
  }

 private:
  static constexpr uint64_t kStart = 0xA0761D6478BD642F;

  template <class Equal>
  [[nodiscard]] uint32_t walk(uint64_t hash, const uint32_t* slot, size_t size, const Equal& equal) const {
    for (; *slot != 0; slot = next_slot(slot + 1, hash)) {
      const char* const found = record(*slot);
      const auto head = load<uint32_t>(found);
      if (head >> 24 == size && equal(found + 4)) return head & 0xFFFFFF;
    }
    return kNone;
  }
};

}  // namespace tessera::text
