// Tokenizing, embedding and chunking on one core, over this repository's own documentation. Counters: tokens/s
// (embedding, tokenizing), bytes/s (the others).
#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "index/embedding/static_embedder.h"
#include "text/chunker.h"
#include "text/sentences.h"
#include "text/stem.h"
#include "text/utf8.h"
#include "text/words.h"

namespace {

using tessera::index::StaticEmbedder;

std::string read(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(out).str();
}

/// About 4 MB of text: the source repeated until it is that long.
const std::string& sample() {
  static const std::string kText = [] {
    std::string once;
    const std::filesystem::path root(TESSERA_SOURCE_DIR);
    for (const char* folder : {"src", "docs", "models"}) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
        if (entry.path().extension() == ".md") once += read(entry.path()) + "\n\n";
      }
    }
    std::string text;
    while (text.size() < 4'000'000) text += once + "\n\n";
    return text;
  }();
  return kText;
}

/// Pieces of about the size of a chunk, cut on spaces.
const std::vector<std::string_view>& passages() {
  static const std::vector<std::string_view> kPassages = [] {
    std::vector<std::string_view> out;
    for (std::string_view rest = sample(); rest.size() > 1100;) {
      const size_t cut = rest.find(' ', 1000);
      if (cut == std::string_view::npos) break;
      out.push_back(rest.substr(0, cut));
      rest.remove_prefix(cut);
    }
    return out;
  }();
  return kPassages;
}

const StaticEmbedder& embedder() {
  static const StaticEmbedder kEmbedder = StaticEmbedder::embedded().value();
  return kEmbedder;
}

void report_tokens(benchmark::State& state, size_t tokens) {
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

void embed_passages(benchmark::State& state) {
  std::vector<float> vector(embedder().dimensions());
  size_t tokens = 0;
  for (auto _ : state) {
    for (const std::string_view passage : passages()) tokens += embedder().embed_one(passage, vector);
    benchmark::DoNotOptimize(vector.data());
  }
  report_tokens(state, tokens);
}
BENCHMARK(embed_passages)->Unit(benchmark::kMillisecond);

void embed_query(benchmark::State& state) {
  std::vector<float> vector(embedder().dimensions());
  for (auto _ : state) {
    benchmark::DoNotOptimize(embedder().embed_one("How does the retry policy treat a cancelled request?", vector));
  }
}
BENCHMARK(embed_query);

void count_tokens(benchmark::State& state) {
  size_t tokens = 0;
  for (auto _ : state) {
    for (const std::string_view passage : passages()) tokens += embedder().count_tokens(passage);
  }
  report_tokens(state, tokens);
}
BENCHMARK(count_tokens)->Unit(benchmark::kMillisecond);

void open_model(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(StaticEmbedder::embedded());
}
BENCHMARK(open_model);

void read_words(benchmark::State& state) {
  for (auto _ : state) {
    size_t total = 0;
    tessera::text::for_each_word(sample(), [&](const tessera::text::Word& word) { total += word.term.size(); });
    benchmark::DoNotOptimize(total);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * sample().size()));
}
BENCHMARK(read_words)->Unit(benchmark::kMillisecond);

void read_stemmed_words(benchmark::State& state) {
  tessera::text::Stemmer stemmer;
  for (auto _ : state) {
    size_t total = 0;
    tessera::text::for_each_word(sample(),
                                 [&](const tessera::text::Word& word) { total += stemmer.stem(word.term).size(); });
    benchmark::DoNotOptimize(total);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * sample().size()));
}
BENCHMARK(read_stemmed_words)->Unit(benchmark::kMillisecond);

void split_sentences(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(tessera::text::split_sentences(sample()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * sample().size()));
}
BENCHMARK(split_sentences)->Unit(benchmark::kMillisecond);

void chunk_without_counting(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        tessera::text::chunk_text(sample(), {}, {}, [](std::string_view piece) { return piece.size() / 5; }));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * sample().size()));
}
BENCHMARK(chunk_without_counting)->Unit(benchmark::kMillisecond);

void chunk_with_tokens(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(tessera::text::chunk_text(
        sample(), {}, {}, [](std::string_view piece) { return embedder().count_tokens(piece); }));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * sample().size()));
}
BENCHMARK(chunk_with_tokens)->Unit(benchmark::kMillisecond);

void validate_utf8(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(tessera::text::is_valid_utf8(sample()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * sample().size()));
}
BENCHMARK(validate_utf8)->Unit(benchmark::kMillisecond);

}  // namespace
