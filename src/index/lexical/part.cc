#include "index/lexical/part.h"

#include <algorithm>
#include <cstring>

#include "index/lexical/file_list.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

constexpr Row kSettledAtOnce = 512;      // rows; about 0.2 ms
constexpr size_t kUnsettledRanges = 64;  // each costs a search some 100 ns a term

uint32_t postings_in(const LiveSegment::List& list, RowRange range) {
  const auto below = [&](Row row) {
    return std::ranges::partition_point(std::span(list.postings, list.count),
                                        [&](uint32_t word) { return word >> 16 < row; }) -
           std::span(list.postings, list.count).begin();
  };
  return static_cast<uint32_t>(below(range.end) - below(range.first));
}

}  // namespace

RemovedTerms::RemovedTerms(const RemovedTerms& other)
    : entries_(allocate(other.terms_)), terms_(other.terms_), turn_(other.turn_) {
  for (uint32_t term = 0; term < terms_; ++term) {
    const Entry& entry = other.entries_.get()[term];
    if (entry.turn != 0 || entry.count != 0) entries_.get()[term] = entry;
  }
}

void RemovedTerms::extend(uint32_t terms) {
  if (terms <= terms_) return;
  Entries more = allocate(terms);
  std::memcpy(more.get(), entries_.get(), size_t{terms_} * sizeof(Entry));
  entries_ = std::move(more);
  terms_ = terms;
}

void RemovedTerms::change(std::span<const uint8_t> sequence, int by) {
  ++turn_;
  VarintReader reader(sequence);
  while (!reader.at_end()) {
    const uint32_t code = reader.next();
    if (code == 0 || code > terms_) continue;
    Entry& entry = entries_.get()[code - 1];
    if (entry.turn == turn_) continue;
    entry.turn = turn_;
    entry.count += static_cast<uint32_t>(by);
  }
}

uint32_t Part::rows_with(uint32_t number) const {
  const uint32_t all = live ? live->rows_with(number) : file->info(number).df;
  uint32_t out = removed ? removed->count(number) : 0;
  if (live) {
    for (const RowRange range : unsettled) out += postings_in(live->list(number), range);
  } else if (!unsettled.empty()) {
    const FileList list(*file, number);
    for (const RowRange range : unsettled) out += list.postings_below(range.end) - list.postings_below(range.first);
  }
  return all - std::min(all, out);
}

RemovedTerms& Part::removed_terms() {
  if (!removed) removed = std::make_unique<RemovedTerms>(terms());
  if (removed->terms() < terms()) removed->extend(live->open_first() < live->rows() ? terms() * 2 : terms());
  return *removed;
}

std::unique_ptr<RemovedTerms> Part::settled() const {
  auto copy = removed ? std::make_unique<RemovedTerms>(*removed) : std::make_unique<RemovedTerms>(terms());
  for (const RowRange range : unsettled) {
    for (Row row = range.first; row < range.end; ++row) copy->add_row(sequence(row));
  }
  return copy;
}

uint64_t Part::length_of(RowRange range) const {
  uint64_t sum = 0;
  for (Row row = range.first; row < range.end; ++row) sum += length(row);
  return sum;
}

void Part::append(const PreparedRows& rows) {
  live->append(rows);
  counted.resize((live->rows() + 63) / 64);
  gone.resize(counted.size());
  saved.reset();
  saved_removals.reset();
}

/// Open rows that are not activated together: from now on each is taken back on its own.
void Part::close_open_rows() {
  const Row first_open = live->open_first();
  RemovedTerms& terms = removed_terms();
  for (Row row = first_open; row < live->rows(); ++row) terms.add_row(live->sequence(row));
  live->close();
}

void Part::activate(RowRange range) {
  saved.reset();
  saved_removals.reset();
  if (live && live->open_first() < live->rows()) {
    if (range.first == live->open_first() && range.end == live->rows()) {
      live->close();
      set_bits(counted, range);
      counted_rows += range.size();
      counted_length += length_of(range);
      return;
    }
    if (range.end > live->open_first()) close_open_rows();
  }
  for (Row row = range.first; row < range.end; ++row) {
    if (bit_of(counted, row) || bit_of(gone, row)) continue;
    set_bit(counted, row);
    ++counted_rows;
    counted_length += length(row);
    if (live) removed_terms().take_back_row(live->sequence(row));
  }
}

void Part::remove(RowRange range) {
  saved.reset();
  saved_removals.reset();
  if (live && live->open_first() < live->rows() && range.end > live->open_first()) close_open_rows();
  if (range.size() > kSettledAtOnce && count_bits(counted, range) == range.size() &&
      unsettled.size() < kUnsettledRanges) {
    clear_bits(counted, range);
    set_bits(gone, range);
    counted_rows -= range.size();
    gone_rows += range.size();
    counted_length -= std::min(counted_length, length_of(range));
    if (file) stale_rows += range.size();
    if (!unsettled.empty() && unsettled.back().end == range.first) {
      unsettled.back().end = range.end;
    } else {
      unsettled.push_back(range);
    }
    return;
  }
  for (Row row = range.first; row < range.end; ++row) {
    if (bit_of(gone, row)) continue;
    set_bit(gone, row);
    ++gone_rows;
    if (file) ++stale_rows;
    if (!bit_of(counted, row)) {  // never activated: `removed` has it already
      if (file) removed_terms().add_row(file->sequence(row));
      continue;
    }
    counted[row / 64] &= ~(uint64_t{1} << (row % 64));
    --counted_rows;
    counted_length -= std::min<uint64_t>(counted_length, length(row));
    removed_terms().add_row(sequence(row));
  }
}

void Part::settle(Row rows) {
  while (rows > 0 && !unsettled.empty()) {
    RowRange& range = unsettled.back();
    const Row some = std::min(rows, range.size());
    RemovedTerms& terms = removed_terms();
    for (Row row = range.end - some; row < range.end; ++row) terms.add_row(sequence(row));
    range.end -= some;
    rows -= some;
    if (range.size() == 0) unsettled.pop_back();
  }
}

}  // namespace tessera::index
