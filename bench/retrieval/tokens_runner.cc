// Our side of bench/retrieval/tokens.py. Reads requests from the standard input until it ends, little-endian:
// u8 operation, u8 vocabulary (1 cl100k, 2 o200k), u32 size, text. Answers on the standard output:
//   'e' encode: u32 n, n ids (u32); the one id 0xFFFFFFFF if counting gives another number than encoding
//   'c' time counting with a counter that stays from text to text, 'o' without one, 't' time encoding: f64 seconds of
//   this
//       thread, u64 tokens
//   'r' begin with new counters: u32 0
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
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

/// One vocabulary and the counter of a program that counts often.
struct Side {
  explicit Side(const tessera::text::BpeVocabulary& of) : vocabulary(of) { reset(); }

  /// Nothing is remembered of the texts before, but the workspace is there, as in a program that has been running.
  void reset() {
    counter = std::make_unique<tessera::text::BpeCounter>(vocabulary, 1);
    if (counter->count("a") != 1) std::abort();
  }

  tessera::text::BpeVocabulary vocabulary;
  std::unique_ptr<tessera::text::BpeCounter> counter;
};

void answer_ids(const Side& side, const std::string& text, std::vector<uint32_t>& ids) {
  side.vocabulary.encode(text, ids);
  if (side.counter->count(text) != ids.size() || side.vocabulary.count_tokens(text) != ids.size()) ids = {0xFFFFFFFF};
  const auto count = static_cast<uint32_t>(ids.size());
  write(&count, sizeof count);
  write(ids.data(), ids.size() * sizeof(uint32_t));
}

void answer_time(const Side& side, const Request& request, std::vector<uint32_t>& ids) {
  const double start = now();
  uint64_t tokens = 0;
  if (request.operation == 'c') {
    tokens = side.counter->count(request.text);
  } else if (request.operation == 'o') {
    tokens = side.vocabulary.count_tokens(request.text);
  } else {
    side.vocabulary.encode(request.text, ids);
    tokens = ids.size();
  }
  const double seconds = now() - start;
  write(&seconds, sizeof seconds);
  write(&tokens, sizeof tokens);
}

}  // namespace

int main() {
  Side sides[] = {Side(tessera::text::BpeVocabulary::cl100k()), Side(tessera::text::BpeVocabulary::o200k())};
  std::vector<uint32_t> ids;
  for (Request request; next(request);) {
    Side& side = sides[request.vocabulary - 1];
    ids.clear();
    if (request.operation == 'e') {
      answer_ids(side, request.text, ids);
    } else if (request.operation == 'r') {
      side.reset();
      const uint32_t done = 0;
      write(&done, sizeof done);
    } else {
      answer_time(side, request, ids);
    }
    std::fflush(stdout);
  }
  return 0;
}
