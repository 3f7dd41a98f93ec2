#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::text {

/// What a code point is to a reader of words.
enum class Letter : uint8_t {
  none,     ///< divides words
  ignored,  ///< belongs to the word but says nothing: soft hyphen, joiners, accents
  word,     ///< part of a word
  pair,     ///< of a script without spaces between words: read in pairs
};

/// The folded text of one code point, at most 24 bytes (longer foldings are cut).
struct Folded {
  Letter letter = Letter::none;
  uint8_t size = 0;
  char bytes[24] = {};
  [[nodiscard]] std::string_view view() const { return {bytes, size}; }
};

/// Classifies and folds a code point: NFKD, case folded, the accents named in words.h dropped, and letters that Unicode
/// does not decompose spelled out (ae for æ, o for ø, l for ł). Latin, Greek and Cyrillic come from a table.
const Folded& fold(char32_t value, Folded& scratch);

}  // namespace tessera::text
