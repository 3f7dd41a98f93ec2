// The lexical engine alone: chunks of 150 words by Zipf's law over 200,000 terms, five to a document. Times are the
// processor's, so other work on the machine matters less.
//   lexical_bench --benchmark_filter='search/.*rows:100000'
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "index/lexical/segmented_index.h"

namespace tessera::index {
namespace {

constexpr size_t kVocabulary = 200'000;
constexpr size_t kWords = 150;
constexpr size_t kSlice = 5;

/// Texts like a natural language's: the word of rank r has a share of 1 / r.
class Corpus {
 public:
  explicit Corpus(uint64_t seed) : random_(seed) {
    std::mt19937_64 letters(5);
    for (size_t i = 0; i < kVocabulary; ++i) {
      std::string word;
      for (size_t n =
               2 + std::min<size_t>(8, static_cast<size_t>(std::log2(static_cast<double>(i) + 2)) / 3) + letters() % 3;
           n > 0; --n) {
        word += static_cast<char>('a' + letters() % 26);
      }
      words_.push_back(word + (i % 7 == 0 ? std::to_string(i % 1000) : ""));
    }
    for (size_t i = 0; i < ranks_.size(); ++i) {
      ranks_[i] = static_cast<uint32_t>(
                      std::pow(double{kVocabulary}, static_cast<double>(i) / static_cast<double>(ranks_.size()))) -
                  1;
    }
  }
  const std::string& word(double low, double high) {
    const double u = low + (high - low) * static_cast<double>(random_() % (1 << 20)) / (1 << 20);
    const auto at = static_cast<size_t>(u * static_cast<double>(ranks_.size()));
    return words_[ranks_[std::min(at, ranks_.size() - 1)]];
  }
  std::string text() {
    std::string out;
    for (size_t n = kWords / 2 + random_() % kWords; n > 0; --n) out.append(word(0, 1)).push_back(' ');
    return out;
  }
  /// Terms from the middle of the vocabulary's mass, as people's questions have them.
  std::string query(size_t terms) {
    std::string out;
    for (size_t i = 0; i < terms; ++i) out.append(word(0.3, 0.9)).push_back(' ');
    return out;
  }

 private:
  std::mt19937_64 random_;
  std::vector<std::string> words_;
  std::vector<uint32_t> ranks_ = std::vector<uint32_t>(1 << 20);
};

void append(SegmentedIndex& index, const std::vector<std::string>& texts) {
  std::vector<RowText> rows;
  for (const std::string& text : texts) rows.push_back({{text, "", ""}});
  const PreparedRows prepared = prepare_rows(rows, false);
  const Row first = index.rows();
  index.make_room(prepared);
  index.append(prepared);
  index.activate(first, static_cast<Row>(rows.size()));
}

void work(SegmentedIndex& index) {
  const std::atomic<bool> stop{false};
  while (auto job = index.plan()) {
    static_cast<void>(job->run(stop));
    index.install(std::move(job));
  }
}

struct Built {
  FileStore files{std::filesystem::path()};
  SegmentedIndex index{files};
  std::vector<uint64_t> all;
  std::vector<uint64_t> one_percent;
  std::vector<uint64_t> few;

  explicit Built(size_t rows) {
    Corpus corpus(1);
    for (size_t row = 0; row < rows; row += kSlice) {
      std::vector<std::string> texts;
      for (size_t i = 0; i < kSlice; ++i) texts.push_back(corpus.text());
      append(index, texts);
      if (row % 4096 == 0) work(index);
    }
    work(index);
    for (auto* bits : {&all, &one_percent, &few}) bits->resize((rows + 63) / 64);
    for (size_t row = 0; row < rows; ++row) {
      const uint64_t bit = uint64_t{1} << (row % 64);
      all[row / 64] |= bit;
      if (row / kSlice * 2654435761 % 100 == 0) one_percent[row / 64] |= bit;
      if (row / kSlice * 2654435761 % 10000 == 0) few[row / 64] |= bit;
    }
  }
};

const Built& built(size_t rows) {
  static std::map<size_t, std::unique_ptr<Built>> made;
  auto& one = made[rows];
  if (!one) one = std::make_unique<Built>(rows);
  return *one;
}

uint64_t count(const std::vector<uint64_t>& bits) {
  uint64_t sum = 0;
  for (const uint64_t word : bits) sum += static_cast<uint64_t>(std::popcount(word));
  return sum;
}

void search(benchmark::State& state, Pruning pruning, std::vector<uint64_t> Built::* bits) {
  const Built& world = built(static_cast<size_t>(state.range(1)));
  const RowSelection selection{world.*bits, count(world.*bits), bits != &Built::all, nullptr};
  Corpus corpus(2);
  std::vector<std::string> queries;
  for (int i = 0; i < 512; ++i) queries.push_back(corpus.query(static_cast<size_t>(state.range(0))));
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        world.index.search(plain_query(queries[at++ % queries.size()], false), 10, selection, pruning));
  }
  state.counters["segments"] = static_cast<double>(world.index.segments());
  state.counters["bytes_per_chunk"] =
      static_cast<double>(world.index.memory_bytes()) / static_cast<double>(state.range(1));
}
void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"terms", "rows"})->ArgsProduct({{2, 4, 16}, {100'000, 1'000'000}})->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(search, pruned, Pruning::on, &Built::all)->Apply(sizes);
BENCHMARK_CAPTURE(search, exhaustive, Pruning::off, &Built::all)->Apply(sizes);
BENCHMARK_CAPTURE(search, one_percent, Pruning::on, &Built::one_percent)->Apply(sizes);
BENCHMARK_CAPTURE(search, ten_thousandth, Pruning::on, &Built::few)->Apply(sizes);

/// Analysis, append and activation, without background work.
void ingest(benchmark::State& state, bool background) {
  Corpus corpus(3);
  std::vector<std::vector<std::string>> slices(4000);
  for (auto& slice : slices) {
    for (size_t i = 0; i < kSlice; ++i) slice.push_back(corpus.text());
  }
  for (auto _ : state) {
    FileStore files{std::filesystem::path()};
    SegmentedIndex index(files, {.freeze_rows = 19'900});
    for (const auto& slice : slices) append(index, slice);
    if (background) work(index);
    state.counters["bytes_per_chunk"] = static_cast<double>(index.memory_bytes()) / (4000.0 * kSlice);
  }
  state.counters["chunks"] =
      benchmark::Counter(4000.0 * kSlice * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(ingest, append, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ingest, append_and_freeze, true)->Unit(benchmark::kMillisecond);

void analysis(benchmark::State& state) {
  Corpus corpus(3);
  std::vector<std::string> texts;
  for (int i = 0; i < 1000; ++i) texts.push_back(corpus.text());
  for (auto _ : state) {
    for (const std::string& text : texts) {
      const RowText row{{text, "", ""}};
      benchmark::DoNotOptimize(prepare_rows({&row, 1}, false));
    }
  }
  state.counters["chunks"] =
      benchmark::Counter(1000.0 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(analysis)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera::index
