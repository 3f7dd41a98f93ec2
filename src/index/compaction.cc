#include <algorithm>
#include <array>
#include <limits>

#include "index/collection_index.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

constexpr Row kGone = std::numeric_limits<Row>::max();

/// The terms of a document under new numbers; the order of numbers is kept.
std::vector<uint8_t> renumber(std::span<const uint8_t> terms, const std::vector<uint32_t>& new_terms) {
  std::vector<uint8_t> out;
  VarintReader reader(terms);
  uint32_t id = 0;
  uint32_t before = 0;
  while (!reader.at_end()) {
    id += reader.next();
    append_varint(out, new_terms[id] - before);
    append_varint(out, reader.next());
    before = new_terms[id];
  }
  out.shrink_to_fit();
  return out;
}

}  // namespace

void CollectionIndex::copy_lists(const CollectionIndex& from, const std::vector<Row>& new_rows) {
  alignas(16) std::array<Row, kBlockPostings> rows;
  alignas(16) std::array<uint32_t, kBlockPostings> tfs;
  lexical_.lists.reserve(from.lexical_.live_terms);
  for (const PostingList& old : from.lexical_.lists) {
    if (old.live == 0) continue;
    PostingList& list = lexical_.lists.emplace_back();
    list.live = old.live;
    for (size_t block = 0; block < old.blocks(); ++block) {
      const size_t count = old.decode(block, rows.data(), tfs.data());
      for (size_t i = 0; i < count; ++i) {
        const Row row = new_rows[rows[i]];
        if (row != kGone) list.append(row, tfs[i], rows_.lengths[row]);
      }
    }
  }
  lexical_.live_terms = from.lexical_.live_terms;
}

std::shared_ptr<CollectionIndex> CollectionIndex::compacted() const {
  auto fresh = std::make_shared<CollectionIndex>(stemming_);
  std::vector<uint32_t> new_terms(lexical_.lists.size());
  for (uint32_t id = 0; id < lexical_.lists.size(); ++id) {
    if (lexical_.lists[id].live > 0) new_terms[id] = fresh->lexical_.dictionary.insert(lexical_.dictionary.term(id));
  }
  if (live_vectors_ > 0) fresh->vectors_.start(vectors_.dimensions(), 0);
  std::vector<Row> new_rows(rows_.size(), kGone);
  RowTable& table = fresh->rows_;
  for (const DocumentSlot& old : rows_.slots) {
    if (!old.live) continue;
    const auto document = static_cast<uint32_t>(table.slots.size());
    DocumentSlot& slot = table.slots.emplace_back();
    slot.key = old.key;
    slot.first_row = table.size();
    slot.rows = old.rows;
    slot.metadata = old.metadata;
    slot.terms = renumber(old.terms, new_terms);
    for (Row row = old.first_row; row < old.first_row + old.rows; ++row) {
      new_rows[row] = table.size();
      table.append(rows_.chunk_keys[row], document, rows_.lengths[row]);
      if (live_vectors_ > 0) fresh->vectors_.append_row(vectors_, row);
    }
    table.set_live(document, true);
    fresh->slot_of_.emplace(slot.key, document);
  }
  fresh->live_vectors_ = live_vectors_;
  fresh->copy_lists(*this, new_rows);
  return fresh;
}

}  // namespace tessera::index
