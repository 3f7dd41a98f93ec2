#include "text/words.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "text/fold.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

enum Kind : unsigned char { kOther = 0, kDigit = 1, kLower = 2, kUpper = 4, kWide = 8 };
constexpr unsigned char kAlnum = kDigit | kLower | kUpper;

constexpr auto kKind = [] {
  std::array<unsigned char, 256> table{};
  for (int c = 0; c < 256; ++c) {
    table[c] = c >= '0' && c <= '9'   ? kDigit
               : c >= 'a' && c <= 'z' ? kLower
               : c >= 'A' && c <= 'Z' ? kUpper
               : c >= 0x80            ? kWide
                                      : kOther;
  }
  return table;
}();

/// What a word that ends before a character may mean beyond its letters.
enum After : unsigned char { kNothing = 0, kAnyWord = 1, kNumber = 2, kOneLetter = 4 };

constexpr auto kAfter = [] {
  std::array<unsigned char, 256> table{};
  for (int c = 0x80; c < 256; ++c) table[c] = kAnyWord;  // goes on, or a curly apostrophe
  table['\''] = kAnyWord;
  table['.'] = table[','] = kNumber;
  table['#'] = table['+'] = kOneLetter;
  return table;
}();

constexpr std::array<std::string_view, 7> kTails = {"s", "t", "d", "m", "ll", "re", "ve"};
constexpr std::string_view kCurlyApostrophe = "\xE2\x80\x99";

unsigned char kind_at(std::string_view text, size_t pos) {
  return pos < text.size() ? kKind[static_cast<unsigned char>(text[pos])] : static_cast<unsigned char>(kOther);
}

char lower(char c) {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/// The end of the run of ASCII letters and digits at `pos`; `seen` collects the kinds in it.
size_t alnum_end(std::string_view text, size_t pos, unsigned char& seen) {
  for (; pos < text.size(); ++pos) {
    const unsigned char kind = kKind[static_cast<unsigned char>(text[pos])];
    if ((kind & kAlnum) == 0) break;
    seen |= kind;
  }
  return pos;
}

#if defined(__SSE2__)
/// Sixteen bytes of text: which are letters or digits, which digits (a bit a byte), and what they are in lower case.
struct Sixteen {
  unsigned alnum = 0;
  unsigned digits = 0;
  __m128i lower;
};

Sixteen look_at(const char* from) {
  const auto in = [](__m128i bytes, char first, char last) {  // signed: bytes beyond ASCII are below all others
    return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(static_cast<char>(first - 1))),
                         _mm_cmpgt_epi8(_mm_set1_epi8(static_cast<char>(last + 1)), bytes));
  };
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m128i digit = in(bytes, '0', '9');
  const __m128i lower = _mm_or_si128(bytes, _mm_and_si128(in(bytes, 'A', 'Z'), _mm_set1_epi8(0x20)));
  return {static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(in(lower, 'a', 'z'), digit))),
          static_cast<unsigned>(_mm_movemask_epi8(digit)), lower};
}

/// The first `size` of sixteen bytes, then zeros.
__m128i first_of(__m128i bytes, size_t size) {
  alignas(16) static constexpr auto kKeep = [] {
    std::array<unsigned char, 32> keep{};
    for (size_t i = 0; i < 16; ++i) keep[i] = 0xFF;
    return keep;
  }();
  return _mm_and_si128(bytes, _mm_loadu_si128(reinterpret_cast<const __m128i*>(kKeep.data() + 16 - size)));
}
#endif

}  // namespace

bool WordReader::next(Word& word) {
  while (pos_ < text_.size()) {
    const unsigned char kind = kind_at(text_, pos_);
    if ((kind & kAlnum) != 0) {
      paired_ = false;
      if (read_plain(word) || read_ascii(word)) return true;
      continue;
    }
    if (kind != kWide) {
      paired_ = false;
      ++pos_;
      continue;
    }
    const CodePoint point = decode_utf8(text_, pos_);
    Folded scratch;
    const Letter letter = point.valid ? fold(point.value, scratch).letter : Letter::none;
    if (letter == Letter::pair) {
      if (read_pair(word, point.size)) return true;
      continue;
    }
    paired_ = false;
    if (letter == Letter::word) {
      if (read_folded(word, pos_)) return true;
      continue;
    }
    pos_ += point.size;
  }
  return false;
}

/// A short word of ASCII letters and digits that nothing behind it changes: nearly all words of most texts, in a few
/// steps without a look at single bytes. Any other is left alone.
bool WordReader::read_plain(Word& word) {
#if defined(__SSE2__)
  static_assert(kTermHead == 16);
  if (text_.size() - pos_ < kTermHead) return false;
  const Sixteen seen = look_at(text_.data() + pos_);
  const auto size = static_cast<size_t>(__builtin_ctz(~seen.alnum));
  if (size == kTermHead) return false;
  const unsigned letters = (1U << size) - 1;
  const unsigned meaning = kAnyWord | ((seen.digits & letters) == letters ? unsigned{kNumber} : 0U) |
                           (size == 1 ? unsigned{kOneLetter} : 0U);
  if ((kAfter[static_cast<unsigned char>(text_[pos_ + size])] & meaning) != 0) return false;
  _mm_store_si128(reinterpret_cast<__m128i*>(buffer_), first_of(seen.lower, size));
  word = {{buffer_, size}, pos_, pos_ + size};
  pos_ += size + 1;  // what is behind it divides words
  return true;
#else
  (void)word;
  return false;
#endif
}

