// Our side of bench/retrieval/tokens.py. Reads requests from the standard input until it ends, little-endian:
// u8 operation, u8 vocabulary (1 cl100k, 2 o200k), u32 size, text. Answers on the standard output:
//   'e' encode: u32 n, n ids (u32)      'c' time counting, 't' time encoding: f64 seconds of this thread, u64 tokens
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "text/bpe.h"

namespace {

/// Processor time of this thread, so that other work on the machine counts as little as it can.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Request {
  unsigned char operation = 0;
  unsigned char vocabulary = 0;
  std::string text;
};

bool read(void* to, size_t size) {
  return std::fread(to, 1, size, stdin) == size;
}

void write(const void* from, size_t size) {
  std::fwrite(from, 1, size, stdout);
}

bool next(Request& request) {
  uint32_t size = 0;
  if (!read(&request.operation, 1) || !read(&request.vocabulary, 1) || !read(&size, sizeof size)) return false;
  request.text.resize(size);
  return read(request.text.data(), size);
}

}  // namespace

int main() {
  const auto cl100k = tessera::text::BpeVocabulary::cl100k(), o200k = tessera::text::BpeVocabulary::o200k();
  std::vector<uint32_t> ids;
  for (Request request; next(request);) {
    const auto& vocabulary = request.vocabulary == 1 ? cl100k : o200k;
    ids.clear();
    const double start = now();
    uint64_t tokens = 0;
    if (request.operation == 'c') {
      tokens = vocabulary.count_tokens(request.text);
    } else {
      vocabulary.encode(request.text, ids);
      tokens = ids.size();
    }
    const double seconds = now() - start;
    if (request.operation == 'e') {
      const auto count = static_cast<uint32_t>(ids.size());
      write(&count, sizeof count);
      write(ids.data(), ids.size() * sizeof(uint32_t));
    } else {
      write(&seconds, sizeof seconds);
      write(&tokens, sizeof tokens);
    }
    std::fflush(stdout);
  }
  return 0;
}
