#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/log.h"
#include "index/collection_index.h"
#include "index/retrieval_index.h"

// One collection of 100,000 chunks of about 200 words by Zipf's law over 200,000 terms, with clustered 256-dimensional
// vectors; 5 chunks to a document. Queries draw their terms from the frequent half of the vocabulary's mass, as
// people's questions do.
namespace tessera::index {
namespace {

constexpr size_t kChunks = 100'000;
constexpr size_t kChunksEach = 5;
constexpr size_t kDimensions = 256;

class Corpus {
 public:
  explicit Corpus(uint64_t seed) : random_(seed) {}

  std::string word(double low, double high) {
    const double u = low + (high - low) * static_cast<double>(random_() % (1 << 24)) / (1 << 24);
    return fmt::format("term{}", static_cast<int>(std::pow(200'000.0, u)));
  }
  std::vector<float> vector() {
    std::mt19937_64 centre(random_() % 200);
    std::vector<float> out(kDimensions);
    double squares = 0;
    for (float& x : out) {
      x = normal_(centre) + 0.5F * normal_(random_);
      squares += double{x} * x;
    }
    for (float& x : out) x = static_cast<float>(x / std::sqrt(squares));
    normal_.reset();
    return out;
  }
  std::shared_ptr<const core::DocumentWrite> document(int64_t key) {
    auto write = std::make_shared<core::DocumentWrite>();
    write->dimensions = kDimensions;
    for (size_t i = 0; i < kChunksEach; ++i) {
      core::Chunk chunk;
      chunk.key = key * static_cast<int64_t>(kChunksEach) + static_cast<int64_t>(i);
      chunk.document_key = key;
      chunk.start = static_cast<int64_t>(write->document.text.size());
      for (size_t n = 120 + random_() % 160; n > 0; --n) write->document.text += word(0, 1) + ' ';
      chunk.end = static_cast<int64_t>(write->document.text.size());
      write->chunks.push_back(std::move(chunk));
      const std::vector<float> row = vector();
      write->vectors.insert(write->vectors.end(), row.begin(), row.end());
    }
    write->document.head.metadata["group"] = key % 100;
    return write;
  }
  std::string query(size_t terms) {
    std::string text;
    for (size_t i = 0; i < terms; ++i) text += word(0.3, 0.9) + ' ';
    return text;
  }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
};

const std::vector<std::shared_ptr<const core::DocumentWrite>>& documents() {
  static const auto made = [] {
    Corpus corpus(1);
    std::vector<std::shared_ptr<const core::DocumentWrite>> all;
    for (size_t i = 0; i < kChunks / kChunksEach; ++i) all.push_back(corpus.document(static_cast<int64_t>(i)));
    return all;
  }();
  return made;
}

FileStore& memory_only() {
  static FileStore store{std::filesystem::path()};
  return store;
}

/// All documents, with all background work done.
const CollectionIndex& collection() {
  static const auto made = [] {
    auto index = std::make_unique<CollectionIndex>(memory_only(), CollectionOptions());
    int64_t key = 0;
    for (const auto& document : documents()) static_cast<void>(index->put(key++, *document));
    const std::atomic<bool> stop{false};
    while (index->maintain_segments(stop).value_or(false) || index->maintain_vectors().value_or(false)) continue;
    return index;
  }();
  return *made;
}

core::Filter one_percent() {
  core::Filter filter;
  filter.op = core::Filter::Op::eq;
  filter.field = "group";
  filter.values.emplace_back(int64_t{7});
  return filter;
}

void apply(benchmark::State& state) {
  documents();
  for (auto _ : state) {
    CollectionIndex index(memory_only(), CollectionOptions());
    for (size_t i = 0; i < 4000; ++i) static_cast<void>(index.put(static_cast<int64_t>(i), *documents()[i]));
    state.counters["bytes_per_chunk"] = static_cast<double>(index.stats().memory_bytes) / (4000.0 * kChunksEach);
  }
  state.counters["chunks"] =
      benchmark::Counter(4000.0 * kChunksEach * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(apply)->Unit(benchmark::kMillisecond);

void lexical(benchmark::State& state, Pruning pruning, bool filtered) {
  const CollectionIndex& index = collection();
  Corpus corpus(2);
  std::vector<std::string> queries;
  for (int i = 0; i < 256; ++i) queries.push_back(corpus.query(static_cast<size_t>(state.range(0))));
  const core::Filter filter = one_percent();
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        index.search_lexical({1, queries[at++ % queries.size()], {}, 10, filtered ? &filter : nullptr}, pruning));
  }
}
BENCHMARK_CAPTURE(lexical, pruned, Pruning::on, false)->Arg(2)->Arg(4)->Arg(16)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(lexical, exhaustive, Pruning::off, false)->Arg(2)->Arg(4)->Arg(16)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(lexical, filtered_1_percent, Pruning::on, true)->Arg(4)->Unit(benchmark::kMicrosecond);

void dense(benchmark::State& state, bool filtered) {
  const CollectionIndex& index = collection();
  Corpus corpus(3);
  std::vector<std::vector<float>> queries;
  for (int i = 0; i < 64; ++i) queries.push_back(corpus.vector());
  const core::Filter filter = one_percent();
  size_t at = 0;
  for (auto _ : state) {
    core::IndexQuery query{1, "", queries[at++ % queries.size()], 10, filtered ? &filter : nullptr};
    query.recall = static_cast<double>(state.range(0)) / 100;
    benchmark::DoNotOptimize(index.search_dense(query));
  }
}
BENCHMARK_CAPTURE(dense, recall_percent, false)->Arg(90)->Arg(95)->Arg(99)->Arg(100)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(dense, filtered_1_percent, true)->Arg(95)->Unit(benchmark::kMicrosecond);

/// Save and load of 100,000 chunks through the public door.
void snapshot(benchmark::State& state, bool loading) {
  const auto directory = std::filesystem::temp_directory_path() / "tessera_index_bench";
  const auto logger = base::silent_logger();
  std::filesystem::remove_all(directory);
  auto index = create_retrieval_index({.directory = directory}, *logger).value();
  core::StoreChange change;
  change.collection_id = 1;
  for (const auto& document : documents()) {
    ++change.sequence;
    change.document_key = change.sequence;
    change.document = document;
    static_cast<void>(index->apply(change));
  }
  static_cast<void>(index->save());
  for (auto _ : state) {
    if (loading) {
      benchmark::DoNotOptimize(create_retrieval_index({.directory = directory}, *logger));
    } else {
      ++change.sequence;
      static_cast<void>(index->apply(change));
      static_cast<void>(index->save());
    }
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK_CAPTURE(snapshot, save, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(snapshot, load, true)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera::index
