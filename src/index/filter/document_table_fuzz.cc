// Any bytes as a file of documents whose checksum fits, or, after a byte that is odd, changes of three bytes each
// (place and value) to a sound one. A table that was taken as sound is then asked, changed, compacted and saved again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "index/filter/document_table.h"

namespace {

std::string sound_file() {
  using namespace tessera::index;
  FileStore store("");
  DocumentTable table;
  for (int64_t key = 1; key <= 70; ++key) {
    tessera::core::Metadata metadata{{"lang", std::string(key % 3 == 0 ? "de" : "en")}, {"year", 1990 + key % 9}};
    if (key % 4 == 0) metadata["rating"] = 0.5 * static_cast<double>(key);
    if (key % 5 == 0) metadata["tags"] = std::vector<std::string>{"a", "b" + std::to_string(key % 2)};
    if (key % 7 == 0) metadata["done"] = key % 2 == 0;
    const uint32_t document = table.begin(key, metadata);
    for (int64_t chunk = 0; chunk < key % 4; ++chunk) {
      const int64_t chunk_key = key * 4 + chunk;
      const uint32_t length = 7;
      table.append({&chunk_key, 1}, {&length, 1});
    }
    table.activate(document);
  }
  table.remove(11);
  ByteWriter record;
  std::vector<FileEntry> entries;
  if (!table.save(store, record, entries) || entries.size() != 1) __builtin_trap();
  return std::string(store.open(entries[0], Verify::now).value()->bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  using namespace tessera::index;
  using Op = core::Filter::Op;
  static const std::string sound = sound_file();
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] % 2 == 1) {
    bytes = sound;
    for (size_t at = 1; at + 3 <= size && at < 48; at += 3) {
      bytes[(data[at] + size_t{data[at + 1]} * 256) % bytes.size()] = static_cast<char>(data[at + 2]);
    }
  }
  FileStore store("");
  const auto writer = store.create("documents");
  writer->put_array(std::span<const char>(bytes));
  const auto file = writer->finish();
  ByteWriter record;
  record.put(uint32_t{1});
  record.put_entry((*file)->entry());
  ByteReader reader(record.bytes());
  const auto loaded = DocumentTable::load(store, reader);
  if (!loaded.has_value()) return 0;
  DocumentTable& table = **loaded;

  std::vector<std::string> fields{"lang"};
  for (uint32_t i = 0; i < table.documents() && i < 64; ++i) {
    for (const auto& [field, value] : table.metadata(i)) {
      const core::Filter same{Op::eq, field, {value}, {}};
      const core::Filter above{Op::gte, field, {value}, {}};
      const core::Filter both{Op::none, "", {}, {same, above}};
      for (const core::Filter* filter : {&same, &above, &both}) {
        if (table.select(filter).count > table.live_counts().rows) __builtin_trap();
      }
    }
  }
  for (int64_t key = 0; key < 8; ++key) {
    const uint32_t document = table.begin(key, {{"lang", "de"}, {"year", int64_t{2000}}});
    const int64_t chunk = key;
    const uint32_t length = 5;
    table.append({&chunk, 1}, {&length, 1});
    table.activate(document);
    table.remove(key - 3);
  }
  if (table.compacted().table->live_counts() != table.live_counts()) __builtin_trap();
  ByteWriter again;
  std::vector<FileEntry> entries;
  if (!table.save(store, again, entries).has_value()) __builtin_trap();
  ByteReader second(again.bytes());
  const auto reloaded = DocumentTable::load(store, second);
  if (!reloaded.has_value() || (*reloaded)->live_counts() != table.live_counts()) __builtin_trap();
  return 0;
}
