#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "index/collection_index.h"
#include "index/snapshot/snapshot_file.h"

// Bytes as a file (the checksum must hold them off) and, past the checksum, as a collection, which is then searched,
// changed and compacted if it was taken as sound.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  using namespace tessera::index;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto payload = snapshot_payload(bytes, SnapshotKind::collection)) static_cast<void>(payload->size());
  SnapshotReader reader(bytes);
  const auto index = CollectionIndex::decode(reader);
  if (index == nullptr) return 0;
  static_cast<void>(index->search_lexical({1, "a b c w1 w2 w3 the of", {}, 10, nullptr}));
  const std::vector<float> query(static_cast<size_t>(index->stats().dimensions), 0.5F);
  if (!query.empty()) static_cast<void>(index->search_dense({1, "", query, 10, nullptr}));
  const auto compact = index->compacted();
  if (compact->stats().chunks != index->stats().chunks) __builtin_trap();
  for (int64_t key = -2; key < 20; ++key) index->remove(key);
  return 0;
}
