#include <cstdlib>
#include <string>

#include "text/utf8.h"
#include "text/words.h"

using namespace tessera::text;

/// Terms are never empty or too long, lie in order inside the text, and of valid text are valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool valid = is_valid_utf8(text);
  size_t last_start = 0, last_end = 0;
  bool first = true;
  for_each_word(text, [&](const Word& word) {
    if (word.term.empty() || word.term.size() > kTermBytesMax) std::abort();
    if (word.start >= word.end || word.end > size) std::abort();
    if (!first && (word.start <= last_start || word.end <= last_end)) std::abort();
    if (valid && !is_valid_utf8(word.term)) std::abort();
    first = false;
    last_start = word.start;
    last_end = word.end;
  });
  return 0;
}
