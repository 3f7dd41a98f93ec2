#include "text/bpe_count.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "text/bpe_split.h"

namespace tessera::text {
namespace {

constexpr size_t kShortMax = 15, kLongMax = 30;        // bytes of a piece
constexpr size_t kSlotsMin = 128, kSlotsMax = 16384;   // of the table of short pieces
constexpr size_t kMergerBytesMax = size_t{1} << 14;    // longer pieces do not leave their workspace behind
constexpr uint64_t kShortTokens = uint64_t{15} << 60;  // of a slot's top byte: bits 0-3 the size, 4-7 the tokens

}  // namespace

BpeCountWork::BpeCountWork(const BpeTables& tables, BpePattern pattern, size_t text_size)
    : tables_(tables), pattern_(pattern), merger_(tables, text_size) {
  const size_t slots = std::bit_ceil(std::clamp(text_size / 8, kSlotsMin, kSlotsMax));
  shift_ = 64 - std::countr_zero(slots);
  short_ = std::make_unique<Short[]>(slots);
  long_ = std::make_unique<Long[]>(slots / 4);
  lines_ = std::make_unique<Line[]>(slots / 64);
}

size_t BpeCountWork::count_afresh(const Unknown& piece) {
  const uint32_t* const slot =
      piece.slot != nullptr ? piece.slot : BpeTables::next_slot(tables_.first_slot(piece.hash), piece.hash);
  if (tables_.find(piece.bytes, piece.size, limit_, piece.hash, slot) != BpeTables::kNone) return 1;
  if (const size_t tokens = count_parts(piece.bytes, piece.size)) return tokens;
  return piece.size <= kLongMax ? merger_.merge({piece.bytes, piece.size}, nullptr) : merge_long(piece);
}

/// Long lines of the same signs come again and again, and take longest.
size_t BpeCountWork::merge_long(const Unknown& piece) {
  if (piece.size > kLineMax) {
    const size_t tokens = merger_.merge({piece.bytes, piece.size}, nullptr);
    if (piece.size > kMergerBytesMax) merger_.shrink();
    return tokens;
  }
  Line& known = lines_[piece.hash >> (shift_ + 6)];
  if (known.size == piece.size && std::memcmp(known.bytes, piece.bytes, piece.size) == 0) return known.tokens;
  const size_t tokens = merger_.merge({piece.bytes, piece.size}, nullptr);
  known.size = static_cast<uint8_t>(piece.size);
  known.tokens = static_cast<uint8_t>(tokens);
  std::memcpy(known.bytes, piece.bytes, piece.size);
  return tokens;
}

/// Scripts of three bytes a character write sentences without spaces, which hardly come again, but few of their
/// characters stand beside each other in any token: between the others a piece can be cut, and the parts do come again.
/// 0 if the piece is not of such a script or cannot be cut.
size_t BpeCountWork::count_parts(const char* piece, size_t size) {
  const auto wide = [](const char* at) { return (*at & 0xF0) == 0xE0; };
  if (size < 6 || !(wide(piece) || wide(piece + 1))) return 0;
  const char* const end = piece + size;
  const char* start = piece;
  size_t tokens = 0;
  const auto count_part = [&](const char* part_end) {
    const auto part_size = static_cast<size_t>(part_end - start);
    return count_unknown({start, part_size, BpeTables::hash(start, part_size, limit_), nullptr});
  };
  for (const char* at = piece; end - at >= 6;) {
    if (!wide(at)) {
      ++at;
      continue;
    }
    at += 3;
    if (!wide(at) || tables_.may_join(at)) continue;
    tokens += count_part(at);
    start = at;
  }
  return start == piece ? 0 : tokens + count_part(end);
}

inline BpeCountWork::Short BpeCountWork::short_key(const char* piece, size_t size, const char* limit) {
  const BpeTables::Key key = BpeTables::key(piece, size, limit);
  return {key.low, key.high | uint64_t{size} << 56};
}

inline BpeCountWork::Long BpeCountWork::long_key(const char* piece, size_t size, const char* limit) {
  const BpeTables::Key rest = BpeTables::key(piece + 16, size - 16, limit);
  return {{BpeTables::load<uint64_t>(piece), BpeTables::load<uint64_t>(piece + 8), rest.low,
           rest.high | uint64_t{size} << 48}};
}

/// Tokens of a piece that long_ knows, or 0.
inline size_t BpeCountWork::known_tokens(const Long& key, uint64_t hash) const {
  const Long& known = long_[hash >> (shift_ + 2)];
  const uint64_t differs = (known.words[0] ^ key.words[0]) | (known.words[1] ^ key.words[1]) |
                           (known.words[2] ^ key.words[2]) | ((known.words[3] ^ key.words[3]) & ~uint64_t{0} >> 8);
  return differs == 0 ? known.words[3] >> 56 : 0;
}

/// Tokens of a piece of at most kLongMax bytes that is known by now, or 0.
size_t BpeCountWork::remembered(const Unknown& piece) const {
  if (piece.size > kShortMax) return known_tokens(long_key(piece.bytes, piece.size, limit_), piece.hash);
  const Short key = short_key(piece.bytes, piece.size, limit_), known = short_[piece.hash >> shift_];
  return ((known.low ^ key.low) | ((known.high ^ key.high) & ~kShortTokens)) == 0 ? known.high >> 60 : 0;
}

void BpeCountWork::remember(const Unknown& piece, size_t tokens) {
  if (piece.size > kShortMax) {
    Long& slot = long_[piece.hash >> (shift_ + 2)];
    slot = long_key(piece.bytes, piece.size, limit_);
    slot.words[3] |= tokens << 56;
  } else {
    Short& slot = short_[piece.hash >> shift_];
    slot = short_key(piece.bytes, piece.size, limit_);
    slot.high |= tokens << 60;
  }
}

size_t BpeCountWork::count_unknown(const Unknown& piece) {
  if (piece.size > kLongMax) return count_afresh(piece);
  if (const size_t tokens = remembered(piece)) return tokens;
  const size_t tokens = count_afresh(piece);
  remember(piece, tokens);
  return tokens;
}

/// Counts a piece, at once or, if it must be merged, together with others.
void BpeCountWork::settle(const Unknown& piece) {
  if (piece.size > kLongMax) {
    tokens_ += count_afresh(piece);
    return;
  }
  size_t tokens = remembered(piece);
  if (tokens == 0) {
    tokens = tables_.find(piece.bytes, piece.size, limit_, piece.hash, piece.slot) != BpeTables::kNone
                 ? 1
                 : count_parts(piece.bytes, piece.size);
    if (tokens == 0) return put_off(piece);
    remember(piece, tokens);
  }
  tokens_ += tokens;
}

void BpeCountWork::put_off(const Unknown& piece) {
  for (size_t i = 0; i < job_count_; ++i) {
    const std::string_view before = jobs_[i].piece;
    if (job_hashes_[i] == piece.hash && before == std::string_view(piece.bytes, piece.size)) {
      ++job_times_[i];
      return;
    }
  }
  jobs_[job_count_] = {{piece.bytes, piece.size}, 0};
  job_hashes_[job_count_] = piece.hash;
  job_times_[job_count_] = 1;
  if (++job_count_ == BpeMerger::kJobs) merge_all();
}

void BpeCountWork::merge_all() {
  merger_.count_all({jobs_, job_count_});
  for (size_t i = 0; i < job_count_; ++i) {
    const BpeMerger::Job& job = jobs_[i];
    tokens_ += job.tokens * job_times_[i];
    remember({job.piece.data(), job.piece.size(), job_hashes_[i], nullptr}, job.tokens);
  }
  job_count_ = 0;
}

void BpeCountWork::look_up_all() {
  for (size_t i = 0; i < unknown_count_; ++i) {
    Unknown& piece = unknown_[i];
    piece.slot = BpeTables::next_slot(tables_.first_slot(piece.hash), piece.hash);
    __builtin_prefetch(tables_.record(*piece.slot));
  }
  for (size_t i = 0; i < unknown_count_; ++i) settle(unknown_[i]);
  unknown_count_ = 0;
}

inline void BpeCountWork::look_up(const char* piece, size_t size, uint64_t hash) {
  __builtin_prefetch(tables_.first_slot(hash));
  unknown_[unknown_count_++] = {piece, size, hash, nullptr};
}

/// Counts the short pieces asked for that are known; the others the vocabulary will be asked for.
void BpeCountWork::answer() {
  size_t tokens = 0, unknown = unknown_count_;
  const size_t before = unknown;
  for (size_t i = 0; i < asked_count_; ++i) {
    const Asked& asked = asked_[i];
    const Short& known = short_[asked.hash >> shift_];
    const bool miss = ((known.low ^ asked.key.low) | ((known.high ^ asked.key.high) & ~kShortTokens)) != 0;
    tokens += miss ? 0 : known.high >> 60;
    unknown_[unknown] = {asked.bytes, asked.key.high >> 56, asked.hash, nullptr};
    unknown += miss ? 1 : 0;
  }
  for (size_t i = before; i < unknown; ++i) __builtin_prefetch(tables_.first_slot(unknown_[i].hash));
  asked_count_ = 0;
  tokens_ += tokens;
  unknown_count_ = unknown;
  if (unknown >= kUnknown) look_up_all();
}

void BpeCountWork::ask_long(const char* piece, size_t size) {
  if (size > tables_.token_max) {
    const size_t parts = count_parts(piece, size);
    tokens_ += parts != 0 ? parts : merge_long({piece, size, 0, nullptr});
    return;
  }
  const uint64_t hash = BpeTables::hash(piece, size, limit_);
  if (size <= kLongMax) {
    if (const size_t known = known_tokens(long_key(piece, size, limit_), hash)) {
      tokens_ += known;
      return;
    }
  }
  look_up(piece, size, hash);
  if (unknown_count_ >= kUnknown) look_up_all();
}

inline void BpeCountWork::ask(const char* piece, size_t size) {
  if (size > kShortMax) [[unlikely]]
    return ask_long(piece, size);
  BpeTables::Key key = BpeTables::key(piece, size, limit_);
  const uint64_t hash = BpeTables::hash(key, size);
  __builtin_prefetch(&short_[hash >> shift_]);
  key.high |= uint64_t{size} << 56;
  asked_[asked_count_++] = {key, hash, piece};
}

template <BpePattern pattern>
void BpeCountWork::count_as(std::string_view text) {
  const BpeSplitter<pattern> splitter(tables_, text);
  size_t ends[kBlock];
  for (size_t start = 0, end = 0; end < text.size();) {
    size_t count = 0;
    while (count < kBlock && end < text.size()) ends[count++] = end = splitter.end_of_piece(end);
    for (size_t i = 0; i < count; start = ends[i++]) ask(text.data() + start, ends[i] - start);
    answer();
  }
  look_up_all();
  merge_all();
}

size_t BpeCountWork::count(std::string_view text) {
  limit_ = text.data() + text.size();
  merger_.read(text);
  tokens_ = 0;
  pattern_ == BpePattern::cl100k ? count_as<BpePattern::cl100k>(text) : count_as<BpePattern::o200k>(text);
  return tokens_;
}

}  // namespace tessera::text
