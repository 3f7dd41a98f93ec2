#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "index/retrieval_index.h"

// What the index promises at its limits, through its public door: how long a huge document keeps searches waiting, what
// a million tiny ones cost, how soon a change is found while others arrive and segments are merged, and how soon a
// million vectors answer after a restart. Waits are those of a second thread: on a busy machine they include the
// scheduler's.
namespace tessera::index {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double share_of(std::vector<double>& sorted, double share) {
  return sorted.empty() ? 0 : sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

/// Documents of words by Zipf's law over 200,000 terms; vectors around 1,000 centres.
class Corpus {
 public:
  explicit Corpus(size_t dimensions) : dimensions_(dimensions) {}

  core::StoreChange put(int64_t key, size_t chunks, size_t words_each) {
    auto write = std::make_shared<core::DocumentWrite>();
    write->dimensions = dimensions_;
    std::string& text = write->document.text;
    for (size_t i = 0; i < chunks; ++i) {
      core::Chunk chunk;
      chunk.key = next_chunk_++;
      chunk.document_key = key;
      chunk.start = static_cast<int64_t>(text.size());
      for (size_t n = 0; n < words_each; ++n) {
        fmt::format_to(std::back_inserter(text), "term{} ", static_cast<int>(std::pow(200'000.0, share_(random_))));
      }
      chunk.end = static_cast<int64_t>(text.size());
      write->chunks.push_back(std::move(chunk));
      if (dimensions_ > 0) add_vector(write->vectors);
    }
    return change(key, core::StoreChange::Kind::put, std::move(write));
  }
  core::StoreChange remove(int64_t key) { return change(key, core::StoreChange::Kind::remove, nullptr); }
  std::vector<float> vector() {
    std::vector<float> one;
    add_vector(one);
    return one;
  }

 private:
  core::StoreChange change(int64_t key, core::StoreChange::Kind kind,
                           std::shared_ptr<const core::DocumentWrite> write) {
    core::StoreChange change;
    change.sequence = ++sequence_;
    change.collection_id = 1;
    change.document_key = key;
    change.kind = kind;
    change.document = std::move(write);
    return change;
  }
  void add_vector(std::vector<float>& out) {
    std::minstd_rand centre(static_cast<unsigned>(1 + random_() % 1000));
    std::uniform_real_distribution<float> spread(-1, 1);
    const size_t first = out.size();
    double squares = 0;
    for (size_t i = 0; i < dimensions_; ++i) {
      out.push_back(spread(centre) + 0.5F * spread(random_));
      squares += double{out.back()} * out.back();
    }
    for (size_t i = first; i < out.size(); ++i) out[i] = static_cast<float>(out[i] / std::sqrt(squares));
  }

  std::mt19937_64 random_{1};
  std::uniform_real_distribution<double> share_;
  size_t dimensions_;
  int64_t sequence_ = 0;
  int64_t next_chunk_ = 1;
};

/// An index on the disk, in a directory that goes with it.
class Subject {
 public:
  explicit Subject(IndexOptions options = {}) : options_(std::move(options)) {
    options_.directory = std::filesystem::temp_directory_path() / "tessera_index_limits_bench";
    std::filesystem::remove_all(options_.directory);
    open();
  }
  ~Subject() {
    close();
    std::filesystem::remove_all(options_.directory);
  }
  void open() { index_ = create_retrieval_index(options_, *logger_).value(); }
  void close() { index_.reset(); }
  core::RetrievalIndex& operator*() const { return *index_; }
  core::RetrievalIndex* operator->() const { return index_.get(); }
  /// Until maintenance has written, merged and linked everything.
  void settle() const {
    for (core::IndexStats before, now = index_->stats(1);; before = now) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      now = index_->stats(1);
      const bool linked = now.vectors.graph_rows + 512 > now.vectors.rows;
      if (linked && before.segments == now.segments && before.vectors.graph_rows == now.vectors.graph_rows) return;
    }
  }

 private:
  IndexOptions options_;
  std::unique_ptr<base::Logger> logger_ = base::silent_logger();
  std::unique_ptr<core::RetrievalIndex> index_;
};

/// A thread that asks for one word over and over, and the longest it waited.
class Prober {
 public:
  explicit Prober(const core::RetrievalIndex& index) : thread_([this, &index] { probe(index); }) {}
  ~Prober() {
    stop_ = true;
    thread_.join();
  }
  double take_longest() { return longest_.exchange(0); }

 private:
  void probe(const core::RetrievalIndex& index) {
    while (!stop_) {
      const auto start = Clock::now();
      benchmark::DoNotOptimize(index.search_lexical({1, "needle", {}, 10, nullptr}));
      longest_ = std::max(longest_.load(), ms_since(start));
    }
  }
  std::atomic<bool> stop_ = false;
  std::atomic<double> longest_ = 0;
  std::thread thread_;
};

/// 50 MB in 61,500 chunks: put, put again in its place, removed. Of each, the best of the rounds' longest waits.
void huge_document(benchmark::State& state) {
  constexpr size_t kChunks = 61'500;
  Corpus corpus(256);
  const core::StoreChange made = corpus.put(1, kChunks, 100);
  const Subject index;
  double waits[3] = {1e9, 1e9, 1e9};
  double took[3] = {1e9, 1e9, 1e9};
  for (auto _ : state) {
    Prober prober(*index);
    for (size_t step = 0; step < 3; ++step) {
      core::StoreChange change = corpus.remove(1);
      if (step < 2) {
        change.kind = core::StoreChange::Kind::put;
        change.document = made.document;
      }
      prober.take_longest();
      const auto start = Clock::now();
      static_cast<void>(index->apply(change));
      took[step] = std::min(took[step], ms_since(start));
      waits[step] = std::min(waits[step], prober.take_longest());
    }
  }
  state.counters["MB"] = static_cast<double>(made.document->document.text.size()) / 1e6;
  const char* const names[] = {"put", "replace", "remove"};
  for (size_t step = 0; step < 3; ++step) {
    state.counters[fmt::format("{}_ms", names[step])] = took[step];
    state.counters[fmt::format("{}_longest_wait_ms", names[step])] = waits[step];
  }
}
BENCHMARK(huge_document)->Iterations(5)->Unit(benchmark::kMillisecond);

/// A million documents of one chunk of four words each.
void tiny_documents(benchmark::State& state) {
  constexpr int64_t kDocuments = 1'000'000;
  Corpus corpus(0);
  for (auto _ : state) {
    const Subject index;
    double applying = 0;
    for (int64_t key = 1; key <= kDocuments; ++key) {
      const core::StoreChange change = corpus.put(key, 1, 4);
      const auto start = Clock::now();
      static_cast<void>(index->apply(change));
      applying += ms_since(start);
    }
    index.settle();
    const auto saving = Clock::now();
    static_cast<void>(index->apply(corpus.put(1, 1, 4)));
    static_cast<void>(index->save());
    state.counters["save_ms"] = ms_since(saving);
    const core::IndexStats stats = index->stats(1);
    std::vector<double> searches;
    for (int i = 0; i < 500; ++i) {
      const std::string text = fmt::format("term{} term{}", 10 + i, 1000 + i);
      const auto start = Clock::now();
      benchmark::DoNotOptimize(index->search_lexical({1, text, {}, 10, nullptr}));
      searches.push_back(ms_since(start));
    }
    std::ranges::sort(searches);
    state.counters["documents"] = static_cast<double>(stats.documents);
    state.counters["documents_per_s"] = static_cast<double>(kDocuments) / applying * 1e3;
    state.counters["memory_bytes_each"] = static_cast<double>(stats.memory_bytes) / static_cast<double>(kDocuments);
    state.counters["mapped_bytes_each"] = static_cast<double>(stats.mapped_bytes) / static_cast<double>(kDocuments);
    state.counters["search_p50_ms"] = share_of(searches, 0.5);
    state.counters["search_p99_ms"] = share_of(searches, 0.99);
  }
}
BENCHMARK(tiny_documents)->Iterations(1)->Unit(benchmark::kMillisecond);

/// From the call that hands a change over until another thread's search finds it, while documents keep coming, some
/// replace others, segments are frozen, written and merged; with argument 1 a second thread saves ten times a second,
/// with argument 2 moreover most replace others, so that the collection is compacted again and again.
void visible(benchmark::State& state) {
  constexpr int64_t kDocuments = 8000;
  IndexOptions options;
  options.freeze_rows = 2048;
  for (auto _ : state) {
    Corpus corpus(256);
    const Subject index(options);
    std::atomic<int64_t> given = 0;  // the document being handed over
    std::vector<Clock::time_point> starts(kDocuments + 1);
    std::vector<double> delays;
    std::map<int64_t, int64_t> names;  // document in which each was put
    std::atomic<bool> done = false;
    int saves = 0;
    std::thread saver([&] {
      for (; state.range(0) > 0 && !done; ++saves) {
        static_cast<void>(index->save());
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
    std::thread watcher([&] {
      for (int64_t key = 1; key <= kDocuments; ++key) {
        while (given < key) std::this_thread::yield();
        const std::string mark = fmt::format("mark{}", key);
        while (index->search_lexical({1, mark, {}, 1, nullptr})->empty()) continue;
        delays.push_back(ms_since(starts[static_cast<size_t>(key)]));
      }
    });
    for (int64_t key = 1; key <= kDocuments; ++key) {
      const int64_t replaced = state.range(0) == 2 ? key - kDocuments / 4 : key % 10 == 0 ? key - 5 : 0;
      core::StoreChange change = corpus.put(names.contains(replaced) ? names[replaced] : key, 5, 150);
      names[key] = change.document_key;
      auto write = std::make_shared<core::DocumentWrite>(*change.document);
      write->document.head.title = fmt::format("mark{}", key);
      if (state.range(0) < 2 && replaced > 0) write->document.head.title += fmt::format(" mark{}", replaced);
      change.document = write;
      starts[static_cast<size_t>(key)] = Clock::now();
      given = key;
      static_cast<void>(index->apply(change));
    }
    watcher.join();
    done = true;
    saver.join();
    std::ranges::sort(delays);
    state.counters["p50_ms"] = share_of(delays, 0.5);
    state.counters["p99_ms"] = share_of(delays, 0.99);
    state.counters["longest_ms"] = delays.back();
    state.counters["saves"] = saves;
    state.counters["segments"] = static_cast<double>(index->stats(1).segments);
  }
}
BENCHMARK(visible)->ArgName("kind")->Arg(0)->Arg(1)->Arg(2)->Iterations(1)->Unit(benchmark::kMillisecond);

/// A million chunks with vectors of 256 dimensions and a graph over them; opened, and asked once both ways. The files'
/// pages are in the system's cache, as after a restart of the process alone. The graph is built in a hurry
/// (ef_construction 24), which its files do not show.
void restart(benchmark::State& state) {
  const int64_t documents = state.range(0) / 5;
  Corpus corpus(256);
  IndexOptions options;
  options.ef_construction = 24;
  Subject index(options);
  for (int64_t key = 1; key <= documents; ++key) static_cast<void>(index->apply(corpus.put(key, 5, 20)));
  index.settle();
  static_cast<void>(index->apply(corpus.put(1, 5, 20)));
  static_cast<void>(index->save());
  const std::vector<float> vector = corpus.vector();
  double opened = 0;
  for (auto _ : state) {
    state.PauseTiming();
    index.close();
    state.ResumeTiming();
    const auto start = Clock::now();
    index.open();
    opened = ms_since(start);
    const auto lexical = index->search_lexical({1, "term10 term500", {}, 10, nullptr});
    const auto dense = index->search_dense({1, "", vector, 10, nullptr});
    if (!lexical || !dense || dense->size() != 10) state.SkipWithError("no answer");
  }
  const core::IndexStats stats = index->stats(1);
  state.counters["opened_ms"] = opened;
  state.counters["vectors"] = static_cast<double>(stats.vectors.rows);
  state.counters["in_graph"] = static_cast<double>(stats.vectors.graph_rows);
  state.counters["memory_MB"] = static_cast<double>(stats.memory_bytes) / 1e6;
  state.counters["mapped_MB"] = static_cast<double>(stats.mapped_bytes) / 1e6;
}
BENCHMARK(restart)->ArgName("chunks")->Arg(100'000)->Arg(1'000'000)->Iterations(5)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tessera::index
