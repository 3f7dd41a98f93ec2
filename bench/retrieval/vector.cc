// Vector search side by side with hnswlib, one thread, interleaved. Run by vector.py; see there for the data.
// Usage: vector DATA QUERIES LABELS ROWS DIMENSIONS DIRECTORY [sizes] (raw floats, vectors of length 1; a cluster
// number a row); prints one line a figure. DIRECTORY is for the index's files. Before each round it prints "turn" and
// waits for a line, so that engines in other processes have their rounds in between. "sizes": scan and walk of the
// first rows only, more and more of them, instead.
#include "vector.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <string_view>

#include "index/vector/vector_index.h"
#include "vector_rounds.h"

namespace {

using namespace tessera::index;
constexpr size_t kM = 16;
constexpr size_t kConstruction = 200;
using Bits = std::vector<uint64_t>;

double resident_mb() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

template <class T>
std::vector<T> read(const char* path, size_t count) {
  std::vector<T> values(count);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) std::exit((std::fprintf(stderr, "cannot read %s\n", path), 1));
  return values;
}

struct Data {
  size_t rows = 0;
  size_t d = 0;
  std::vector<float> vectors;
  std::vector<float> queries;
  std::vector<uint32_t> labels;

  [[nodiscard]] size_t asked() const { return queries.size() / d; }
  [[nodiscard]] std::span<const float> row(size_t i) const { return {vectors.data() + i * d, d}; }
  [[nodiscard]] std::span<const float> query(size_t i) const { return {queries.data() + i * d, d}; }
};

