// Any bytes as a manifest, and as the records in one whose checksum fits, over an index's own files: refused as damage,
// or an index that answers, changes and saves. The input: a byte that chooses, then changes of three bytes each (place
// and value) to a sound payload, or the bytes of the file or of the payload.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "index/files/file_store.h"
#include "index/retrieval_index.h"

namespace {

using namespace tessera;
using namespace tessera::index;
namespace fs = std::filesystem;

struct Saved {
  fs::path directory = fs::temp_directory_path() / ("manifest_fuzz_" + std::to_string(::getpid()));
  std::map<std::string, std::string> files;
  std::vector<FileEntry> entries;  // names only
  std::string payload;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

core::StoreChange put(int64_t sequence, int64_t collection) {
  auto write = std::make_shared<core::DocumentWrite>();
  write->document.text = "every word here is found, number" + std::to_string(sequence % 7);
  write->document.head.metadata["lang"] = std::string("de");
  write->dimensions = 16;
  for (int64_t i = 0; i < 8; ++i) {
    write->chunks.push_back({.key = sequence * 8 + i,
                             .document_key = sequence,
                             .end = static_cast<int64_t>(write->document.text.size()),
                             .heading_path = ""});
    for (int64_t at = 0; at < 16; ++at) write->vectors.push_back(static_cast<float>((sequence * at + i * 3) % 11) - 5);
  }
  core::StoreChange change;
  change.sequence = sequence;
  change.collection_id = collection;
  change.document_key = sequence;
  change.document = std::move(write);
  return change;
}

IndexOptions options(const Saved& saved) {
  IndexOptions options;
  options.directory = saved.directory;
  options.m = 4;
  options.ef_construction = 8;
  options.freeze_rows = 64;
  options.graph_rows = 64;
  return options;
}

Saved save_one() {
  Saved saved;
  fs::remove_all(saved.directory);
  {
    const auto logger = base::silent_logger();
    auto index = create_retrieval_index(options(saved), *logger).value();
    for (int64_t i = 1; i <= 30; ++i) static_cast<void>(index->apply(put(i, 1 + i % 2)));
    if (!index->save()) __builtin_trap();
  }
  FileStore store(saved.directory);
  saved.payload = store.read_manifest().value();  // removes what it does not name
  for (const auto& file : fs::directory_iterator(saved.directory)) {
    const std::string name = file.path().filename().string();
    saved.files[name] = read_file(file.path());
    if (name == "MANIFEST") continue;
    saved.entries.emplace_back();
    saved.entries.back().name = name;
  }
  return saved;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Saved saved = save_one();
  if (size == 0) return 0;
  fs::remove_all(saved.directory);  // what the last run left may bear the same names
  fs::create_directories(saved.directory);
  for (const auto& [name, bytes] : saved.files) std::ofstream(saved.directory / name, std::ios::binary) << bytes;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 == 0) {
    std::ofstream(saved.directory / "MANIFEST", std::ios::binary | std::ios::trunc) << input;
  } else {
    std::string payload(input);
    if (data[0] % 4 != 1) {
      payload = saved.payload;
      for (size_t at = 0; at + 3 <= input.size() && at < 24; at += 3) {
        const size_t place = static_cast<uint8_t>(input[at]) + size_t{static_cast<uint8_t>(input[at + 1])} * 256;
        payload[place % payload.size()] = input[at + 2];
      }
    }
    FileStore store(saved.directory);
    if (!store.commit(payload, saved.entries)) __builtin_trap();
  }
  const auto logger = base::silent_logger();
  auto index = create_retrieval_index(options(saved), *logger).value();
  const std::vector<float> vector(16, 1.0F);
  for (const int64_t collection : {1, 2}) {
    static_cast<void>(index->search_lexical({collection, "word number3", {}, 5, nullptr}));
    static_cast<void>(index->search_dense({collection, "", vector, 5, nullptr}));
    static_cast<void>(index->stats(collection));
  }
  const int64_t next = index->applied_sequence();
  if (next < 1'000'000) {
    static_cast<void>(index->apply(put(next + 1, 1)));
    if (!index->save()) __builtin_trap();
  }
  return 0;
}
