#include <cstddef>
#include <cstdint>
#include <string_view>

#include "index/lexical/query.h"

using namespace tessera::index;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool stemming : {false, true}) {
    const LexicalQuery query = parse_query(text, stemming);
    if (query.clauses.size() > kQueryClausesMax) __builtin_trap();
    for (const LexicalQuery::Clause& clause : query.clauses) {
      if (clause.words.empty() || clause.words.size() > kPhraseWordsMax) __builtin_trap();
      for (const LexicalQuery::Word& word : clause.words) {
        if (word.prefix && clause.words.size() > 1) __builtin_trap();
      }
    }
    static_cast<void>(plain_query(text, stemming));
  }
  return 0;
}
