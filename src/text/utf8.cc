#include "text/utf8.h"

#include <cstring>

namespace tessera::text {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080ULL;

uint64_t load8(const char* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Length of the ASCII run that starts at `pos`.
size_t ascii_run(std::string_view text, size_t pos) {
  const size_t start = pos;
  while (pos + 8 <= text.size() && (load8(text.data() + pos) & kHighBits) == 0) pos += 8;
  while (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80) ++pos;
  return pos - start;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(pos);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1, false};
  const uint32_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t value = lead & (0x7F >> size);
  // The second byte's range excludes overlong forms, surrogates and values that are too large.
  unsigned char low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (uint32_t i = 1; i < size; ++i) {
    if (pos + i >= text.size() || byte(pos + i) < low || byte(pos + i) > high) return {kReplacement, i, false};
    value = (value << 6) | (byte(pos + i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {value, size, true};
}

size_t encode_utf8(char32_t value, char* out) {
  const auto put = [&](size_t i, char32_t bits) { out[i] = static_cast<char>(bits); };
  if (value < 0x80) {
    put(0, value);
    return 1;
  }
  if (value < 0x800) {
    put(0, 0xC0 | (value >> 6));
    put(1, 0x80 | (value & 0x3F));
    return 2;
  }
  if (value < 0x10000) {
    put(0, 0xE0 | (value >> 12));
    put(1, 0x80 | ((value >> 6) & 0x3F));
    put(2, 0x80 | (value & 0x3F));
    return 3;
  }
  put(0, 0xF0 | (value >> 18));
  put(1, 0x80 | ((value >> 12) & 0x3F));
  put(2, 0x80 | ((value >> 6) & 0x3F));
  put(3, 0x80 | (value & 0x3F));
  return 4;
}

bool is_valid_utf8(std::string_view text) {
  for (size_t pos = ascii_run(text, 0); pos < text.size(); pos += ascii_run(text, pos)) {
    const CodePoint point = decode_utf8(text, pos);
    if (!point.valid) return false;
    pos += point.size;
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  if (is_valid_utf8(text) && text.find('\0') == std::string_view::npos) return std::string(text);
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint point = decode_utf8(text, pos);
    if (!point.valid) {
      out += "\xEF\xBF\xBD";
    } else if (point.value != 0) {
      out.append(text, pos, point.size);
    }
    pos += point.size;
  }
  return out;
}

}  // namespace tessera::text
