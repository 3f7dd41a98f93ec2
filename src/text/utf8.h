#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::text {

/// What invalid bytes decode to, and what repair puts in their place.
constexpr char32_t kReplacement = 0xFFFD;

/// One decoded code point: its value, the bytes it took (at least 1), and whether they were valid UTF-8. Overlong
/// forms, surrogates and values beyond U+10FFFF are invalid; an invalid sequence takes its maximal valid prefix, as the
/// Unicode standard recommends and WHATWG requires.
struct CodePoint {
  char32_t value = 0;
  uint32_t size = 0;
  bool valid = true;
};

/// Decodes the code point at `pos`; requires pos < text.size().
CodePoint decode_utf8(std::string_view text, size_t pos);

/// Appends `value` (a Unicode scalar value) as UTF-8 to `out`, which has room for 4 bytes. Returns the bytes written.
size_t encode_utf8(char32_t value, char* out);

/// True when all of `text` is valid UTF-8. NUL counts as valid here. ASCII is checked 8 bytes at a time.
bool is_valid_utf8(std::string_view text);

/// `text` with every invalid sequence replaced by U+FFFD and every NUL dropped. Never fails; valid text comes back
/// equal.
std::string repair_utf8(std::string_view text);

/// True when `pos` does not split a code point (also at 0 and at the end).
constexpr bool is_boundary(std::string_view text, size_t pos) {
  return pos == 0 || pos >= text.size() || (static_cast<unsigned char>(text[pos]) & 0xC0) != 0x80;
}

/// The nearest boundary at or before `pos` (clamped to the text; looks back at most 3 bytes, so that a run of stray
/// continuation bytes costs nothing).
constexpr size_t boundary_before(std::string_view text, size_t pos) {
  if (pos >= text.size()) return text.size();
  for (size_t back = 0; back < 4 && back <= pos; ++back) {
    if (is_boundary(text, pos - back)) return pos - back;
  }
  return pos;
}

/// The nearest boundary at or after `pos` (clamped to the text).
constexpr size_t boundary_after(std::string_view text, size_t pos) {
  for (size_t step = 0; step < 4; ++step) {
    if (is_boundary(text, pos + step)) return pos + step < text.size() ? pos + step : text.size();
  }
  return pos;
}

/// The longest prefix of at most `size_max` bytes that ends on a boundary.
constexpr std::string_view prefix(std::string_view text, size_t size_max) {
  return text.substr(0, boundary_before(text, size_max));
}

/// ASCII white space: space, tab, line feed, vertical tab, form feed, carriage return.
constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace tessera::text
