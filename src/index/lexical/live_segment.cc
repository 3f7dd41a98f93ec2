#include "index/lexical/live_segment.h"

#include <algorithm>
#include <cstring>

#include "index/lexical/bm25.h"
#include "index/lexical/term_key.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

constexpr size_t kVarintMax = 5;

uint8_t* put_varint(uint8_t* out, uint32_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<uint8_t>(value);
  return out;
}

}  // namespace

LiveSegment::LiveSegment(Row first_row, float reference_length, size_t terms)
    : first_row_(first_row),
      reference_length_(std::max(reference_length, 1.0F)),
      slots_(std::bit_ceil(std::max<size_t>(64, terms * 3 / 2))) {}

size_t LiveSegment::memory_bytes() const {
  constexpr size_t kMapNode = 40;
  return slots_.capacity() * sizeof(Slot) + term_info_.memory_bytes() + term_bytes_.memory_bytes() +
         bytes_.memory_bytes() + pool_.memory_bytes() + row_info_.memory_bytes() + sequences_.memory_bytes() +
         long_bytes_ + many_.size() * kMapNode + numbers_.capacity() * sizeof(uint32_t);
}

bool LiveSegment::has_room(const PreparedRows& rows) const {
  size_t bytes = 0;
  for (const PreparedRows::Term& term : rows.terms()) bytes += term.size;
  constexpr size_t kBytesMax = size_t{1} << 31;
  return row_info_.size() + rows.rows() <= kRowsMax && bytes_.size() + bytes * 2 < kBytesMax &&
         pool_.size() < kPoolWordsMax && sequences_.size() + long_bytes_ < kBytesMax;
}

std::vector<LiveSegment::Slot> LiveSegment::grown_table(size_t slots) const {
  std::vector<Slot> table(slots);
  const size_t mask = slots - 1;
  for (const Slot& slot : slots_) {
    if (slot.number_plus_one == 0) continue;
    size_t at = slot.hash & mask;
    while (table[at].number_plus_one != 0) at = (at + 1) & mask;
    table[at] = slot;
  }
  return table;
}

void LiveSegment::prepare_room(const PreparedRows& rows) {
  const size_t wanted = (term_info_.size() + rows.terms().size()) * 3 / 2;
  if (wanted > slots_.size()) next_slots_ = grown_table(std::bit_ceil(wanted));
}

void LiveSegment::append(const PreparedRows& rows) {
  if (next_slots_.empty()) prepare_room(rows);
  if (!next_slots_.empty()) {
    slots_.swap(next_slots_);
    next_slots_ = {};
  }
  const std::span<const PreparedRows::Term> terms = rows.terms();
  numbers_.resize(terms.size());
  constexpr size_t kAhead = 12;  // tables are larger than the caches: ask for their lines in good time
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < std::min(kAhead, terms.size()); ++i) __builtin_prefetch(&slots_[terms[i].hash & mask]);
  for (size_t i = 0; i < terms.size(); ++i) {
    if (i + kAhead < terms.size()) __builtin_prefetch(&slots_[terms[i + kAhead].hash & mask]);
    const std::string_view bytes = rows.bytes(terms[i]);
    uint32_t number = find(bytes, terms[i].hash);
    if (number == kNone) number = insert(bytes, terms[i].hash);
    numbers_[i] = number;
  }
  for (const uint32_t number : numbers_) __builtin_prefetch(&term_info_[number]);
  for (size_t i = 0; i < rows.rows(); ++i) {
    const auto row = static_cast<uint32_t>(row_info_.size());
    append_sequence(rows.sequence_of(i), rows.lengths()[i]);
    const uint32_t length = rows.lengths()[i];
    std::array<ImpactBound, 8> bounds;
    for (uint32_t tf = 1; tf < bounds.size(); ++tf) {
      bounds[tf] = impact_bound(Bm25::impact(tf, length, reference_length_));
    }
    for (const PreparedRows::RowTerm& term : rows.terms_of(i)) {
      const ImpactBound bound =
          term.tf < bounds.size() ? bounds[term.tf] : impact_bound(Bm25::impact(term.tf, length, reference_length_));
      add_posting(numbers_[term.term], row, term.tf, bound);
    }
  }
}

uint32_t LiveSegment::find(std::string_view wanted, uint32_t hash) const {
  const uint64_t key = term_key(wanted);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.number_plus_one == 0) return kNone;
    if (slot.key == key && slot.hash == hash &&
        (wanted.size() <= sizeof key || term(slot.number_plus_one - 1) == wanted)) {
      return slot.number_plus_one - 1;
    }
  }
}

