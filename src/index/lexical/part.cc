#include "index/lexical/part.h"

#include "index/varint.h"

namespace tessera::index {

void RemovedTerms::add_row(Row row, std::span<const uint8_t> sequence) {
  VarintReader reader(sequence);
  while (!reader.at_end()) {
    const uint32_t code = reader.next();
    if (code == 0 || code > terms_) continue;
    Entry& entry = entries_.get()[code - 1];
    if (entry.row_plus_one == row + 1) continue;
    entry.row_plus_one = row + 1;
    ++entry.count;
  }
}

void Part::append(const PreparedRows& rows) {
  live->append(rows);
  counted.resize((live->rows() + 63) / 64);
  gone.resize(counted.size());
  saved.reset();
  saved_removals.reset();
}

void Part::activate(Row row) {
  if (bit_of(counted, row) || bit_of(gone, row)) return;
  set_bit(counted, row);
  ++counted_rows;
  counted_length += length(row);
  if (live) live->count_row(row, true);
  saved.reset();
  saved_removals.reset();
}

void Part::remove(Row row) {
  if (bit_of(gone, row)) return;
  set_bit(gone, row);
  ++gone_rows;
  saved.reset();
  saved_removals.reset();
  const bool was_counted = bit_of(counted, row);
  if (was_counted) {
    counted[row / 64] &= ~(uint64_t{1} << (row % 64));
    --counted_rows;
    counted_length -= std::min<uint64_t>(counted_length, length(row));
  }
  if (live) {
    if (was_counted) live->count_row(row, false);
    return;
  }
  ++stale_rows;
  if (!removed) removed = std::make_unique<RemovedTerms>(file->terms());
  removed->add_row(row, file->sequence(row));
}

}  // namespace tessera::index
