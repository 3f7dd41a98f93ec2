#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/bpe_tables.h"

namespace tessera::text {

/// Bits of a code point's class, as the reference's regular expressions see it.
struct BpeClass {
  static constexpr uint8_t kSpace = 1;      ///< \s
  static constexpr uint8_t kNewline = 2;    ///< \r and \n, which are kSpace too
  static constexpr uint8_t kNumber = 4;     ///< \p{N}
  static constexpr uint8_t kUpper = 8;      ///< \p{Lu} \p{Lt}
  static constexpr uint8_t kLower = 16;     ///< \p{Ll}
  static constexpr uint8_t kCaseless = 32;  ///< \p{Lm} \p{Lo}
  static constexpr uint8_t kMark = 64;      ///< \p{M}
  static constexpr uint8_t kLetter = kUpper | kLower | kCaseless;
};

/// Cuts valid UTF-8 into pieces as tiktoken's regular expressions do, alternative by alternative: hand-written because
/// a backtracking engine takes longer over this than everything else together. Linear: no byte is looked at more than a
/// few times. Both patterns as of tiktoken 0.14:
///   cl100k  '(?i:[sdmt]|ll|ve|re) | [^\r\n\p{L}\p{N}]?+\p{L}++ | \p{N}{1,3}+ | ?[^\s\p{L}\p{N}]++[\r\n]*+ | \s++$ |
///           \s*[\r\n] | \s+(?!\S) | \s
///   o200k   P?U*L+C? | P?U+L*C? | \p{N}{1,3} | ?[^\s\p{L}\p{N}]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+   where
///           P = [^\r\n\p{L}\p{N}], U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L = [\p{Ll}\p{Lm}\p{Lo}\p{M}],
///           C = (?i:'s|'t|'re|'ve|'m|'ll|'d)
template <BpePattern pattern>
class BpeSplitter {
 public:
  BpeSplitter(const BpeTables& tables, std::string_view text)
      : text_(text.data()),
        size_(text.size()),
        pages_(tables.pages),
        classes_(tables.classes),
        ascii_(tables.classes + size_t{tables.pages[0]} * 256) {}

  /// The end of the piece that starts at `pos` < size; more than `pos`.
  [[nodiscard]] size_t end_of_piece(size_t pos) const {
    const Char first = at(pos);
    const size_t second = pos + first.size;
    if constexpr (pattern == BpePattern::cl100k) {
      if (text_[pos] == '\'') {
        if (const size_t size = contraction(pos)) return pos + size;
      }
      if (first.flags & BpeClass::kLetter) return skip<BpeClass::kLetter>(second);
      if (!(first.flags & (BpeClass::kNewline | BpeClass::kNumber)) && second < size_) {
        const Char next = at(second);
        if (next.flags & BpeClass::kLetter) return skip<BpeClass::kLetter>(second + next.size);
      }
    } else {
      if (const size_t end = word(pos, first)) return end + contraction(end);
    }
    if (first.flags & BpeClass::kNumber) return number(second);
    if (!(first.flags & BpeClass::kSpace)) return symbols(second);
    if (text_[pos] == ' ' && second < size_) {
      const Char next = at(second);
      if (!(next.flags & (BpeClass::kSpace | BpeClass::kLetter | BpeClass::kNumber)))
        return symbols(second + next.size);
    }
    return spaces(pos);
  }

 private:
  struct Char {
    uint8_t flags;
    uint8_t size;
  };

  [[nodiscard]] Char at(size_t pos) const {
    const auto byte = [this](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text_[i])); };
    const uint32_t lead = byte(pos);
    if (lead < 0x80) return {ascii_[lead], 1};
    uint32_t value;
    uint8_t size;
    if (lead < 0xE0) {
      value = (lead & 0x1F) << 6 | (byte(pos + 1) & 0x3F);
      size = 2;
    } else if (lead < 0xF0) {
      value = (lead & 0x0F) << 12 | (byte(pos + 1) & 0x3F) << 6 | (byte(pos + 2) & 0x3F);
      size = 3;
    } else {
      value = (lead & 0x07) << 18 | (byte(pos + 1) & 0x3F) << 12 | (byte(pos + 2) & 0x3F) << 6 | (byte(pos + 3) & 0x3F);
      size = 4;
    }
    return {classes_[size_t{pages_[value >> 8]} << 8 | (value & 0xFF)], size};
  }

  /// How many of the kRun bytes are, from the start, ASCII letters (lower-case ones only unless `upper`). No branch,
  /// because none could be predicted: where a word ends is what the text is about.
  template <bool upper>
  static size_t ascii_run(const char* bytes) {
#ifdef __SSE2__
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i low = upper ? _mm_or_si128(raw, _mm_set1_epi8(0x20)) : raw;  // bytes beyond ASCII are negative
    const __m128i letters =
        _mm_and_si128(_mm_cmpgt_epi8(low, _mm_set1_epi8('a' - 1)), _mm_cmplt_epi8(low, _mm_set1_epi8('z' + 1)));
    return static_cast<size_t>(std::countr_one(static_cast<uint32_t>(_mm_movemask_epi8(letters))));
#else
    constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
    const auto raw = BpeTables::load<uint64_t>(bytes);
    const uint64_t low = (upper ? raw | 0x20 * kOnes : raw) & ~kHigh;
    const uint64_t letters = (low + (0x80 - 'a') * kOnes) & ~(low + (0x7F - 'z') * kOnes) & ~raw & kHigh;
    return static_cast<size_t>(std::countr_zero(~letters & kHigh)) / 8;
#endif
  }