/// The term in the buffer.
void WordReader::give(Word& word, size_t start, size_t end) {
  if (size_ < kTermHead) std::memset(buffer_ + size_, 0, kTermHead - size_);
  word = {{buffer_, size_}, start, end};
}

/// A word that starts with an ASCII letter or digit. Most end as they began.
bool WordReader::read_ascii(Word& word) {
  const size_t start = pos_;
  unsigned char seen = 0;
  size_t end = alnum_end(text_, start, seen);
  if (kind_at(text_, end) == kWide) return read_folded(word, start);
  size_ = 0;
  if (seen == kDigit && end < text_.size() && (text_[end] == '.' || text_[end] == ',')) {
    end = extend_number(end);
    append_digits(start, end);
    give(word, start, end);
    pos_ = end;
    return true;
  }
  if (end - start == 1 && seen != kDigit && end < text_.size() && (text_[end] == '#' || text_.substr(end, 2) == "++")) {
    const size_t marks = text_[end] == '#' ? 1 : 2;
    if ((kind_at(text_, end + marks) & (kAlnum | kWide)) == 0) end += marks;  // c#, c++
  }
  size_ = std::min(end - start, kTermBytesMax);
  for (size_t i = 0; i < size_; ++i) buffer_[i] = lower(text_[start + i]);
  give(word, start, end);
  pos_ = end;
  pass_contraction();
  return true;
}

/// A word with characters beyond ASCII in it.
bool WordReader::read_folded(Word& word, size_t from) {
  size_ = 0;
  size_t pos = from;
  while (pos < text_.size()) {
    const unsigned char kind = kind_at(text_, pos);
    if ((kind & kAlnum) != 0) {
      const char c = lower(text_[pos]);
      append({&c, 1});
      ++pos;
      continue;
    }
    if (kind != kWide) break;
    const CodePoint point = decode_utf8(text_, pos);
    if (!point.valid) break;
    Folded scratch;
    const Folded& folded = fold(point.value, scratch);
    if (folded.letter == Letter::none || folded.letter == Letter::pair) break;
    append(folded.view());
    pos += point.size;
  }
  pos_ = pos;
  if (size_ == 0) return false;
  give(word, from, pos);
  pass_contraction();
  return true;
}

/// The character at pos_ with the next one, if that is of such a script too.
bool WordReader::read_pair(Word& word, size_t first_size) {
  const size_t start = pos_;
  Folded scratch;
  size_ = 0;
  append(fold(decode_utf8(text_, start).value, scratch).view());
  const size_t second = start + first_size;
  pos_ = second;
  const bool was_second = paired_;
  paired_ = false;
  if (second < text_.size() && kind_at(text_, second) == kWide) {
    const CodePoint point = decode_utf8(text_, second);
    if (point.valid) {
      const Folded& folded = fold(point.value, scratch);
      if (folded.letter == Letter::pair) {
        append(folded.view());
        paired_ = true;
        give(word, start, second + point.size);
        return true;
      }
    }
  }
  give(word, start, second);
  return !was_second;
}

/// Where a number that reached `end` goes on: ".5" after digits, or ",000" with exactly three.
size_t WordReader::extend_number(size_t end) const {
  while (end + 1 < text_.size() && (text_[end] == '.' || text_[end] == ',')) {
    unsigned char seen = 0;
    const size_t next = alnum_end(text_, end + 1, seen);
    if (seen != kDigit || kind_at(text_, next) == kWide) break;
    if (text_[end] == ',' && next - end != 4) break;
    end = next;
  }
  return end;
}

void WordReader::append_digits(size_t start, size_t end) {
  for (size_t i = start; i < end && size_ < kTermBytesMax; ++i) {
    if (text_[i] != ',') buffer_[size_++] = text_[i];
  }
}

/// At the apostrophe after a word: passes over 's, 't, 'll, ... when the word ends there.
void WordReader::pass_contraction() {
  size_t pos = pos_;
  if (pos >= text_.size()) return;
  if (text_[pos] == '\'') {
    pos += 1;
  } else if (text_[pos] == kCurlyApostrophe[0] && text_.substr(pos, 3) == kCurlyApostrophe) {
    pos += 3;
  } else {
    return;
  }
  unsigned char seen = 0;
  const size_t end = alnum_end(text_.substr(0, std::min(text_.size(), pos + 3)), pos, seen);
  if (end == pos || end - pos > 2 || kind_at(text_, end) == kWide) return;
  const char tail[2] = {lower(text_[pos]), end - pos > 1 ? lower(text_[pos + 1]) : '\0'};
  if (std::find(kTails.begin(), kTails.end(), std::string_view(tail, end - pos)) != kTails.end()) pos_ = end;
}

void WordReader::append(std::string_view folded) {
  if (size_ + folded.size() > kTermBytesMax) return;
  std::memcpy(buffer_ + size_, folded.data(), folded.size());
  size_ += folded.size();
}

}  // namespace tessera::text
