#include "text/wordpiece.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "text/utf8.h"

namespace tessera::text {
namespace {

// FNV-1a over the bytes, so that the hashes of all prefixes of a word come from one pass, and a final multiplication
// that spreads it over the upper bits. Continuations start from another value: "##s" and "s" are different tokens.
constexpr uint64_t kStart = 0xcbf29ce484222325ULL;
constexpr uint64_t kContinuation = 0x9ae16a3b2f90404fULL;
constexpr uint64_t kPrime = 0x100000001b3ULL;
constexpr uint64_t kSpread = 0x9e3779b97f4a7c15ULL;

constexpr uint64_t step(uint64_t state, char byte) {
  return (state ^ static_cast<unsigned char>(byte)) * kPrime;
}
/// Bit 16, the lowest of the fingerprint, tells the two kinds of token apart, since a lookup compares bytes only.
constexpr uint64_t finish(uint64_t state, bool continuation) {
  const uint64_t spread = (state ^ (state >> 32)) * kSpread;
  return (spread & ~uint64_t{0x10000}) | (uint64_t{continuation} << 16);
}

constexpr size_t kCharsMax = 100;  // a longer word is [UNK]
constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;

enum Kind : unsigned char { kWordByte, kBlank, kControl, kPunctuation, kWide };

struct Ascii {
  std::array<Kind, 256> kind{};
  std::array<char, 256> lower{};
};

constexpr Ascii make_ascii() {
  Ascii table;
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    table.kind[c] = c >= 0x80               ? kWide
                    : blank                 ? kBlank
                    : c < 0x20 || c == 0x7F ? kControl
                    : letter                ? kWordByte
                                            : kPunctuation;
    table.lower[c] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  return table;
}

constexpr Ascii kAscii = make_ascii();

unsigned char byte_at(std::string_view text, size_t pos) {
  return static_cast<unsigned char>(text[pos]);
}

}  // namespace

/// A normalised word being collected. Beyond kCharsMax characters only the count goes on.
struct WordPiece::Word {
  char bytes[kCharsMax * 4 + 64];
  size_t size = 0;
  size_t chars = 0;
  uint64_t state = kStart;

  void add(char byte) {
    bytes[size++] = byte;
    ++chars;
    state = step(state, byte);
  }
  void add(std::string_view image, size_t image_chars) {
    chars += image_chars;
    if (chars > kCharsMax) return;
    for (const char byte : image) {
      bytes[size++] = byte;
      state = step(state, byte);
    }
  }
  void clear() {
    size = chars = 0;
    state = kStart;
  }
};

uint64_t WordPiece::hash(std::string_view bytes, bool continuation) {
  uint64_t state = continuation ? kContinuation : kStart;
  for (const char byte : bytes) state = step(state, byte);
  return finish(state, continuation);
}

WordPiece::WordPiece(const WordPieceTables& tables) : tables_(tables) {
  const auto slots = static_cast<uint32_t>(tables.slots.size());
  shift_ = 64 - static_cast<uint32_t>(std::countr_zero(slots));
  mask_ = slots - 1;
  for (size_t id = 0; id + 1 < tables.token_offsets.size(); ++id) {
    token_max_ = std::max(token_max_, tables.token_offsets[id + 1] - tables.token_offsets[id]);
  }
}

uint16_t WordPiece::find(uint64_t hash, std::string_view bytes) const {
  const auto fingerprint = static_cast<uint16_t>(hash >> 16);
  for (uint32_t slot = static_cast<uint32_t>(hash >> shift_);; slot = (slot + 1) & mask_) {
    const uint32_t entry = tables_.slots[slot];
    if (entry == 0) return 0;
    const auto id = static_cast<uint16_t>(entry);
    if (entry >> 16 == fingerprint && token(id) == bytes) return id;
  }
}

size_t WordPiece::emit(const Word& word, uint16_t* out) const {
  if (word.chars == 0) return 0;
  if (word.chars > kCharsMax) {
    *out = tables_.unknown;
    return 1;
  }
  const std::string_view bytes(word.bytes, word.size);
  if (const uint16_t id = find(finish(word.state, false), bytes)) {
    *out = id;
    return 1;
  }
  return split(bytes, out);
}

/// Greedy longest match: from each place the hashes of all prefixes in one pass, then lookups from the longest down.
size_t WordPiece::split(std::string_view word, uint16_t* out) const {
  std::array<uint64_t, 256> states;
  size_t pieces = 0;
  for (size_t pos = 0; pos < word.size();) {
    const size_t longest = std::min<size_t>({word.size() - pos, token_max_, states.size()});
    uint64_t state = pos == 0 ? kStart : kContinuation;
    for (size_t i = 0; i < longest; ++i) states[i] = state = step(state, word[pos + i]);
    size_t size = longest;
    uint16_t id = 0;
    for (; size > 0; --size) {
      if (!is_boundary(word, pos + size)) continue;
      id = find(finish(states[size - 1], pos != 0), word.substr(pos, size));
      if (id != 0) break;
    }
    if (id == 0) {
      *out = tables_.unknown;
      return 1;
    }
    out[pieces++] = id;
    pos += size;
  }
  return pieces;
}

/// Reads one non-ASCII code point into `word`. `ends_word`: it is a blank, or it stands alone; then nothing was added
/// and the caller ends the word first.
size_t WordPiece::take_code_point(std::string_view text, size_t pos, Word& word, bool& ends_word) const {
  const CodePoint point = decode_utf8(text, pos);
  ends_word = false;
  if (!point.valid) return point.size;
  if (point.value >= kHangulFirst && point.value <= kHangulLast) {
    // NFD of a Hangul syllable by arithmetic (Unicode 3.12), not by 11,172 table entries.
    const char32_t index = point.value - kHangulFirst;
    char jamo[12];
    size_t size = encode_utf8(0x1100 + index / 588, jamo);
    size += encode_utf8(0x1161 + index % 588 / 28, jamo + size);
    const bool tail = index % 28 != 0;
    if (tail) size += encode_utf8(0x11A7 + index % 28, jamo + size);
    word.add({jamo, size}, tail ? 3 : 2);
    return point.size;
  }
  const uint16_t kind = tables_.classes[tables_.pages[point.value >> 8] * 256 + (point.value & 0xFF)];
  if (kind == kDrop) return point.size;
  if (kind == kSpace) {
    ends_word = true;
    return point.size;
  }
  std::string_view image = text.substr(pos, point.size);
  if (kind >= kImage) {
    const size_t i = (kind & ~kImageAlone) - kImage;
    image =
        tables_.image_bytes.substr(tables_.image_offsets[i], tables_.image_offsets[i + 1] - tables_.image_offsets[i]);
  }
  if (kind == kAlone || kind >= kImageAlone) {
    ends_word = true;
    if (word.chars != 0) return 0;
  }
  const auto chars = std::count_if(image.begin(), image.end(), [](char c) { return (c & 0xC0) != 0x80; });
  word.add(image, static_cast<size_t>(chars));
  return point.size;
}

/// One word, or one mark that stands alone, at `pos`, where no ASCII blank is.
size_t WordPiece::read_word(std::string_view text, size_t& pos, uint16_t* out) const {
  Word word;
  bool ended = false;
  while (pos < text.size() && !ended) {
    const unsigned char byte = byte_at(text, pos);
    switch (kAscii.kind[byte]) {
      case kWordByte:
        if (word.chars < kCharsMax) {
          word.add(kAscii.lower[byte]);
        } else {
          ++word.chars;
        }
        ++pos;
        break;
      case kBlank:
        ended = true;
        break;
      case kControl:
        ++pos;
        break;
      case kPunctuation:
        if (word.chars == 0) word.add(static_cast<char>(byte)), ++pos;
        ended = true;
        break;
      case kWide:
        pos += take_code_point(text, pos, word, ended);
        break;
    }
  }
  return emit(word, out);
}

WordPieceMemo::Key WordPieceMemo::key_of(std::string_view text, size_t pos, size_t size) {
  Key key;
  if (text.size() - pos >= sizeof key) {
    std::memcpy(&key, text.data() + pos, sizeof key);
    const auto keep = [](size_t bytes) { return bytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << (bytes * 8)) - 1; };
    key.low &= keep(size);
    key.high &= size <= 8 ? 0 : keep(size - 8);
  } else {
    std::memcpy(&key, text.data() + pos, size);
  }
  return key;
}

