// Any bytes as the record and the files of a vector index: refused, or an index whose searches and jobs stay within
// memory. The input: rows (2 bytes), length of the record (2), of the vectors' file (2), then the three one after the
// other; or, where the rows' highest bit is set, changes of four bytes each (place and value) to a sound record and its
// files. A record names its files by "1-vectors.tsi" and "2-graph.tsi"; sizes and checksums in it are those of the
// input, as one who damages on purpose would see to it.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>

#include "index/vector/vector_index.h"

namespace {

using namespace tessera::index;

std::string_view part(std::string_view& bytes, size_t size) {
  const std::string_view head = bytes.substr(0, std::min(size, bytes.size()));
  bytes.remove_prefix(head.size());
  return head;
}

/// Behind each name of a file, what the store knows of it.
void adopt(std::string& record, const FileEntry& entry) {
  ByteWriter name;
  name.put_string(entry.name);
  ByteWriter whole;
  whole.put_entry(entry);
  for (size_t at = record.find(name.bytes()); at != std::string::npos; at = record.find(name.bytes(), at + 1)) {
    if (at + whole.bytes().size() <= record.size()) record.replace(at, whole.bytes().size(), whole.bytes());
  }
}

struct Saved {
  std::string record;
  std::string vectors;
  std::string graph;
};

const VectorOptions kOptions{.m = 4, .ef_construction = 8, .graph_rows = 16};
constexpr size_t kSoundRows = 300;

/// 300 rows, some of them removed, all in the graph.
Saved save_one() {
  VectorIndex index(kOptions);
  std::vector<float> vectors;
  for (size_t i = 0; i < kSoundRows * 8; ++i) vectors.push_back(static_cast<float>(i * i % 23) - 11);
  index.append(*index.encode(vectors, kSoundRows, 8));
  index.append_nothing(3);
  index.remove(20, 5);
  const std::atomic<bool> stop = false;
  while (auto job = index.plan()) {
    job->run(stop);
    index.install(std::move(job));
  }
  FileStore store{std::filesystem::path()};
  ByteWriter record;
  std::vector<FileEntry> files;
  if (!index.save(store, record, files) || files.size() != 2) __builtin_trap();
  const auto bytes_of = [&](const FileEntry& entry) {
    return std::string(store.open(entry, Verify::now).value()->bytes());
  };
  return {std::string(record.bytes()), bytes_of(files[0]), bytes_of(files[1])};
}

Saved changed(Saved saved, std::string_view changes) {
  for (; changes.size() >= 4; changes.remove_prefix(4)) {
    uint32_t place = 0;
    std::memcpy(&place, changes.data(), 3);
    std::string& bytes = place % 4 == 0 ? saved.record : place % 4 == 1 ? saved.vectors : saved.graph;
    bytes[place / 4 % bytes.size()] = changes[3];
  }
  return saved;
}

void use(VectorIndex& index) {
  const size_t rows = index.rows();
  std::vector<uint64_t> bits((rows + 63) / 64, ~uint64_t{0});
  if (rows % 64 != 0) bits.back() = (uint64_t{1} << (rows % 64)) - 1;
  const RowSelection all{bits, rows, false, nullptr};
  const RowSelection filtered{bits, rows, true, nullptr};
  const std::vector<float> query(index.dimensions(), 1.0F);
  for (const size_t k : {size_t{3}, rows}) {
    static_cast<void>(index.search({.vector = query, .k = k, .ef = 8}, all));
    static_cast<void>(index.search({.vector = query, .k = k, .ef = 8}, filtered));
    static_cast<void>(index.search({.vector = query, .k = k, .recall = 1}, all));
  }
  const std::atomic<bool> stop = false;
  for (const auto remove : {false, true}) {
    if (remove && rows > 40) index.remove(static_cast<Row>(rows / 3), rows / 2);
    if (auto job = index.plan()) {
      job->run(stop);
      index.install(std::move(job));
    }
  }
  RowMap map(rows);
  Row next = 0;
  for (size_t row = 0; row < rows; ++row) map[row] = row % 3 == 0 ? kGoneRow : next++;
  static_cast<void>(index.compacted(map));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Saved sound = save_one();
  ByteReader head({reinterpret_cast<const char*>(data), size});
  const auto first = head.get<uint16_t>();
  const size_t record_bytes = head.get<uint16_t>();
  const size_t vectors_bytes = size_t{head.get<uint16_t>()} * 16;
  if (!head.good()) return 0;
  std::string_view rest({reinterpret_cast<const char*>(data) + 6, size - 6});
  const bool changes = (first & 0x8000) != 0;
  const size_t rows = changes ? kSoundRows + 3 : first % 2048;
  Saved input;
  if (changes) {
    input = changed(sound, rest.substr(0, 64));
  } else {
    input.record = part(rest, record_bytes);
    input.vectors = part(rest, vectors_bytes);
    input.graph = rest;
  }
  FileStore store{std::filesystem::path()};
  std::vector<std::shared_ptr<const IndexFile>> files;
  for (const auto& [kind, bytes] : {std::pair("vectors", &input.vectors), std::pair("graph", &input.graph)}) {
    const auto writer = store.create(kind);
    writer->put_array(std::span<const char>(*bytes));
    auto file = writer->finish();
    if (!file) return 0;
    files.push_back(std::move(*file));
    adopt(input.record, files.back()->entry());
  }
  const std::vector<uint64_t> live((rows + 63) / 64, 0xF7FFFFFFFFFFFFFFU);
  ByteReader reader(input.record);
  auto index = VectorIndex::load(store, reader, live, kOptions);
  if (changes && rest.size() < 4 && !index) __builtin_trap();  // nothing was changed
  if (index) use(**index);
  return 0;
}
