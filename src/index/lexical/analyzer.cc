#include "index/lexical/analyzer.h"

#include "text/stem.h"
#include "text/words.h"

namespace tessera::index {

void analyze(std::string_view text, bool stemming, const TermSink& sink) {
  if (!stemming) {
    text::for_each_word(text, [&](const text::Word& word) { sink(word.term); });
    return;
  }
  text::Stemmer stemmer;
  text::for_each_word(text, [&](const text::Word& word) { sink(stemmer.stem(word.term)); });
}

}  // namespace tessera::index
