// The document store on this machine's disk: durable writes alone and together, and the read that every search makes.
//   store_bench --benchmark_filter=... ; the folder is $PWD, so run it where the data would be.
#include <benchmark/benchmark.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <stdexcept>

#include "async/blocking_pool.h"
#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

namespace tessera {
namespace {

constexpr size_t kDimensions = 256;
constexpr size_t kChunks = 8;
constexpr size_t kTextBytes = 7000;

/// A note of 7 KB in 8 chunks with their vectors.
core::DocumentWrite note(int64_t number) {
  base::SeededRandom random(static_cast<uint64_t>(number));
  core::DocumentWrite write;
  write.collection = {.tenant = {"default"}, .name = "notes"};
  auto& head = write.document.head;
  head.document_id = "note-" + std::to_string(random.below(1'000'000'000)) + "-" + std::to_string(number);
  head.title = "Note " + std::to_string(number);
  head.content_type = "text/markdown";
  head.source = "/vault/notes/" + head.document_id + ".md";
  head.metadata = {{"tags", std::vector<std::string>{"one", "two"}}, {"year", int64_t{2025}}};
  head.content_hash = base::content_hash(head.document_id);
  auto& text = write.document.text;
  while (text.size() < kTextBytes) {
    for (size_t n = 2 + random.below(8); n > 0; --n) text += static_cast<char>('a' + random.below(26));
    text += ' ';
  }
  for (size_t i = 0; i < kChunks; ++i) {
    const size_t step = text.size() / kChunks;
    write.chunks.push_back({.key = 0,
                            .document_key = 0,
                            .ordinal = 0,
                            .start = static_cast<int64_t>(i * step),
                            .end = static_cast<int64_t>(std::min(text.size(), (i + 1) * step + 60)),
                            .tokens = 256,
                            .heading_path = "Notes > Part " + std::to_string(i)});
  }
  write.dimensions = kDimensions;
  write.vectors.resize(kChunks * kDimensions);
  for (float& value : write.vectors) value = static_cast<float>(random.below(2000)) / 16000.0F - 0.0625F;
  return write;
}

/// A fresh database in the working folder.
struct Box {
  Box() {
    std::filesystem::remove_all(folder);
    open();
  }
  ~Box() {
    store.reset();
    std::filesystem::remove_all(folder);
  }
  void open() {
    store.reset();
    auto opened = store::SqliteStore::open({.path = folder + "/tessera.db"}, pool, clock, *logger);
    if (!opened) throw std::runtime_error(opened.error().message);
    store = *std::move(opened);
  }
  const std::string folder = "store_bench.tmp";
  base::SystemClock clock;
  std::unique_ptr<base::Logger> logger = base::silent_logger();
  async::BlockingPool pool{async::BlockingPoolOptions{.name = "blocking", .threads = 2}};
  std::unique_ptr<store::SqliteStore> store;
};

/// Puts `count` notes from `writers` coroutines on one loop.
void put_all(core::DocumentStore& documents, std::vector<core::DocumentWrite> notes, size_t writers) {
  boost::asio::io_context context(1);
  async::TaskScope scope(context.get_executor());
  size_t next = 0;
  for (size_t w = 0; w < writers; ++w) {
    scope.spawn([&]() -> async::Task<> {
      while (next < notes.size()) {
        auto receipt = co_await documents.put_document(std::move(notes[next++]));
        if (!receipt) throw std::runtime_error(receipt.error().message + receipt.error().detail);
      }
    });
  }
  context.run();
}

void BM_PutOne(benchmark::State& state) {
  Box box;
  int64_t number = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto write = note(number++);
    state.ResumeTiming();
    auto receipt = async::sync_wait(box.store->documents().put_document(std::move(write)));
    if (!receipt) state.SkipWithError(receipt.error().message.c_str());
  }
}
BENCHMARK(BM_PutOne)->Unit(benchmark::kMicrosecond)->MeasureProcessCPUTime()->UseRealTime();

/// What the store adds to a cold start: with a new file (0), and with one of 1,000 notes (1).
void BM_Open(benchmark::State& state) {
  Box box;
  if (state.range(0) == 1) {
    std::vector<core::DocumentWrite> notes;
    for (int64_t i = 0; i < 1000; ++i) notes.push_back(note(i));
    put_all(box.store->documents(), std::move(notes), 64);
  }
  for (auto _ : state) {
    state.PauseTiming();
    box.store.reset();
    if (state.range(0) == 0) std::filesystem::remove_all(box.folder);
    state.ResumeTiming();
    box.open();
  }
}
BENCHMARK(BM_Open)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->MeasureProcessCPUTime()->UseRealTime();

/// The argument: how many puts are under way at a time.
void BM_Put10000(benchmark::State& state) {
  constexpr int64_t kNotes = 10'000;
  for (auto _ : state) {
    state.PauseTiming();
    auto box = std::make_unique<Box>();
    std::vector<core::DocumentWrite> notes;
    for (int64_t i = 0; i < kNotes; ++i) notes.push_back(note(i));
    state.ResumeTiming();
    put_all(box->store->documents(), std::move(notes), static_cast<size_t>(state.range(0)));
    state.PauseTiming();
    box.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kNotes);
}
BENCHMARK(BM_Put10000)
    ->Arg(16)
    ->Arg(64)
    ->Arg(256)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Iterations(1);

/// Five passages of 10,000 notes, as a search loads them, in one event loop.
void BM_LoadPassages(benchmark::State& state) {
  Box box;
  std::vector<core::DocumentWrite> notes;
  for (int64_t i = 0; i < 10'000; ++i) notes.push_back(note(i));
  put_all(box.store->documents(), std::move(notes), 64);
  box.open();
  base::SeededRandom random(1);
  boost::asio::io_context context(1);
  async::TaskScope scope(context.get_executor());
  const core::Tenant tenant{"default"};
  scope.spawn([&]() -> async::Task<> {
    for (auto _ : state) {
      std::vector<int64_t> keys;
      for (int64_t i = 0; i < state.range(0); ++i) keys.push_back(1 + static_cast<int64_t>(random.below(80'000)));
      auto passages = co_await box.store->documents().load_passages(tenant, std::move(keys));
      if (!passages || passages->size() != static_cast<size_t>(state.range(0))) {
        state.SkipWithError("passages are missing");
        co_return;
      }
    }
  });
  context.run();
}
BENCHMARK(BM_LoadPassages)
    ->Arg(1)
    ->Arg(5)
    ->Arg(20)
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// Everything an index needs at start, from nothing.
void BM_Replay10000(benchmark::State& state) {
  Box box;
  std::vector<core::DocumentWrite> notes;
  for (int64_t i = 0; i < 10'000; ++i) notes.push_back(note(i));
  put_all(box.store->documents(), std::move(notes), 64);
  for (auto _ : state) {
    int64_t told = 0;
    auto done = box.store->documents().replay(0, [&](const core::StoreChange&) { ++told; });
    if (!done || told != 10'000) state.SkipWithError("documents are missing");
  }
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(BM_Replay10000)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

void BM_PutOneInMemory(benchmark::State& state) {
  base::SystemClock clock;
  store::MemoryStore memory(clock);
  int64_t number = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto write = note(number++ % 10'000);
    state.ResumeTiming();
    auto receipt = async::sync_wait(memory.documents().put_document(std::move(write)));
    benchmark::DoNotOptimize(receipt);
  }
}
BENCHMARK(BM_PutOneInMemory)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tessera
