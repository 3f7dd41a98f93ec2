#pragma once

#include <cstdint>
#include <vector>

#include "core/metadata.h"
#include "index/rows.h"

namespace tessera::index {

/// A document and its consecutive rows. `terms` is what to take back when it goes: pairs of (term number gap, rows that
/// have the term) as variable-length integers.
struct DocumentSlot {
  int64_t key = 0;
  Row first_row = 0;
  uint32_t rows = 0;
  bool live = false;
  core::Metadata metadata;
  std::vector<uint8_t> terms;
};

/// What is known of each row and document of a collection. A value; guarded by its collection's Access.
struct RowTable {
  std::vector<int64_t> chunk_keys;
  std::vector<uint32_t> documents;  ///< row -> number in `slots`
  std::vector<uint32_t> lengths;    ///< row -> indexed terms
  std::vector<uint64_t> live;       ///< bitmap of rows
  std::vector<DocumentSlot> slots;
  uint64_t live_rows = 0;
  uint64_t live_documents = 0;
  uint64_t live_length = 0;  ///< sum of lengths of live rows

  [[nodiscard]] Row size() const { return static_cast<Row>(chunk_keys.size()); }
  [[nodiscard]] bool is_live(Row row) const { return ((live[row / 64] >> (row % 64)) & 1) != 0; }

  void append(int64_t chunk_key, uint32_t document, uint32_t length) {
    if (chunk_keys.size() % 64 == 0) live.push_back(0);
    chunk_keys.push_back(chunk_key);
    documents.push_back(document);
    lengths.push_back(length);
  }
  /// Makes all rows of a document (in)visible at once.
  void set_live(uint32_t document, bool alive) {
    DocumentSlot& slot = slots[document];
    if (slot.live == alive) return;
    slot.live = alive;
    uint64_t length = 0;
    for (Row row = slot.first_row; row < slot.first_row + slot.rows; ++row) {
      const uint64_t bit = uint64_t{1} << (row % 64);
      live[row / 64] = alive ? live[row / 64] | bit : live[row / 64] & ~bit;
      length += lengths[row];
    }
    live_rows = alive ? live_rows + slot.rows : live_rows - slot.rows;
    live_length = alive ? live_length + length : live_length - length;
    live_documents = alive ? live_documents + 1 : live_documents - 1;
  }
};

}  // namespace tessera::index