#ifdef __SSE2__
  static constexpr size_t kRun = 16;
#else
  static constexpr size_t kRun = 8;
#endif

  /// The end of the run of code points with any of `flags`, kLower among them, that starts at `pos`.
  template <uint8_t flags>
  [[nodiscard]] size_t skip(size_t pos) const {
    while (size_ - pos >= kRun) {
      const size_t run = ascii_run < (flags & BpeClass::kUpper) != 0 > (text_ + pos);
      pos += run;
      if (run < kRun) break;
    }
    while (pos < size_) {
      const Char c = at(pos);
      if (!(c.flags & flags)) break;
      pos += c.size;
    }
    return pos;
  }

  /// Bytes of (?i:'s|'t|'re|'ve|'m|'ll|'d) at `pos`, or 0. U+017F, the long s, is an s to a regular expression.
  [[nodiscard]] size_t contraction(size_t pos) const {
    if (size_ - pos < 2 || text_[pos] != '\'') return 0;
    const char second = text_[pos + 1] | 0x20;
    if (second == 's' || second == 't' || second == 'm' || second == 'd') return 2;
    if (size_ - pos < 3) return 0;
    const char third = text_[pos + 2] | 0x20;
    if ((second == 'r' || second == 'v') && third == 'e') return 3;
    if (second == 'l' && third == 'l') return 3;
    return text_[pos + 1] == '\xC5' && text_[pos + 2] == '\xBF' ? 3 : 0;
  }

  /// The first two alternatives of o200k, without the contraction: the end of a word, or 0.
  [[nodiscard]] size_t word(size_t pos, Char first) const {
    constexpr uint8_t kBoth = BpeClass::kCaseless | BpeClass::kMark;
    const bool prefixed = !(first.flags & (BpeClass::kLetter | BpeClass::kNumber | BpeClass::kNewline));
    const size_t start = prefixed ? pos + first.size : pos;
    size_t end = start, both_end = 0;
    while (end < size_) {
      const Char c = at(end);
      if (!(c.flags & (BpeClass::kUpper | kBoth))) {
        if (c.flags & BpeClass::kLower) return skip < BpeClass::kLower | kBoth > (end + c.size);
        break;
      }
      end += c.size;
      if (c.flags & kBoth) both_end = end;
    }
    // No lower case after the run: U* gives back up to its last letter or mark without case, which is then L+.
    if (both_end) return both_end;
    if (prefixed && (first.flags & BpeClass::kMark)) return start;  // P? gives the mark back, and the mark is L+
    return end > start ? end : 0;
  }

  [[nodiscard]] size_t number(size_t pos) const {
    for (int i = 0; i < 2 && pos < size_; ++i) {
      const Char c = at(pos);
      if (!(c.flags & BpeClass::kNumber)) break;
      pos += c.size;
    }
    return pos;
  }

  [[nodiscard]] size_t symbols(size_t pos) const {
    while (pos < size_) {
      const Char c = at(pos);
      if (c.flags & (BpeClass::kSpace | BpeClass::kLetter | BpeClass::kNumber)) break;
      pos += c.size;
    }
    while (pos < size_ &&
           (text_[pos] == '\r' || text_[pos] == '\n' || (pattern == BpePattern::o200k && text_[pos] == '/'))) {
      ++pos;
    }
    return pos;
  }

  [[nodiscard]] size_t spaces(size_t pos) const {
    size_t end = pos, last = pos, newline_end = 0;
    while (end < size_) {
      const Char c = at(end);
      if (!(c.flags & BpeClass::kSpace)) break;
      last = end;
      end += c.size;
      if (c.flags & BpeClass::kNewline) newline_end = end;
    }
    if (pattern == BpePattern::cl100k && end == size_) return end;
    if (newline_end) return newline_end;
    return end < size_ && last > pos ? last : end;  // the last one goes with what follows
  }

  const char* text_;
  size_t size_;
  const uint8_t* pages_;
  const uint8_t* classes_;
  const uint8_t* ascii_;
};

}  // namespace tessera::text
