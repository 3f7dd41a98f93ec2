#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chat/citations.h"

// The filter's promises on any bytes: the same result however the text is cut, only markers with a source are left,
// filtering again changes nothing, and every citation is a piece of its passage.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  if (size < 2 || size > 4096) return 0;
  const size_t sources = data[0] % 4;
  const size_t cut = 1 + data[1] % size;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto run = [&](std::string_view input, size_t at) {
    chat::CitationFilter filter(sources);
    std::string out;
    filter.push(input.substr(0, std::min(at, input.size())), out);
    filter.push(input.substr(std::min(at, input.size())), out);
    filter.finish(out);
    return out;
  };
  const auto whole = run(text, text.size());
  if (run(text, cut) != whole) std::abort();
  if (run(whole, whole.size()) != whole) std::abort();
  for (const auto& marker : chat::find_markers(whole)) {
    for (const int64_t n : marker.numbers) {
      if (n < 1 || n > static_cast<int64_t>(sources)) std::abort();
    }
  }
  std::vector<core::Passage> passages(sources);
  for (size_t i = 0; i < sources; ++i) {
    passages[i].text = std::string(text.substr(i * text.size() / 4));
    passages[i].end = static_cast<int64_t>(passages[i].text.size());
  }
  for (const auto& citation : chat::make_citations(passages, whole)) {
    const auto& source = passages[static_cast<size_t>(citation.n - 1)].text;
    if (source.substr(static_cast<size_t>(citation.start), static_cast<size_t>(citation.end - citation.start)) !=
        citation.snippet) {
      std::abort();
    }
  }
  return 0;
}
