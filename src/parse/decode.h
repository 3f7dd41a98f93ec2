#pragma once

#include <string>
#include <string_view>

namespace tessera::parse {

/// Bytes -> valid UTF-8 without NUL and with "\n" line ends. A byte order mark wins, then `charset` (utf-8,
/// utf-16le/be, latin-1 and windows-1252), then UTF-8. Bytes that are not UTF-8 and hold no multi-byte sequence at all
/// are read as windows-1252; otherwise each bad sequence becomes U+FFFD. Linear.
std::string decode_text(std::string_view bytes, std::string_view charset);

/// Whether bytes given as text are something else: many control bytes, once decoded.
bool looks_binary(std::string_view bytes);

/// Appends a code point as UTF-8; 0, surrogates and values beyond Unicode become U+FFFD.
void append_code_point(std::string& out, char32_t c);

}  // namespace tessera::parse
