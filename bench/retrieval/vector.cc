// Vector search side by side with hnswlib, one thread, interleaved. Run by vector.py; see there for the data.
// Usage: vector DATA QUERIES ROWS DIMENSIONS [both] (raw floats, vectors of length 1); prints one line a figure. With
// "both" the graph with 16-bit vectors is built too.
#include "vector.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "index/vector/graph_index.h"
#include "index/vector/vector_store.h"

namespace {

using tessera::index::GraphIndex;
using Clock = std::chrono::steady_clock;
constexpr size_t kTop = 10;
constexpr size_t kM = 16;
constexpr size_t kConstruction = 200;
constexpr double kRecall = 0.95;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double resident_mb() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

std::vector<float> read(const char* path, size_t count) {
  std::vector<float> values(count);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(float)));
  if (!file) std::exit((std::fprintf(stderr, "cannot read %s\n", path), 1));
  return values;
}

std::vector<std::vector<uint32_t>> truth(const std::vector<float>& data, const std::vector<float>& queries, size_t d) {
  std::vector<std::vector<uint32_t>> best;
  std::vector<std::pair<float, uint32_t>> scores(data.size() / d);
  for (size_t q = 0; q < queries.size() / d; ++q) {
    for (size_t row = 0; row < scores.size(); ++row) {
      float lanes[16] = {};
      for (size_t i = 0; i < d; i += 16) {
        for (size_t lane = 0; lane < 16; ++lane) lanes[lane] += data[row * d + i + lane] * queries[q * d + i + lane];
      }
      float sum = 0;
      for (const float lane : lanes) sum += lane;
      scores[row] = {-sum, static_cast<uint32_t>(row)};
    }
    std::partial_sort(scores.begin(), scores.begin() + kTop, scores.end());
    auto& rows = best.emplace_back();
    for (size_t i = 0; i < kTop; ++i) rows.push_back(scores[i].second);
  }
  return best;
}

/// An engine under test: answers query number q with this ef.
struct Engine {
  std::string name;
  std::function<void(size_t, size_t, std::vector<uint32_t>&)> search;
  size_t queries = 0;
  size_t ef = 0;
  std::vector<double> rates;

  double recall(const std::vector<std::vector<uint32_t>>& best, size_t with_ef) const {
    size_t hits = 0;
    std::vector<uint32_t> found;
    for (size_t q = 0; q < queries; ++q) {
      search(q, with_ef, found);
      for (const uint32_t row : best[q]) hits += std::ranges::count(found, row) > 0 ? 1 : 0;
    }
    return static_cast<double>(hits) / static_cast<double>(queries * kTop);
  }
  /// The smallest ef that reaches the recall.
  double settle(const std::vector<std::vector<uint32_t>>& best) {
    size_t low = kTop;
    size_t high = 16;
    while (recall(best, high) < kRecall && high < 4096) {
      low = high + 1;
      high *= 2;
    }
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (recall(best, middle) >= kRecall) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    ef = high;
    return recall(best, ef);
  }
  void run() {
    std::vector<uint32_t> found;
    const auto start = Clock::now();
    for (size_t q = 0; q < queries; ++q) search(q, ef, found);
    rates.push_back(static_cast<double>(queries) / since(start));
  }
  double rate() {
    std::ranges::sort(rates);
    return rates[rates.size() / 2];
  }
};

Engine graph_engine(const char* name, const GraphIndex& index, const std::vector<float>& queries, size_t d) {
  return {name,
          [&index, &queries, d](size_t q, size_t ef, std::vector<uint32_t>& out) {
            out.clear();
            for (const auto& hit : index.search({.vector = {queries.data() + q * d, d}, .k = kTop, .ef = ef})) {
              out.push_back(hit.row);
            }
          },
          queries.size() / d};
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 2;
  const bool both = count > 5;
  const size_t rows = std::stoul(arguments[3]);
  const size_t d = std::stoul(arguments[4]);
  const auto data = read(arguments[1], rows * d);
  std::ifstream size(arguments[2], std::ios::ate | std::ios::binary);
  const auto queries = read(arguments[2], static_cast<size_t>(size.tellg()) / sizeof(float));
  const auto best = truth(data, queries, d);

  // Built side by side in turns of 1,000 vectors, so that both meet the same neighbours on a shared machine.
  double seconds[3] = {};
  const double before_peer = resident_mb();
  Peer peer(d, rows, kM, kConstruction);
  GraphIndex with({.dimensions = d, .m = kM, .ef_construction = kConstruction, .rerank = true});
  GraphIndex without({.dimensions = d, .m = kM, .ef_construction = kConstruction, .rerank = false});
  for (size_t from = 0; from < rows; from += 1000) {
    const size_t to = std::min(rows, from + 1000);
    auto start = Clock::now();
    for (size_t row = from; row < to; ++row) peer.add(static_cast<uint32_t>(row), data.data() + row * d);
    seconds[0] += since(start);
    start = Clock::now();
    for (size_t row = from; row < to; ++row) without.add(static_cast<uint32_t>(row), {data.data() + row * d, d});
    seconds[1] += since(start);
    if (!both) continue;
    start = Clock::now();
    for (size_t row = from; row < to; ++row) with.add(static_cast<uint32_t>(row), {data.data() + row * d, d});
    seconds[2] += since(start);
  }
  const double all = resident_mb() - before_peer;
  tessera::index::VectorStore store;
  tessera::index::RowTable table;
  store.start(d, 0);
  for (size_t row = 0; row < rows; ++row) {
    store.append(tessera::index::encode_vectors({data.data() + row * d, d}, d));
    table.append(static_cast<int64_t>(row), 0, 1);
  }
  table.slots.push_back({.key = 1, .first_row = 0, .rows = static_cast<uint32_t>(rows)});
  table.set_live(0, true);
  const double ours[] = {static_cast<double>(without.memory_bytes()) / 1e6,
                         static_cast<double>(with.memory_bytes()) / 1e6};
  const double peers = all - ours[0] - ours[1];

  std::vector<Engine> engines;
  engines.push_back(
      {"hnswlib",
       [&](size_t q, size_t ef, std::vector<uint32_t>& out) { peer.search(queries.data() + q * d, kTop, ef, out); },
       queries.size() / d});
  engines.push_back(graph_engine("tessera 8 bit", without, queries, d));
  if (both) engines.push_back(graph_engine("tessera 8+8 bit", with, queries, d));
  std::vector<double> recalls;
  for (Engine& engine : engines) recalls.push_back(engine.settle(best));
  for (int round = 0; round < 9; ++round) {
    for (Engine& engine : engines) engine.run();
  }
  Engine scan = {"exact scan",
                 [&](size_t q, size_t, std::vector<uint32_t>&) {
                   tessera::index::RowFilter filter(table, nullptr);
                   static_cast<void>(store.search(table, {queries.data() + q * d, d}, kTop, filter,
                                                  tessera::index::best_dot_kernels()));
                 },
                 100};
  for (int round = 0; round < 3; ++round) scan.run();
  const double memory[] = {peers, ours[0], ours[1]};
  for (size_t i = 0; i < engines.size(); ++i) {
    std::printf("%s|%zu|%.4f|%.0f|%.1f|%.1f\n", engines[i].name.c_str(), engines[i].ef, recalls[i], engines[i].rate(),
                seconds[i], memory[i]);
  }
  std::printf("exact scan|0|1|%.0f|0|%.1f\n", scan.rate(), static_cast<double>(store.memory_bytes()) / 1e6);
}
