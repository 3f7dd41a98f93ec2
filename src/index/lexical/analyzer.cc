#include "index/lexical/analyzer.h"

#include <string>

namespace tessera::index {

// Stand-in until text/words.h is there: ASCII letters and digits, lower case.
void analyze(std::string_view text, bool /*stemming*/, const TermSink& sink) {
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) sink(std::string_view(word).substr(0, kTermBytesMax));
    word.clear();
  };
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u >= 'a' && u <= 'z') || (u >= '0' && u <= '9') || u >= 0x80) {
      word.push_back(c);
    } else if (u >= 'A' && u <= 'Z') {
      word.push_back(static_cast<char>(u - 'A' + 'a'));
    } else {
      flush();
    }
  }
  flush();
}

}  // namespace tessera::index
