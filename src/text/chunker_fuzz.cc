#include <cstdio>
#include <cstdlib>

#include "text/chunk_promises.h"

using namespace tessera::text;

namespace {

/// Additive over white space, so that the promises can be checked exactly.
size_t count(std::string_view text) {
  size_t total = 0, run = 0;
  for (const char c : text) {
    run = is_space(c) ? 0 : run + 1;
    total += run % 8 == 1;
  }
  return total;
}

}  // namespace

/// The first bytes choose sizes and a structure, sensible or not; the rest is the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHead = 18;
  if (size < kHead) return 0;
  const ChunkOptions options{.size = 16U + data[0] % 64, .overlap = data[1] % 16U};
  Structure structure;
  for (size_t i = 2; i < 10; i += 2) structure.headings.push_back({data[i] * 3U, data[i + 1] % 9 - 1, "title"});
  for (size_t i = 10; i < kHead; i += 2) structure.blocks.push_back({data[i] * 3U, data[i + 1] * 4U});
  const std::string_view text(reinterpret_cast<const char*>(data) + kHead, size - kHead);
  const auto chunks = chunk_text(text, structure, options, count);
  const std::string broken = broken_chunk_promise(text, chunks, options, count);
  if (!broken.empty()) {
    std::fprintf(stderr, "%s\n", broken.c_str());
    std::abort();
  }
  return 0;
}