WordPieceMemo::Entry& WordPieceMemo::at(const Key& key) {
  constexpr uint64_t kHigh = 0xff51afd7ed558ccdULL;
  const uint64_t mixed = (key.low ^ (key.high * kHigh)) * kSpread;
  return entries_[mixed >> (64 - kBits)];
}

/// As read_word, but looks into the memo first if a short ASCII word or a mark stands at `pos`, and ends there.
size_t WordPiece::recall_word(std::string_view text, size_t& pos, uint16_t* out, WordPieceMemo& memo) const {
  static_assert(std::endian::native == std::endian::little);
  constexpr uint64_t kLowerCase = 0x2020202020202020ULL;  // letters and digits only: digits have the bit
  size_t size = 0;
  const size_t longest = std::min(text.size() - pos, WordPieceMemo::kWordMax);
  while (size < longest && kAscii.kind[byte_at(text, pos + size)] == kWordByte) ++size;
  WordPieceMemo::Key key;
  if (size > 0) {
    if (pos + size < text.size()) {
      const Kind after = kAscii.kind[byte_at(text, pos + size)];
      if (after != kBlank && after != kPunctuation) return read_word(text, pos, out);
    }
    key = WordPieceMemo::key_of(text, pos, size);
    // Bytes that are not there stay zero.
    key.low |= key.low == 0 ? 0 : kLowerCase >> (size >= 8 ? 0 : 64 - size * 8);
    key.high |= size <= 8 ? 0 : kLowerCase >> (128 - size * 8);
  } else if (kAscii.kind[byte_at(text, pos)] == kPunctuation) {
    size = 1;
    key.low = byte_at(text, pos);
  } else {
    return read_word(text, pos, out);
  }
  WordPieceMemo::Entry& entry = memo.at(key);
  if (entry.word == key) {
    std::memcpy(out, entry.ids.data(), sizeof entry.ids);  // all of them: faster, and `out` holds kOutMin
    pos += size;
    return entry.count;
  }
  const size_t count = read_word(text, pos, out);
  if (count <= entry.ids.size()) {
    std::copy_n(out, count, entry.ids.begin());
    entry.count = static_cast<uint16_t>(count);
    entry.word = key;
  }
  return count;
}

WordPiece::Progress WordPiece::encode(std::string_view text, std::span<uint16_t> out, WordPieceMemo* memo) const {
  size_t ids = 0, pos = 0;
  while (ids + kOutMin <= out.size() + 1) {
    while (pos < text.size() && kAscii.kind[byte_at(text, pos)] == kBlank) ++pos;
    if (pos == text.size()) break;
    ids += memo == nullptr ? read_word(text, pos, out.data() + ids) : recall_word(text, pos, out.data() + ids, *memo);
  }
  return {ids, pos};
}

size_t WordPiece::count(std::string_view text) const {
  std::array<uint16_t, 512> ids;
  size_t total = 0;
  while (!text.empty()) {
    const Progress progress = encode(text, ids);
    total += progress.ids;
    text.remove_prefix(progress.bytes);
  }
  return total;
}

}  // namespace tessera::text
