#include <cstddef>
#include <cstdint>
#include <string_view>

#include "index/filter/document_table.h"

// Bytes as a file of documents whose checksum fits. A table that was taken as sound is then asked, changed, compacted
// and saved again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  using namespace tessera::index;
  using Op = core::Filter::Op;
  FileStore store("");
  const auto writer = store.create("documents");
  writer->put_array(std::span(data, size));
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
