#pragma once

#include <cstdint>
#include <span>

#include "index/rows.h"

namespace tessera::index {

/// How documents lie in rows: each has the rows up to the first of the next.
struct RowLayout {
  std::span<const Row> first_rows;   ///< of each document, and the end of the last
  std::span<const uint64_t> starts;  ///< a bit a row: a document begins here
  bool empties = false;              ///< some documents have no rows
};

/// Sets the rows of the documents whose bits are set in `documents`, the words of which begin with document
/// `first_document` (a multiple of 64). Bits of documents that do not exist are 0. `portable`: without the
/// instructions this processor may have, for tests.
void spread(const RowLayout& layout, uint32_t first_document, std::span<const uint64_t> documents, uint64_t* rows,
            bool portable = false);

/// Bits set.
uint64_t count_bits(std::span<const uint64_t> words);

/// Sets or clears `count` bits from `first` on.
void set_bits(uint64_t* words, uint64_t first, uint64_t count, bool value);

}  // namespace tessera::index
