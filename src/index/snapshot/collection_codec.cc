#include <cmath>

#include "index/collection_index.h"
#include "index/snapshot/metadata_codec.h"
#include "index/snapshot/snapshot_file.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

template <class T>
void put_vector(SnapshotWriter& writer, const std::vector<T>& values) {
  writer.put_array(std::span<const T>(values));
}

}  // namespace

void CollectionIndex::encode(SnapshotWriter& writer) const {
  writer.put(static_cast<uint8_t>(stemming_));
  writer.put(uint32_t{rows_.size()});
  writer.put(static_cast<uint32_t>(rows_.slots.size()));
  put_vector(writer, rows_.chunk_keys);
  put_vector(writer, rows_.lengths);
  for (const DocumentSlot& slot : rows_.slots) {
    writer.put(slot.key);
    writer.put(slot.rows);
    writer.put(static_cast<uint8_t>(slot.live));
    if (!slot.live) continue;
    writer.put(static_cast<uint32_t>(slot.terms.size()));
    put_vector(writer, slot.terms);
    encode_metadata(slot.metadata, writer);
  }
  writer.put(lexical_.dictionary.size());
  for (uint32_t id = 0; id < lexical_.dictionary.size(); ++id) writer.put_string(lexical_.dictionary.term(id));
  for (const PostingList& list : lexical_.lists) {
    writer.put(static_cast<uint32_t>(list.sealed().size()));
    writer.put(static_cast<uint32_t>(list.words().size()));
    writer.put(static_cast<uint32_t>(list.tail().size()));
    writer.put_array(list.sealed());
    writer.put_array(list.words());
    writer.put_array(list.tail());
  }
  writer.put(static_cast<uint32_t>(vectors_.dimensions()));
  for (const VectorBlock& block : vectors_.blocks()) {
    const size_t bytes = block.rows * vectors_.stride();
    writer.put_array(std::span<const VectorHead>(block.heads.get(), block.rows));
    writer.put_array(std::span<const uint8_t>(block.codes.get(), bytes));
    writer.put_array(std::span<const int8_t>(block.low.get(), bytes));
  }
}

bool CollectionIndex::decode_rows(SnapshotReader& reader) {
  const auto rows = reader.get<uint32_t>();
  const auto slots = reader.get<uint32_t>();
  const auto keys = reader.get_array<int64_t>(rows);
  const auto lengths = reader.get_array<uint32_t>(rows);
  if (!reader.good()) return false;
  rows_.chunk_keys.reserve(rows);
  rows_.documents.reserve(rows);
  rows_.lengths.reserve(rows);
  rows_.live.reserve(rows / 64 + 1);
  for (uint32_t document = 0; document < slots; ++document) {
    DocumentSlot& slot = rows_.slots.emplace_back();
    slot.key = reader.get<int64_t>();
    slot.first_row = rows_.size();
    slot.rows = reader.get<uint32_t>();
    const auto live = reader.get<uint8_t>();
    if (!reader.good() || live > 1 || slot.rows > rows - rows_.size()) return false;
    for (uint32_t i = 0; i < slot.rows; ++i) {
      const Row row = rows_.size();
      rows_.append(keys[row], document, lengths[row]);
    }
    if (live == 0) continue;
    slot.terms = reader.get_array<uint8_t>(reader.get<uint32_t>());
    if (!decode_metadata(reader, slot.metadata)) return false;
    rows_.set_live(document, true);
    if (!slot_of_.emplace(slot.key, document).second) return false;
  }
  return rows_.size() == rows;
}

bool CollectionIndex::decode_terms(SnapshotReader& reader) {
  const auto terms = reader.get<uint32_t>();
  for (uint32_t id = 0; id < terms; ++id) {
    const std::string_view term = reader.get_string();
    if (!reader.good() || lexical_.dictionary.insert(term) != id) return false;
  }
  lexical_.lists.resize(terms);
  for (PostingList& list : lexical_.lists) {
    const auto blocks = reader.get<uint32_t>();
    const auto words = reader.get<uint32_t>();
    const auto tail = reader.get<uint32_t>();
    const auto sealed = reader.get_array<PostingList::Block>(blocks);
    const auto packed = reader.get_array<uint32_t>(words);
    const auto plain = reader.get_array<Posting>(tail);
    if (!reader.good() || !list.assign(sealed, packed, plain, rows_.lengths)) return false;
  }
  return count_live_terms();
}

/// Works out, from the live documents' terms, how many live rows have each term.
bool CollectionIndex::count_live_terms() {
  for (const DocumentSlot& slot : rows_.slots) {
    VarintReader reader(slot.terms);
    uint64_t id = 0;
    while (!reader.at_end()) {
      id += reader.next();
      const uint32_t count = reader.next();
      if (!reader.good() || id >= lexical_.lists.size() || count == 0 || count > slot.rows) return false;
      PostingList& list = lexical_.lists[id];
      if (list.live == 0) ++lexical_.live_terms;
      list.live += count;
      if (list.live > list.size() || list.live > rows_.live_rows) return false;
    }
  }
  return true;
}

bool CollectionIndex::decode_vectors(SnapshotReader& reader) {
  const auto dimensions = reader.get<uint32_t>();
  if (!reader.good() || dimensions > kDimensionsMax) return false;
  if (dimensions == 0) return true;
  vectors_.start(dimensions, 0);
  while (vectors_.size() < rows_.size()) {
    const size_t rows = std::min<size_t>(kVectorBlockRows, rows_.size() - vectors_.size());
    const auto heads = reader.get_array<VectorHead>(rows);
    const std::string_view codes = reader.take(rows * vectors_.stride());
    const std::string_view low = reader.take(rows * vectors_.stride());
    if (!reader.good()) return false;
    for (const VectorHead& head : heads) {
      if (!(head.scale >= 0 && head.error >= 0 && head.scale <= 1 && head.error <= 1)) return false;
    }
    vectors_.append_raw(reinterpret_cast<const uint8_t*>(codes.data()), reinterpret_cast<const int8_t*>(low.data()),
                        heads.data(), rows);
  }
  for (const DocumentSlot& slot : rows_.slots) {
    if (slot.live) live_vectors_ += vectors_.count(slot.first_row, slot.rows);
  }
  return true;
}

std::shared_ptr<CollectionIndex> CollectionIndex::decode(SnapshotReader& reader) {
  const auto stemming = reader.get<uint8_t>();
  if (!reader.good() || stemming > 1) return nullptr;
  auto index = std::make_shared<CollectionIndex>(stemming == 1);
  if (!index->decode_rows(reader) || !index->decode_terms(reader) || !index->decode_vectors(reader)) return nullptr;
  return reader.at_end() ? index : nullptr;
}

}  // namespace tessera::index
