// Any bytes as a lexical segment and its record: what opens must be searched, merged and compacted without harm.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "index/lexical/segmented_index.h"

using namespace tessera::index;

namespace {

std::shared_ptr<const IndexFile> file_of(FileStore& files, std::string_view kind, std::string_view bytes) {
  const auto writer = files.create(kind);
  writer->put_array(std::span<const char>(bytes));
  return writer->finish().value();
}

/// A sound segment, for the fuzzer's input to change a few bytes of.
std::string sound_segment() {
  FileStore files{std::filesystem::path()};
  SegmentedIndex index(files);
  std::string text;
  for (int row = 0; row < 300; ++row) {
    text =
        "every row has this, some have number" + std::to_string(row % 7) + " and one has number" + std::to_string(row);
    const RowText one{{text, "", ""}};
    index.append(prepare_rows({&one, 1}, false));
  }
  index.activate(0, 300);
  ByteWriter record;
  std::vector<FileEntry> entries;
  static_cast<void>(index.save(record, entries));
  return std::string(files.open(entries[0], Verify::later).value()->bytes());
}

void use(SegmentedIndex& index) {
  const Row rows = index.rows();
  const std::vector<uint64_t> bits((size_t{rows} + 63) / 64, ~uint64_t{0});
  for (const bool filtered : {false, true}) {
    const RowSelection selection{bits, rows, filtered, nullptr};
    for (const auto* text :
         {"every row some number5", "+every num*", "\"has this\" number299", "-one row nu* a*", "+n* has"}) {
      for (const Pruning pruning : {Pruning::on, Pruning::off}) {
        for (const RowHit& hit : index.search(parse_query(text, false), 5, selection, pruning)) {
          if (hit.row >= (size_t{rows} + 63) / 64 * 64) __builtin_trap();
        }
      }
    }
  }
  if (rows > 2) index.remove(1, 2);
  static_cast<void>(index.rows_with("number5"));
  RowMap map(rows);
  for (Row row = 0; row < rows; ++row) map[row] = row;
  if (rows > 0) map[0] = kGoneRow;
  for (Row row = 1; row < rows; ++row) map[row] = row - 1;
  static_cast<void>(index.compacted(map));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string sound = sound_segment();
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  FileStore files{std::filesystem::path()};
  std::string bytes;
  std::string_view removals;
  if ((data[0] & 1) != 0) {  // changes to a sound segment: place and value, three bytes and one
    bytes = sound;
    for (size_t at = 1; at + 4 <= size && at < 64; at += 4) {
      const size_t place = (size_t{data[at]} | size_t{data[at + 1]} << 8 | size_t{data[at + 2]} << 16) % bytes.size();
      bytes[bytes.size() - 1 - place] = static_cast<char>(data[at + 3]);
    }
    if (size > 64) removals = input.substr(64);
  } else {
    bytes = input.substr(1);
  }
  const auto segment = file_of(files, "lexical", bytes);
  uint32_t rows = 0;
  if (bytes.size() > 24) std::memcpy(&rows, bytes.data() + bytes.size() - 20, sizeof rows);
  ByteWriter record;
  record.put(uint32_t{1});
  record.put(uint32_t{1});
  record.put_entry(segment->entry());
  record.put(rows);
  record.put(uint64_t{rows} * 3);
  record.put(static_cast<uint8_t>(removals.empty() ? 0 : 1));
  std::shared_ptr<const IndexFile> removals_file;
  if (!removals.empty()) {
    std::string whole = "TSREMOVD";
    whole.append(reinterpret_cast<const char*>(&rows), 4);
    whole.append(4, '\0');
    whole.append(removals);
    removals_file = file_of(files, "removals", whole);
    record.put_entry(removals_file->entry());
  }
  ByteReader reader(record.bytes());
  auto index = SegmentedIndex::load(files, reader);
  if (index && (*index)->rows() < 100000) use(**index);
  return 0;
}
