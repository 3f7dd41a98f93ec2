#include <benchmark/benchmark.h>

#include <bit>
#include <memory>
#include <random>
#include <vector>

#include "index/vector/vector_index.h"

// What each way of a dense search costs, for the planner's constants (index/vector/vector_index.cc): 100,000 vectors of
// 256 dimensions in no clusters. "gather/n" looks at n rows by a filter, "walk/ef" goes through the graph, "signs/k"
// looks at the signs of all and finds the nearest k.
namespace tessera::index {
namespace {

constexpr size_t kRows = 100'000;
constexpr size_t kDimensions = 256;

std::vector<float> gauss(std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(kDimensions);
  for (float& x : vector) x = normal(random);
  return vector;
}

const VectorIndex& index() {
  static const std::unique_ptr<VectorIndex> made = [] {
    auto index = std::make_unique<VectorIndex>(VectorOptions{.ef_construction = 40});
    std::mt19937_64 random(1);
    for (size_t i = 0; i < kRows; ++i) index->append(*index->encode(gauss(random), 1, kDimensions));
    const std::atomic<bool> stop = false;
    while (auto job = index->plan()) {
      job->run(stop);
      index->install(std::move(job));
    }
    return index;
  }();
  return *made;
}

/// Searches with rows of this share selected, query after query.
void search(benchmark::State& state, size_t k, size_t ef, size_t selected, VectorWork::Plan plan) {
  const VectorIndex& subject = index();
  VectorQuery query;
  query.k = k;
  query.ef = ef;
  std::mt19937_64 random(2);
  std::vector<uint64_t> bits((kRows + 63) / 64);
  RowSelection selection;
  while (selection.count < selected) {
    const uint64_t row = selected == kRows ? selection.count : random() % kRows;
    selection.count += ((bits[row / 64] >> (row % 64)) & 1) == 0 ? 1 : 0;
    bits[row / 64] |= uint64_t{1} << (row % 64);
  }
  selection.bits = bits;
  selection.filtered = selected < kRows;
  std::vector<std::vector<float>> queries;
  for (int i = 0; i < 64; ++i) queries.push_back(gauss(random));
  size_t distances = 0;
  size_t at = 0;
  for (auto _ : state) {
    query.vector = queries[at++ % queries.size()];
    VectorWork work;
    benchmark::DoNotOptimize(subject.search(query, selection, &work));
    if (work.plan != plan) return state.SkipWithError("the planner went another way");
    distances += work.distances;
  }
  const auto searches = static_cast<double>(state.iterations());
  state.counters["rows"] = static_cast<double>(distances) / searches;
  state.counters["s/row"] =
      benchmark::Counter(static_cast<double>(distances), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void gather(benchmark::State& state) {
  search(state, 10, 1000, static_cast<size_t>(state.range(0)), VectorWork::Plan::gather);
}
void walk(benchmark::State& state) {
  search(state, 10, static_cast<size_t>(state.range(0)), kRows, VectorWork::Plan::walk);
}
void signs(benchmark::State& state) {
  search(state, static_cast<size_t>(state.range(0)), 0, kRows, VectorWork::Plan::signs);
}

BENCHMARK(gather)->Arg(1000)->Arg(10000)->Unit(benchmark::kMicrosecond);
BENCHMARK(walk)->Arg(100)->Arg(400)->Unit(benchmark::kMicrosecond);
BENCHMARK(signs)->Arg(10)->Arg(100)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tessera::index
