#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "index/filter/document_table.h"

// Which rows may be returned: a table of 200,000 or 1,000,000 rows, one or five to a document, with five fields:
// "group" (values of 0.01, 1, 10 and the other per cent of the documents), "year" (40), "stamp" (all different, nearly
// in order), "score" (all different, in no order), "path" (texts, all different). "first" asks a filter the table has
// not seen, "again" one that it remembers, "changed" one after a document was replaced.
namespace tessera::index {
namespace {

using Op = core::Filter::Op;

std::string group(uint64_t draw) {
  if (draw < 1) return "0.01%";
  if (draw < 101) return "1%";
  return draw < 1101 ? "10%" : "most";
}

void put(DocumentTable& table, int64_t key, size_t rows, std::mt19937_64& random) {
  core::Metadata metadata;
  metadata["group"] = group(random() % 10'000);
  metadata["year"] = static_cast<int64_t>(1985 + random() % 40);
  metadata["stamp"] = 1'700'000'000'000 + key * 1000 + static_cast<int64_t>(random() % 5000);
  metadata["score"] = static_cast<double>(random() % (uint64_t{1} << 40)) / (uint64_t{1} << 40);
  metadata["path"] = fmt::format("notes/{:03}/{:08}.md", random() % 1000, key);
  static std::vector<int64_t> chunks;
  static std::vector<uint32_t> lengths;
  chunks.assign(rows, key);
  lengths.assign(rows, 150);
  const uint32_t document = table.begin(key, metadata);
  table.append(chunks, lengths);
  table.activate(document);
}

DocumentTable& table(size_t rows, size_t each) {
  static std::map<std::pair<size_t, size_t>, std::unique_ptr<DocumentTable>> made;
  auto& table = made[{rows, each}];
  if (table == nullptr) {
    table = std::make_unique<DocumentTable>();
    std::mt19937_64 random(1);
    for (size_t i = 0; i < rows / each; ++i) put(*table, static_cast<int64_t>(i), each, random);
  }
  return *table;
}

core::Filter where(Op op, std::string field, core::MetadataValue value) {
  return {op, std::move(field), {std::move(value)}, {}};
}
core::Filter group_is(std::string share) {
  return where(Op::eq, "group", std::move(share));
}
core::Filter both(Op op, core::Filter a, core::Filter b) {
  return {op, "", {}, {std::move(a), std::move(b)}};
}

core::Filter range(std::string field, core::MetadataValue from, core::MetadataValue to) {
  return both(Op::all, where(Op::gte, field, std::move(from)), where(Op::lt, field, std::move(to)));
}

const std::vector<std::pair<std::string, core::Filter>>& filters() {
  static const std::vector<std::pair<std::string, core::Filter>> all{
      {"all", where(Op::exists, "group", true)},
      {"eq_10", group_is("10%")},
      {"eq_1", group_is("1%")},
      {"eq_0.01", group_is("0.01%")},
      {"eq_path", where(Op::eq, "path", "notes/999/00000042.md")},
      {"ne_10", where(Op::ne, "group", "10%")},
      {"in_4_years", {Op::in, "year", {int64_t{1990}, int64_t{1999}, int64_t{2003}, int64_t{2020}}, {}}},
      {"year_from", where(Op::gte, "year", int64_t{2021})},
      {"stamp_10", range("stamp", int64_t{1'700'010'000'000}, int64_t{1'700'030'000'000})},
      {"score_100", where(Op::gte, "score", 0.0)},
      {"score_10", range("score", 0.5, 0.6)},
      {"score_1", range("score", 0.5, 0.51)},
      {"score_0.01", range("score", 0.5, 0.5001)},
      {"path_from", where(Op::gte, "path", "notes/900")},
      {"and_1", both(Op::all, group_is("10%"), range("year", int64_t{2001}, int64_t{2005}))},
      {"or_11", both(Op::any, group_is("10%"), group_is("1%"))},
      {"not_or", both(Op::none, group_is("10%"), group_is("most"))}};
  return all;
}

void select(benchmark::State& state, const core::Filter& filter, std::string_view mode) {
  DocumentTable& rows = table(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)));
  std::mt19937_64 random(2);
  std::vector<core::Filter> never;  // enough that the table forgets the first before it comes again
  for (int i = 0; i < 40; ++i) {
    never.push_back(filter);
    if (i > 0) never.back() = both(Op::all, filter, where(Op::ne, "none", int64_t{i}));
  }
  size_t at = 0;
  uint64_t count = 0;
  for (auto _ : state) {
    if (mode == "changed") {
      state.PauseTiming();
      const auto key = static_cast<int64_t>(random() % 1000);
      put(rows, key, static_cast<size_t>(state.range(1)), random);
      state.ResumeTiming();
    }
    const RowSelection selection = rows.select(mode == "first" ? &never[at++ % never.size()] : &filter);
    count = selection.count;
    benchmark::DoNotOptimize(selection.bits.data());
  }
  state.counters["percent"] = 100.0 * static_cast<double>(count) / static_cast<double>(rows.live_counts().rows);
}

/// Saves or loads a table whose files are in a directory. "some": 100 of the documents changed since.
void files(benchmark::State& state, std::string_view what) {
  const auto directory = std::filesystem::temp_directory_path() / "tessera_filter_bench";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  FileStore store(directory);
  const auto rows = static_cast<size_t>(state.range(0));
  DocumentTable own;
  std::mt19937_64 random(3);
  for (size_t i = 0; i < rows; ++i) put(own, static_cast<int64_t>(i), 1, random);
  ByteWriter record;
  std::vector<FileEntry> entries;
  static_cast<void>(own.save(store, record, entries));
  static_cast<void>(store.commit("", entries));
  for (auto _ : state) {
    if (what == "load") {
      FileStore other(directory);
      ByteReader reader(record.bytes());
      benchmark::DoNotOptimize(DocumentTable::load(other, reader));
      continue;
    }
    if (what == "compact") {
      benchmark::DoNotOptimize(own.compacted());
      continue;
    }
    for (int i = 0; i < 100; ++i) put(own, static_cast<int64_t>(random() % rows), 1, random);
    record = {};
    entries.clear();
    static_cast<void>(own.save(store, record, entries));
    state.counters["files"] = static_cast<double>(entries.size());
  }
  uint64_t bytes = 0;
  for (const FileEntry& entry : entries) bytes += entry.bytes;
  state.counters["file_bytes_per_document"] = static_cast<double>(bytes) / static_cast<double>(rows);
  state.counters["memory_bytes_per_document"] = static_cast<double>(own.memory_bytes()) / static_cast<double>(rows);
  std::filesystem::remove_all(directory);
}

void fill(benchmark::State& state) {
  for (auto _ : state) {
    DocumentTable own;
    std::mt19937_64 random(3);
    for (int64_t i = 0; i < state.range(0); ++i) put(own, i, 5, random);
    benchmark::DoNotOptimize(own.live_counts());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

const bool registered = [] {
  for (const std::string mode : {"first", "again", "changed"}) {
    for (const auto& [name, filter] : filters()) {
      if (mode != "first" && name != "eq_10" && name != "and_1") continue;
      auto* const bench = benchmark::RegisterBenchmark(
          fmt::format("select_{}/{}", mode, name).c_str(),
          [chosen = filter, mode](benchmark::State& state) { select(state, chosen, mode); });
      bench->Args({200'000, 1})->Args({200'000, 5})->Args({1'000'000, 1})->Args({1'000'000, 5});
      bench->Unit(benchmark::kMicrosecond);
      if (mode == "changed") bench->Iterations(2000);
    }
  }
  for (const std::string what : {"load", "save_some", "compact"}) {
    benchmark::RegisterBenchmark(what.c_str(), [what](benchmark::State& state) { files(state, what); })
        ->Arg(200'000)
        ->Arg(1'000'000)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark("fill", fill)->Arg(50'000)->Unit(benchmark::kMillisecond);
  return true;
}();

}  // namespace
}  // namespace tessera::index