uint32_t LiveSegment::insert(std::string_view term, uint32_t hash) {
  const auto number = static_cast<uint32_t>(term_info_.size());
  const size_t offset = bytes_.extend(term.size());
  std::memcpy(&bytes_[offset], term.data(), term.size());
  term_bytes_.push_back({static_cast<uint32_t>(offset), static_cast<uint32_t>(term.size())});
  term_info_.push_back({});
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].number_plus_one != 0) at = (at + 1) & mask;
  slots_[at] = {term_key(term), hash, number + 1};
  return number;
}

void LiveSegment::append_sequence(std::span<const uint32_t> sequence, uint32_t length) {
  const size_t bound = sequence.size() * kVarintMax;
  const bool own_room = bound > sequences_.kPiece / 4;  // a row of very many words
  uint8_t* out = nullptr;
  size_t place = 0;
  if (own_room) {
    place = long_sequences_.size();
    out = long_sequences_.emplace_back(std::make_unique_for_overwrite<uint8_t[]>(bound)).get();
    long_bytes_ += bound;
  } else if (bound > 0) {
    place = sequences_.extend(bound);
    out = &sequences_[place];
  }
  uint8_t* const start = out;
  for (const uint32_t local : sequence) {
    out = put_varint(out, local == PreparedRows::kPartEnd ? 0 : numbers_[local] + 1);
  }
  const auto bytes = static_cast<size_t>(out - start);
  if (!own_room) sequences_.give_back(bound - bytes);
  row_info_.push_back({static_cast<uint32_t>(place), own_room, static_cast<uint32_t>(bytes), length});
}

void LiveSegment::add_posting(uint32_t number, uint32_t row, uint32_t tf, ImpactBound bound) {
  TermInfo& info = term_info_[number];
  info.tail_bound = std::max(info.tail_bound, bound);
  if (info.batch != open_first_) {
    info.batch = static_cast<uint16_t>(open_first_);
    info.before = info.count;
  }
  if (tf >= kManyTimes) {
    many_[uint64_t{number} << 16 | row] = tf;
    tf = kManyTimes;
  }
  const uint32_t word = row << 16 | tf;
  if (info.count == 0) {
    info.at = word;
    info.count = 1;
    return;
  }
  if (std::has_single_bit(info.count)) grow_list(info);
  pool_[info.at + info.count] = word;
  ++info.count;
  if (info.count % kListBlock == 0) seal_block(info);
}

/// Moves a full list into an array of twice the size.
void LiveSegment::grow_list(TermInfo& info) {
  const uint32_t old_capacity = info.count;
  const uint32_t fresh = allocate(old_capacity * 2);
  uint32_t* const to = &pool_[fresh];
  if (old_capacity == 1) {
    to[0] = info.at;
  } else {
    uint32_t* const from = &pool_[info.at];
    std::memcpy(to, from, old_capacity * sizeof(uint32_t));
    if (old_capacity >= kListBlock) {
      const size_t blocks = old_capacity / kListBlock;
      uint32_t* const table = to + size_t{old_capacity} * 2;
      std::memcpy(table, from + old_capacity, blocks * sizeof(uint32_t));
      std::memcpy(table + blocks * 2, from + old_capacity + blocks, blocks * sizeof(ImpactBound));
    }
    uint32_t& free = free_[std::bit_width(old_capacity)];
    from[0] = free;
    free = info.at;
  }
  info.at = fresh;
}

uint32_t LiveSegment::allocate(uint32_t capacity) {
  uint32_t& free = free_[std::bit_width(capacity)];
  if (free != kNone) {
    const uint32_t at = free;
    free = pool_[at];
    return at;
  }
  return static_cast<uint32_t>(pool_.extend(array_words(capacity)));
}

LiveSegment::List LiveSegment::list_of(const TermInfo& info) const {
  List list;
  list.count = info.count;
  list.tail_bound = info.tail_bound;
  if (info.count <= 1) {
    list.postings = &info.at;
    return list;
  }
  list.postings = &pool_[info.at];
  const uint32_t capacity = std::bit_ceil(info.count);
  if (capacity >= kListBlock) {
    list.last_rows = list.postings + capacity;
    list.bounds = reinterpret_cast<const ImpactBound*>(list.last_rows + capacity / kListBlock);
  }
  return list;
}

/// Notes the last row and the bound of the block that became full.
void LiveSegment::seal_block(TermInfo& info) {
  const List all = list_of(info);
  const size_t block = info.count / kListBlock - 1;
  const_cast<uint32_t*>(all.last_rows)[block] = all.postings[info.count - 1] >> 16;
  const_cast<ImpactBound*>(all.bounds)[block] = info.tail_bound;
  info.tail_bound = 0;
}

}  // namespace tessera::index
