#include <cstdlib>

#include "text/sentences.h"
#include "text/utf8.h"

using namespace tessera::text;

/// Sentences are trimmed, in order, disjoint, cover all that is not white space, and cut no character of valid text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool valid = is_valid_utf8(text);
  size_t covered = 0;
  for (const Range range : split_sentences(text)) {
    if (range.start < covered || range.start >= range.end || range.end > size) std::abort();
    if (is_space(text[range.start]) || is_space(text[range.end - 1])) std::abort();
    if (valid && !is_valid_utf8(text.substr(range.start, range.end - range.start))) std::abort();
    for (; covered < range.start; ++covered) {
      if (!is_space(text[covered])) std::abort();
    }
    covered = range.end;
  }
  for (; covered < size; ++covered) {
    if (!is_space(text[covered])) std::abort();
  }
  return 0;
}
