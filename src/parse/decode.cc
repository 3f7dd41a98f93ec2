#include "parse/decode.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "text/utf8.h"

namespace tessera::parse {
namespace {

// The 0x80-0x9F row of windows-1252 (WHATWG Encoding Standard); the rest equals Latin-1.
constexpr std::array<char16_t, 32> kWindows1252 = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                                   0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                                   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                                   0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

std::string from_windows_1252(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (const char raw : bytes) {
    const auto c = static_cast<unsigned char>(raw);
    if (c < 0x80) {
      out += raw;
    } else {
      append_code_point(out, c < 0xA0 ? kWindows1252[c - 0x80] : c);
    }
  }
  return out;
}

std::string from_utf16(std::string_view bytes, bool big_endian) {
  std::string out;
  out.reserve(bytes.size());
  const auto unit = [&](size_t i) -> char32_t {
    const auto a = static_cast<unsigned char>(bytes[i]);
    const auto b = static_cast<unsigned char>(bytes[i + 1]);
    return big_endian ? (a << 8 | b) : (b << 8 | a);
  };
  size_t i = 0;
  while (i + 1 < bytes.size()) {
    char32_t c = unit(i);
    i += 2;
    if (c >= 0xD800 && c < 0xDC00 && i + 1 < bytes.size()) {
      const char32_t low = unit(i);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
    }
    if (c != 0) append_code_point(out, c);
  }
  if (i < bytes.size()) append_code_point(out, text::kReplacement);
  return out;
}

/// Whether some byte pair looks like the start of a UTF-8 sequence: then the text is damaged UTF-8 rather than an 8-bit
/// charset.
bool has_multibyte_sequence(std::string_view bytes) {
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const auto next = static_cast<unsigned char>(bytes[i + 1]);
    if (lead >= 0xC2 && lead <= 0xF4 && (next & 0xC0) == 0x80) return true;
  }
  return false;
}

/// Removes NUL and turns CR LF and lone CR into LF, in place.
void normalize_lines(std::string& text) {
  const size_t first = std::min(text.find('\r'), text.find('\0'));
  if (first == std::string::npos) return;
  size_t to = first;
  for (size_t from = first; from < text.size(); ++from) {
    const char c = text[from];
    if (c == '\0') continue;
    if (c == '\r') {
      if (from + 1 < text.size() && text[from + 1] == '\n') continue;
      text[to++] = '\n';
    } else {
      text[to++] = c;
    }
  }
  text.resize(to);
}

bool is_8bit_charset(std::string_view charset) {
  return charset == "iso-8859-1" || charset == "latin1" || charset == "latin-1" || charset == "windows-1252" ||
         charset == "cp1252";
}

std::optional<std::string> from_utf16_marked(std::string_view bytes, std::string_view charset) {
  if (bytes.starts_with("\xFF\xFE")) return from_utf16(bytes.substr(2), false);
  if (bytes.starts_with("\xFE\xFF")) return from_utf16(bytes.substr(2), true);
  if (charset == "utf-16be") return from_utf16(bytes, true);
  if (charset == "utf-16le" || charset == "utf-16") return from_utf16(bytes, false);
  return std::nullopt;
}

}  // namespace

void append_code_point(std::string& out, char32_t c) {
  if (c == 0 || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) c = text::kReplacement;
  std::array<char, 4> bytes{};
  out.append(bytes.data(), text::encode_utf8(c, bytes.data()));
}

std::string decode_text(std::string_view bytes, std::string_view charset) {
  std::string out;
  if (bytes.starts_with("\xEF\xBB\xBF")) {
    bytes.remove_prefix(3);
    charset = "utf-8";
  } else if (auto wide = from_utf16_marked(bytes, charset)) {
    normalize_lines(*wide);
    return *std::move(wide);
  }
  if (text::is_valid_utf8(bytes)) {
    out = bytes;
  } else if (is_8bit_charset(charset) || (charset.empty() && !has_multibyte_sequence(bytes))) {
    out = from_windows_1252(bytes);
  } else {
    out = text::repair_utf8(bytes);
  }
  normalize_lines(out);
  return out;
}

bool looks_binary(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) return false;  // UTF-16
  constexpr size_t kSample = 2048;
  bytes = bytes.substr(0, kSample);
  uint32_t controls = 0;
  for (const char raw : bytes) {  // without branches: this loop becomes vector instructions
    const auto c = static_cast<unsigned char>(raw);
    const bool layout = (c == '\t') | (c == '\n') | (c == '\r') | (c == '\f') | (c == 0x1B);
    controls += static_cast<uint32_t>((c < 0x20) & !layout);
  }
  // A stray NUL or two is a blemish; one control byte in twenty is not text.
  return controls >= 16 && controls * 20 > bytes.size();
}

}  // namespace tessera::parse
