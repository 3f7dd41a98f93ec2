#include <cstdlib>
#include <string>
#include <vector>

#include "text/bpe.h"
#include "text/utf8.h"

using namespace tessera::text;

/// Decoding the ids gives the text back (repaired, where it was invalid), and counting counts them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& vocabulary : {BpeVocabulary::cl100k(), BpeVocabulary::o200k()}) {
    std::vector<uint32_t> ids;
    vocabulary.encode(text, ids);
    if (vocabulary.count_tokens(text) != ids.size()) std::abort();
    std::string back;
    for (const uint32_t id : ids) {
      if (vocabulary.token(id).empty()) std::abort();
      back += vocabulary.token(id);
    }
    if (is_valid_utf8(text) ? back != text : !is_valid_utf8(back)) std::abort();
  }
  return 0;
}
