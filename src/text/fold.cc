#include "text/fold.h"

#include <utf8proc.h>

#include <array>
#include <cstring>

#include "text/utf8.h"

namespace tessera::text {
namespace {

constexpr char32_t kTableEnd = 0x530;  // up to the end of Cyrillic Supplement

bool in(char32_t value, char32_t first, char32_t last) {
  return value >= first && value <= last;
}

bool is_pair_script(char32_t c) {
  if (c < 0x0E00) return false;
  return in(c, 0x0E00, 0x0EFF) || in(c, 0x1000, 0x109F) || in(c, 0x1780, 0x17FF) ||  // Thai, Lao, Myanmar, Khmer
         in(c, 0x3005, 0x3007) || in(c, 0x3040, 0x30FF) || in(c, 0x3100, 0x312F) || in(c, 0x31F0, 0x31FF) ||
         in(c, 0x3400, 0x4DBF) || in(c, 0x4E00, 0x9FFF) || in(c, 0xAC00, 0xD7A3) || in(c, 0xF900, 0xFAFF) ||
         in(c, 0xFF66, 0xFF9F) || in(c, 0x1B000, 0x1B16F) || in(c, 0x20000, 0x323AF);
}

/// Letters of such scripts that fold to themselves: most of Chinese, Japanese and Korean text.
bool is_plain_pair(char32_t c) {
  return in(c, 0x4E00, 0x9FEF) || in(c, 0xAC00, 0xD7A3) || in(c, 0x3041, 0x3096) || in(c, 0x30A1, 0x30FA) ||
         in(c, 0x3400, 0x4DB5);
}

/// Accents that writers leave out when they search.
bool is_dropped_mark(char32_t c) {
  return in(c, 0x0300, 0x036F) || in(c, 0x0483, 0x0487) || in(c, 0x0591, 0x05C7) || in(c, 0x0610, 0x061A) ||
         in(c, 0x064B, 0x065F) || c == 0x0670 || in(c, 0x1AB0, 0x1AFF) || in(c, 0x1DC0, 0x1DFF) ||
         in(c, 0x20D0, 0x20FF) || in(c, 0xFE00, 0xFE0F) || in(c, 0xFE20, 0xFE2F);
}

std::string_view spelled_out(char32_t c) {
  switch (c) {
    case 0x00E6:
      return "ae";
    case 0x0153:
      return "oe";
    case 0x00F8:
      return "o";
    case 0x0142:
      return "l";
    case 0x0111:
    case 0x00F0:
      return "d";
    case 0x0127:
      return "h";
    case 0x0131:
      return "i";
    case 0x00FE:
      return "th";
    case 0x0167:
      return "t";
    case 0x0640:
      return " ";  // Arabic tatweel stretches a word, nothing more
    default:
      return {};
  }
}

Letter classify(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return is_pair_script(c) ? Letter::pair : Letter::word;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return c == 0x3007 ? Letter::pair : Letter::word;
    case UTF8PROC_CATEGORY_CF:
      return Letter::ignored;
    default:
      return Letter::none;
  }
}

Folded make_folded(char32_t value) {
  Folded folded;
  folded.letter = classify(value);
  if (folded.letter != Letter::word && folded.letter != Letter::pair) return folded;
  // Pairs keep their characters whole (no jamo, no detached voicing marks), but for compatibility forms.
  const bool whole = folded.letter == Letter::pair && !in(value, 0xF900, 0xFAFF) && !in(value, 0xFF66, 0xFF9F);
  std::array<utf8proc_int32_t, 32> points{};
  utf8proc_ssize_t count = 1;
  points[0] = static_cast<utf8proc_int32_t>(value);
  if (!whole) {
    constexpr int kFlags = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
    // The library joins its flags with "or"; their type is an enum without such values.
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange)
    const auto options = static_cast<utf8proc_option_t>(kFlags);
    int boundary = 0;
    count = utf8proc_decompose_char(points[0], points.data(), points.size(), options, &boundary);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(points.size())) return folded;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto point = static_cast<char32_t>(points[static_cast<size_t>(i)]);
    const Letter kind = classify(point);
    if (is_dropped_mark(point) || (kind != Letter::word && kind != Letter::pair)) continue;
    if (folded.size + 4U > sizeof folded.bytes) break;
    const std::string_view spelling = spelled_out(point);
    if (spelling.empty()) {
      folded.size = static_cast<uint8_t>(folded.size + encode_utf8(point, folded.bytes + folded.size));
    } else if (spelling != " ") {
      std::memcpy(folded.bytes + folded.size, spelling.data(), spelling.size());
      folded.size = static_cast<uint8_t>(folded.size + spelling.size());
    }
  }
  if (folded.size == 0) folded.letter = Letter::ignored;
  return folded;
}

}  // namespace

const Folded& fold(char32_t value, Folded& scratch) {
  static const auto kTable = [] {
    std::array<Folded, kTableEnd> table;
    for (char32_t c = 0; c < kTableEnd; ++c) table[c] = make_folded(c);
    return table;
  }();
  if (value < kTableEnd) return kTable[value];
  if (is_plain_pair(value)) {
    scratch.letter = Letter::pair;
    scratch.size = static_cast<uint8_t>(encode_utf8(value, scratch.bytes));
    return scratch;
  }
  scratch = make_folded(value);
  return scratch;
}

}  // namespace tessera::text
