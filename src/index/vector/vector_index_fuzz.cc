// Any bytes as the record and the files of a vector index: refused, or an index whose searches and jobs stay within
// memory. The input: rows (2 bytes), length of the record (2), of the vectors' file (2), then the three one after the
// other. A record names its files by "1-a.tsi" and "2-b.tsi"; sizes and checksums in it are those of the input, as one
// who damages on purpose would see to it.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader head({reinterpret_cast<const char*>(data), size});
  const size_t rows = head.get<uint16_t>() % 2048;
  const size_t record_bytes = head.get<uint16_t>();
  const size_t extent_bytes = size_t{head.get<uint16_t>()} * 16;
  if (!head.good()) return 0;
  std::string_view rest({reinterpret_cast<const char*>(data) + 6, size - 6});
  std::string record(part(rest, record_bytes));
  FileStore store{std::filesystem::path()};
  std::vector<std::shared_ptr<const IndexFile>> files;
  for (const std::string_view bytes : {part(rest, extent_bytes), rest}) {
    const auto writer = store.create(files.empty() ? "a" : "b");
    writer->put_array(std::span<const char>(bytes));
    auto file = writer->finish();
    if (!file) return 0;
    files.push_back(std::move(*file));
    adopt(record, files.back()->entry());
  }
  const std::vector<uint64_t> live((rows + 63) / 64, 0xF7FFFFFFFFFFFFFFU);
  ByteReader reader(record);
  auto index = VectorIndex::load(store, reader, live, {.m = 4, .ef_construction = 8, .graph_rows = 16});
  if (!index) return 0;
  const size_t all_rows = (*index)->rows();
  std::vector<uint64_t> bits((all_rows + 63) / 64, ~uint64_t{0});
  if (all_rows % 64 != 0) bits.back() = (uint64_t{1} << (all_rows % 64)) - 1;
  const RowSelection all{bits, all_rows, false, nullptr};
  const std::vector<float> query((*index)->dimensions(), 1.0F);
  for (const size_t k : {size_t{3}, all_rows}) {
    static_cast<void>((*index)->search({.vector = query, .k = k, .ef = 8}, all));
    static_cast<void>((*index)->search({.vector = query, .k = k, .recall = 1}, all));
  }
  const std::atomic<bool> stop = false;
  if (auto job = (*index)->plan()) {
    job->run(stop);
    (*index)->install(std::move(job));
  }
  RowMap map(all_rows);
  Row next = 0;
  for (size_t row = 0; row < all_rows; ++row) map[row] = row % 3 == 0 ? kGoneRow : next++;
  static_cast<void>((*index)->compacted(map));
  return 0;
}
