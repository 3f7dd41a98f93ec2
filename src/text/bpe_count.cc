#include "text/bpe_count.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "text/bpe_split.h"

namespace tessera::text {
namespace {

constexpr size_t kSmallMax = 7, kWideMax = 15, kLongMax = 30;  // bytes of a piece
constexpr size_t kSlotsMin = 128, kSlotsMax = 16384;           // of the table of small pieces
constexpr size_t kMergerBytesMax = size_t{1} << 14;            // longer pieces do not leave their workspace behind

/// A piece's bytes as one number, zeros above them; size <= 7.
uint64_t small_key(const char* bytes, size_t size, const char* limit) {
  if (limit - bytes < 8) [[unlikely]] {
    uint64_t key = 0;
    std::memcpy(&key, bytes, size);
    return key;
  }
  return BpeTables::load<uint64_t>(bytes) & ~(~uint64_t{0} << (size * 8));
}

}  // namespace

BpeCountWork::BpeCountWork(const BpeTables& tables, BpePattern pattern, size_t text_size)
    : tables_(tables), pattern_(pattern), merger_(tables, text_size) {
  const size_t slots = std::bit_ceil(std::clamp(text_size / 16, kSlotsMin, kSlotsMax));
  shift_ = 64 - std::countr_zero(slots);
  small_ = std::make_unique<uint64_t[]>(slots);
  wide_ = std::make_unique<Wide[]>(slots / 2);
  long_ = std::make_unique<Long[]>(slots / 8);
}

size_t BpeCountWork::count_afresh(const char* piece, size_t size) {
  if (tables_.find(piece, size, limit_) != BpeTables::kNone) return 1;
  const size_t tokens = merger_.merge({piece, size}, nullptr);
  if (size > kMergerBytesMax) merger_.shrink();
  return tokens;
}

inline size_t BpeCountWork::count_small(const char* piece, size_t size) {
  // Of the top byte: bits 0-2 the size, 3-5 the tokens.
  constexpr uint64_t kTokens = uint64_t{7} << 59;
  const uint64_t key = small_key(piece, size, limit_) | uint64_t{size} << 56;
  uint64_t& slot = small_[key * 0x9E3779B97F4A7C15 >> shift_];
  if (((slot ^ key) & ~kTokens) != 0) [[unlikely]]
    slot = key | uint64_t{count_afresh(piece, size)} << 59;
  return slot >> 59;
}

inline size_t BpeCountWork::count_wide(const char* piece, size_t size) {
  // Of the top byte: bits 0-3 the size, 4-7 the tokens.
  constexpr uint64_t kTokens = uint64_t{15} << 60;
  BpeTables::Key key = BpeTables::key(piece, size, limit_);
  key.high |= uint64_t{size} << 56;
  Wide& slot = wide_[BpeTables::mix(key.low ^ 0x9E3779B97F4A7C15, key.high ^ 0xD6E8FEB86659FD93) >> (shift_ + 1)];
  if (((slot.low ^ key.low) | ((slot.high ^ key.high) & ~kTokens)) != 0) [[unlikely]] {
    slot = {key.low, key.high | uint64_t{count_afresh(piece, size)} << 60};
  }
  return slot.high >> 60;
}

size_t BpeCountWork::count_long(const char* piece, size_t size) {
  const auto first = BpeTables::load<uint64_t>(piece), second = BpeTables::load<uint64_t>(piece + 8);
  BpeTables::Key rest = BpeTables::key(piece + 16, size - 16, limit_);
  rest.high |= uint64_t{size} << 48;
  const uint64_t hash =
      BpeTables::mix(BpeTables::mix(first ^ 0x9E3779B97F4A7C15, second ^ 0xD6E8FEB86659FD93) ^ rest.low,
                     rest.high ^ 0xA0761D6478BD642F);
  Long& slot = long_[hash >> (shift_ + 3)];
  const uint64_t differs = (slot.words[0] ^ first) | (slot.words[1] ^ second) | (slot.words[2] ^ rest.low) |
                           ((slot.words[3] ^ rest.high) & 0x00FFFFFFFFFFFFFF);
  if (differs != 0) slot = {{first, second, rest.low, rest.high | uint64_t{count_afresh(piece, size)} << 56}};
  return slot.words[3] >> 56;
}

template <BpePattern pattern>
size_t BpeCountWork::count_as(std::string_view text) {
  const BpeSplitter<pattern> splitter(tables_, text);
  size_t tokens = 0;
  for (size_t pos = 0, end; pos < text.size(); pos = end) {
    end = splitter.end_of_piece(pos);
    const char* piece = text.data() + pos;
    const size_t size = end - pos;
    if (size <= kSmallMax) {
      tokens += count_small(piece, size);
    } else if (size <= kWideMax) {
      tokens += count_wide(piece, size);
    } else {
      tokens += size <= kLongMax ? count_long(piece, size) : count_afresh(piece, size);
    }
  }
  return tokens;
}

size_t BpeCountWork::count(std::string_view text) {
  limit_ = text.data() + text.size();
  merger_.read(text);
  return pattern_ == BpePattern::cl100k ? count_as<BpePattern::cl100k>(text) : count_as<BpePattern::o200k>(text);
}

}  // namespace tessera::text