float product(std::span<const float> a, std::span<const float> b) {
  float lanes[16] = {};
  for (size_t i = 0; i < a.size(); i += 16) {
    for (size_t lane = 0; lane < 16; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

std::vector<uint32_t> nearest(const Data& data, size_t q, const Bits* allowed) {
  std::vector<std::pair<float, uint32_t>> scores;
  for (size_t row = 0; row < data.rows; ++row) {
    if (allowed != nullptr && (((*allowed)[row / 64] >> (row % 64)) & 1) == 0) continue;
    scores.emplace_back(-product(data.row(row), data.query(q)), static_cast<uint32_t>(row));
  }
  const size_t k = std::min(kTop, scores.size());
  std::partial_sort(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(k), scores.end());
  std::vector<uint32_t> rows;
  for (size_t i = 0; i < k; ++i) rows.push_back(scores[i].second);
  return rows;
}

/// Bytes a second of one thread reading `values` in order.
double bandwidth(const std::vector<float>& values) {
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = Clock::now();
    int64_t lanes[32] = {};
    const auto* words = reinterpret_cast<const int64_t*>(values.data());
    const size_t count = values.size() / 2;
    for (size_t i = 0; i + 32 <= count; i += 32) {
      for (size_t lane = 0; lane < 32; ++lane) lanes[lane] += words[i + lane];
    }
    int64_t sum = 0;
    for (const int64_t lane : lanes) sum += lane;
    const double seconds = since(start);
    if (sum != 0x5EED) best = std::max(best, static_cast<double>(count * sizeof(int64_t)) / seconds);
  }
  return best;
}

RowSelection selection_of(const Bits& bits, bool filtered) {
  uint64_t count = 0;
  for (const uint64_t word : bits) count += static_cast<uint64_t>(std::popcount(word));
  return {bits, count, filtered, nullptr};
}

Bits everything(size_t rows) {
  Bits bits((rows + 63) / 64, ~uint64_t{0});
  if (rows % 64 != 0) bits.back() = (uint64_t{1} << (rows % 64)) - 1;
  return bits;
}

Bits random_rows(size_t rows, double share) {
  std::mt19937_64 random(11);
  Bits bits((rows + 63) / 64);
  const auto below = static_cast<uint64_t>(share * 0x1p64);
  for (size_t row = 0; row < rows; ++row) bits[row / 64] |= uint64_t{random() < below ? 1U : 0U} << (row % 64);
  return bits;
}

/// The rows of the clusters least like the query, until they are enough.
Bits far_rows(const Data& data, const std::vector<float>& centres, size_t q, double share) {
  std::vector<std::pair<float, uint32_t>> ranked;
  for (size_t c = 0; c < centres.size() / data.d; ++c) {
    ranked.emplace_back(product({centres.data() + c * data.d, data.d}, data.query(q)), static_cast<uint32_t>(c));
  }
  std::ranges::sort(ranked);
  Bits bits((data.rows + 63) / 64);
  auto left = static_cast<size_t>(share * static_cast<double>(data.rows));
  for (const auto& [score, cluster] : ranked) {
    for (size_t row = 0; row < data.rows && left > 0; ++row) {
      if (data.labels[row] != cluster) continue;
      bits[row / 64] |= uint64_t{1} << (row % 64);
      --left;
    }
  }
  return bits;
}

std::vector<float> centres_of(const Data& data) {
  std::vector<float> centres((*std::ranges::max_element(data.labels) + size_t{1}) * data.d);
  for (size_t row = 0; row < data.rows; ++row) {
    for (size_t i = 0; i < data.d; ++i) centres[data.labels[row] * data.d + i] += data.row(row)[i];
  }
  return centres;
}

void keep(const std::vector<RowHit>& hits, std::vector<uint32_t>& out) {
  out.clear();
  for (const RowHit& hit : hits) out.push_back(hit.row);
}

void filtered_figures(const Data& data, const VectorIndex& index, double unfiltered) {
  const std::vector<float> centres = centres_of(data);
  const size_t asked = std::min<size_t>(100, data.asked());
  for (const bool far : {false, true}) {
    for (const double share : {0.5, 0.1, 0.01, 0.001, 0.0001}) {
      std::vector<Bits> masks;
      std::vector<RowSelection> selections;
      Truth best;
      for (size_t q = 0; q < asked; ++q) {
        masks.push_back(far ? far_rows(data, centres, q, share) : random_rows(data.rows, share));
        best.push_back(nearest(data, q, &masks.back()));
      }
      for (const Bits& mask : masks) selections.push_back(selection_of(mask, true));
      size_t plans[8] = {};
      Engine engine = {"",
                       [&](size_t q, size_t, std::vector<uint32_t>& out) {
                         VectorWork work;
                         keep(*index.search({.vector = data.query(q), .k = kTop}, selections[q], &work), out);
                         ++plans[static_cast<size_t>(work.plan)];
                       },
                       asked};
      const double recall = engine.recall(best, 0);
      for (int round = 0; round < 9; ++round) engine.run();
      static constexpr const char* kNames[] = {"nothing", "scan", "gather", "signs", "walk", "filtered walk"};
      const auto plan = static_cast<size_t>(std::ranges::max_element(plans) - plans);
      std::printf("filter|%s|%g|%s|%.4f|%.0f|%.2f\n", far ? "anti-correlated" : "random", share, kNames[plan], recall,
                  engine.rate(), engine.rate() / unfiltered);
      std::fflush(stdout);
    }
  }
}

void maintain(VectorIndex& index) {
  const std::atomic<bool> stop = false;
  while (auto job = index.plan()) {
    job->run(stop);
    index.install(std::move(job));
  }
}

Data read_data(char** arguments) {
  Data data;
  data.rows = std::stoul(arguments[4]);
  data.d = std::stoul(arguments[5]);
  data.vectors = read<float>(arguments[1], data.rows * data.d);
  std::ifstream size(arguments[2], std::ios::ate | std::ios::binary);
  data.queries = read<float>(arguments[2], static_cast<size_t>(size.tellg()) / sizeof(float));
  data.labels = read<uint32_t>(arguments[3], data.rows);
  return data;
}

/// Both engines over the same rows, and what that cost each.
struct Built {
  std::unique_ptr<Peer> peer;  // null: not wanted
  std::unique_ptr<VectorIndex> index;
  double peer_seconds = 0;
  double seconds = 0;
  double resident = 0;  // MB, of both
  double ours = 0;      // MB of it, before saving
};

/// Side by side in turns of 1,000 vectors, so that both meet the same neighbours on a shared machine.
Built build(const Data& data, const VectorOptions& options, bool with_peer) {
  Built built;
  const double before = resident_mb();
  if (with_peer) built.peer = std::make_unique<Peer>(data.d, data.rows, kM, kConstruction);
  built.index = std::make_unique<VectorIndex>(options);
  for (size_t from = 0; from < data.rows; from += 1000) {
    const size_t to = std::min(data.rows, from + 1000);
    auto start = Clock::now();
    for (size_t row = from; with_peer && row < to; ++row) {
      built.peer->add(static_cast<uint32_t>(row), data.row(row).data());
    }
    built.peer_seconds += since(start);
    start = Clock::now();
    built.index->append(*built.index->encode({data.row(from).data(), (to - from) * data.d}, to - from, data.d));
    maintain(*built.index);
    built.seconds += since(start);
  }
  built.resident = resident_mb() - before;
  built.ours = static_cast<double>(built.index->stats().memory_bytes) / 1e6;
  return built;
}

/// Prints a line an engine; returns our rate with the smallest ef that reaches the recall.
double unfiltered_figures(const Data& data, const Built& built, const RowSelection& selection) {
  Truth best;
  for (size_t q = 0; q < data.asked(); ++q) best.push_back(nearest(data, q, nullptr));
  const auto ask = [&](const VectorQuery& query, std::vector<uint32_t>& out) {
    keep(*built.index->search(query, selection), out);
  };
  std::vector<Engine> engines;
  if (built.peer != nullptr) {
    engines.push_back({"hnswlib",
                       [&](size_t q, size_t ef, std::vector<uint32_t>& out) {
                         built.peer->search(data.query(q).data(), kTop, ef, out);
                       },
                       data.asked()});
  }
  engines.push_back({"tessera",
                     [&](size_t q, size_t ef, std::vector<uint32_t>& out) {
                       ask({.vector = data.query(q), .k = kTop, .ef = ef}, out);
                     },
                     data.asked()});
  std::vector<double> recalls;
  for (Engine& engine : engines) recalls.push_back(engine.settle(best));
  const VectorStats stats = built.index->stats();
  engines.push_back(
      {"tessera, ef by its own measure",
       [&](size_t q, size_t, std::vector<uint32_t>& out) { ask({.vector = data.query(q), .k = kTop}, out); },
       data.asked(), stats.ef});
  recalls.push_back(engines.back().recall(best, 0));
  for (int round = 0; round < 9; ++round) {
    give_turn();
    for (Engine& engine : engines) engine.run();
  }
  size_t looked_at = 0;
  for (size_t q = 0; q < data.asked(); ++q) {
    VectorWork work;
    static_cast<void>(
        built.index->search({.vector = data.query(q), .k = kTop, .ef = engines.end()[-2].ef}, selection, &work));
    looked_at += work.distances;
  }
  std::printf("limit|%.4g|%zu\n", bandwidth(data.vectors), looked_at / data.asked());
  Engine scan = {"exact scan",
                 [&](size_t q, size_t, std::vector<uint32_t>& out) {
                   ask({.vector = data.query(q), .k = kTop, .recall = 1}, out);
                 },
                 100};
  for (int round = 0; round < 3; ++round) scan.run();
  for (size_t i = 0; i < engines.size(); ++i) {
    const bool theirs = engines[i].name == "hnswlib";
    const double theirs_mb = built.resident - built.ours;
    std::printf("engine|%s|%zu|%.4f|%s|%.1f|%.1f|%.1f\n", engines[i].name.c_str(), engines[i].ef, recalls[i],
                engines[i].all_rates().c_str(), theirs ? built.peer_seconds : built.seconds,
                theirs ? theirs_mb : built.ours, theirs ? theirs_mb : static_cast<double>(stats.memory_bytes) / 1e6);
  }
  std::printf("engine|exact scan|0|1|%s|0|0|0\n", scan.all_rates().c_str());
  std::fflush(stdout);
  return engines[engines.size() - 2].rate();
}

/// Of the saved index: how long until it is there, until it has answered, and how fast it is when mapped.
bool restart_figures(const Data& data, FileStore& store, const ByteWriter& record, const RowSelection& selection,
                     const VectorOptions& options) {
  const auto start = Clock::now();
  ByteReader reader(record.bytes());
  const auto loaded = VectorIndex::load(store, reader, selection.bits, options);
  if (!loaded) return false;
  const double opened = since(start);
  Engine mapped = {"mapped",
                   [&](size_t q, size_t, std::vector<uint32_t>& out) {
                     keep(*(*loaded)->search({.vector = data.query(q), .k = kTop}, selection), out);
                   },
                   data.asked()};
  std::vector<uint32_t> out;
  mapped.search(0, 0, out);
  std::printf("restart|%.1f|%.1f\n", opened * 1e3, since(start) * 1e3);
  for (int round = 0; round < 9; ++round) mapped.run();
  std::printf("mapped|%.0f\n", mapped.rate());
  return true;
}

/// From how many rows on a graph is worth building: both ways over the first rows.
void size_figures(const Data& all) {
  for (size_t rows = 1024; rows <= std::min<size_t>(65536, all.rows); rows *= 2) {
    Data data = all;
    data.rows = rows;
    data.vectors.resize(rows * all.d);
    Truth best;
    for (size_t q = 0; q < data.asked(); ++q) best.push_back(nearest(data, q, nullptr));
    const Bits bits = everything(rows);
    const RowSelection selection = selection_of(bits, false);
    const Built built = build(data, {.m = kM, .ef_construction = kConstruction, .graph_rows = 1}, false);
    const Built scanned = build(data, {.m = kM, .ef_construction = kConstruction, .graph_rows = rows + 1}, false);
    std::vector<Engine> engines;
    for (const VectorIndex* index : {built.index.get(), scanned.index.get()}) {
      engines.push_back({"",
                         [index, &selection, &data](size_t q, size_t, std::vector<uint32_t>& out) {
                           keep(*index->search({.vector = data.query(q), .k = kTop}, selection), out);
                         },
                         data.asked()});
    }
    for (int round = 0; round < 9; ++round) {
      for (Engine& engine : engines) engine.run();
    }
    std::printf("size|%zu|%.4f|%.0f|%.0f|%.3f\n", rows, engines[0].recall(best, 0), engines[0].rate(),
                engines[1].rate(), built.seconds);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 7) return 2;
  const Data data = read_data(arguments);
  const VectorOptions options{.m = kM, .ef_construction = kConstruction};
  if (count > 7 && std::string_view(arguments[7]) == "sizes") {
    size_figures(data);
    return 0;
  }
  Built built = build(data, options, true);

  FileStore store{std::filesystem::path(arguments[6])};
  ByteWriter record;
  std::vector<FileEntry> files;
  const auto start = Clock::now();
  if (!built.index->save(store, record, files)) return 1;
  std::printf("save|%.3f\n", since(start));

  const Bits bits = everything(data.rows);
  const RowSelection selection = selection_of(bits, false);
  filtered_figures(data, *built.index, unfiltered_figures(data, built, selection));
  built.index.reset();
  return restart_figures(data, store, record, selection, options) ? 0 : 1;
}
