#include "index/lexical/live_segment.h"

#include <algorithm>
#include <cstring>

#include "index/lexical/bm25.h"
#include "index/lexical/term_key.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

/// Tokens whose terms are looked up together: the table, the terms and the lists are larger than the caches, so each
/// is asked for while the others' are on their way.
constexpr size_t kTogether = 96;

}  // namespace

LiveSegment::LiveSegment(Row first_row, float reference_length, size_t terms)
    : first_row_(first_row),
      reference_length_(std::max(reference_length, 1.0F)),
      slots_(std::bit_ceil(std::max<size_t>(64, terms * 3 / 2))) {}

size_t LiveSegment::memory_bytes() const {
  constexpr size_t kMapNode = 40;
  return slots_.size * sizeof(Slot) + term_info_.memory_bytes() + term_bytes_.memory_bytes() + bytes_.memory_bytes() +
         pool_.memory_bytes() + row_info_.memory_bytes() + sequences_.memory_bytes() + long_bytes_ +
         many_.size() * kMapNode;
}

bool LiveSegment::has_room(const PreparedRows& rows) const {
  constexpr size_t kBytesMax = size_t{1} << 31;
  return row_info_.size() + rows.rows() <= kRowsMax && bytes_.size() + rows.bytes_max() * 2 < kBytesMax &&
         pool_.size() < kPoolWordsMax && sequences_.size() + long_bytes_ < kBytesMax;
}

LiveSegment::Table LiveSegment::grown_table(size_t slots) const {
  Table table(slots);
  const size_t mask = slots - 1;
  for (size_t i = 0; i < slots_.size; ++i) {
    const Slot& slot = slots_[i];
    if (slot.number_plus_one == 0) continue;
    size_t at = slot.hash & mask;
    while (table[at].number_plus_one != 0) at = (at + 1) & mask;
    table[at] = slot;
  }
  return table;
}

void LiveSegment::prepare_room(const PreparedRows& rows) {
  const size_t wanted = (term_info_.size() + rows.tokens()) * 3 / 2;
  if (wanted > slots_.size) next_slots_ = grown_table(std::bit_ceil(wanted));
}

void LiveSegment::append(const PreparedRows& rows) {
  if (!next_slots_) prepare_room(rows);
  if (next_slots_) {
    slots_ = *std::move(next_slots_);
    next_slots_.reset();
  }
  for (size_t i = 0; i < rows.rows(); ++i) append_row(rows, i);
}

/// A row that is being appended: its number, the bounds of its postings by their frequency, its sequence so far.
class LiveSegment::OpenRow {
 public:
  OpenRow(uint32_t number, uint32_t length, float reference_length, uint8_t* out)
      : number(number), length_(length), reference_length_(reference_length), out_(out), start_(out) {}

  const uint32_t number;

  ImpactBound bound(uint32_t tf) {
    if (tf >= bounds_.size()) return impact_bound(Bm25::impact(tf, length_, reference_length_));
    if (bounds_[tf] == 0) bounds_[tf] = impact_bound(Bm25::impact(tf, length_, reference_length_));
    return bounds_[tf];
  }
  void end_part() { *out_++ = 0; }
  void put_terms(std::span<const uint32_t> numbers) {
    uint8_t* out = out_;
    for (const uint32_t term : numbers) out = put_varint(out, term + 1);
    out_ = out;
  }
  [[nodiscard]] size_t bytes() const { return static_cast<size_t>(out_ - start_); }

 private:
  uint32_t length_;
  float reference_length_;
  std::array<ImpactBound, 8> bounds_{};  // 0: not worked out yet
  uint8_t* out_;
  uint8_t* start_;
};

void LiveSegment::append_row(const PreparedRows& rows, size_t i) {
  const std::span<const PreparedRows::Token> tokens = rows.tokens_of(i);
  const size_t bound = tokens.empty() ? 0 : (tokens.size() + 2) * kVarintMax;
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
  const uint32_t length = rows.lengths()[i];
  OpenRow row(static_cast<uint32_t>(row_info_.size()), length, reference_length_, out);
  const auto [first_end, second_end] = rows.part_ends_of(i);
  for (const auto part :
       {tokens.first(first_end), tokens.subspan(first_end, second_end - first_end), tokens.subspan(second_end)}) {
    if (part.empty()) continue;
    if (row.bytes() > 0) row.end_part();
    for (size_t at = 0; at < part.size(); at += kTogether) {
      append_tokens(rows, part.subspan(at, std::min(kTogether, part.size() - at)), row);
    }
  }
  if (!own_room) sequences_.give_back(bound - row.bytes());
  row_info_.push_back({static_cast<uint32_t>(place), own_room, static_cast<uint32_t>(row.bytes()), length});
}

/// Numbers of terms, new ones for those that have none. In turns: where a term may be by its hash, whether it is that
/// term, where its list ends.
void LiveSegment::find_numbers(const PreparedRows& rows, std::span<const PreparedRows::Token> tokens,
                               uint32_t* numbers) {
  const size_t mask = slots_.size - 1;
  for (const PreparedRows::Token& token : tokens) __builtin_prefetch(&slots_[token.hash & mask]);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const uint32_t hash = tokens[i].hash;
    size_t at = hash & mask;
    while (slots_[at].number_plus_one != 0 && slots_[at].hash != hash) at = (at + 1) & mask;
    numbers[i] = slots_[at].number_plus_one == 0 ? insert(rows, tokens[i]) : slots_[at].number_plus_one - 1;
    __builtin_prefetch(&term_info_[numbers[i]]);
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    const PreparedRows::Token& token = tokens[i];
    if (term_info_[numbers[i]].key != token.key || !token.key.whole()) {
      const std::string_view term = rows.term(token);
      if (!is(numbers[i], token.key, term)) {
        numbers[i] = find(token.key, token.hash, term);
        if (numbers[i] == kNone) numbers[i] = insert(rows, token);
      }
    }
    const TermInfo& info = term_info_[numbers[i]];
    if (info.count > 1) __builtin_prefetch(&pool_[info.at + info.count - 1], 1);
  }
}

bool LiveSegment::is(uint32_t number, const TermKey& key, std::string_view wanted) const {
  return term_info_[number].key == key && (key.whole() || term(number) == wanted);
}

uint32_t LiveSegment::find(std::string_view wanted) const {
  const TermKey key = term_key(wanted);
  return find(key, key_hash(key, wanted), wanted);
}

uint32_t LiveSegment::find(const TermKey& key, uint32_t hash, std::string_view wanted) const {
  const size_t mask = slots_.size - 1;
  for (size_t at = hash & mask; slots_[at].number_plus_one != 0; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.hash == hash && is(slot.number_plus_one - 1, key, wanted)) return slot.number_plus_one - 1;
  }
  return kNone;
}

uint32_t LiveSegment::insert(const PreparedRows& rows, const PreparedRows::Token& token) {
  const std::string_view term = rows.term(token);
  const auto number = static_cast<uint32_t>(term_info_.size());
  const size_t offset = bytes_.extend(term.size());
  std::memcpy(&bytes_[offset], term.data(), term.size());
  term_bytes_.push_back({static_cast<uint32_t>(offset), static_cast<uint32_t>(term.size())});
  term_info_.push_back({.key = token.key});
  const size_t mask = slots_.size - 1;
  size_t at = token.hash & mask;
  while (slots_[at].number_plus_one != 0) at = (at + 1) & mask;
  slots_[at] = {token.hash, number + 1};
  return number;
}

/// A term of the row at hand: its first place there makes a posting, the others count in it.
inline void LiveSegment::add_posting(uint32_t number, ImpactBound once, OpenRow& row) {
  TermInfo& info = term_info_[number];
  const uint32_t word = row.number << 16 | 1;
  if (info.count > 0) {
    uint32_t& last = info.count == 1 ? info.at : pool_[info.at + info.count - 1];
    if (last >> 16 == row.number) {
      repeat_posting(number, last, row);
      return;
    }
  }
  if (info.batch != open_first_) {
    info.batch = static_cast<uint16_t>(open_first_);
    info.before = info.count;
  }
  info.tail_bound = std::max(info.tail_bound, once);
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

void LiveSegment::append_tokens(const PreparedRows& rows, std::span<const PreparedRows::Token> tokens, OpenRow& row) {
  std::array<uint32_t, kTogether> numbers;
  find_numbers(rows, tokens, numbers.data());
  const ImpactBound once = row.bound(1);
  for (size_t i = 0; i < tokens.size(); ++i) add_posting(numbers[i], once, row);
  row.put_terms(std::span(numbers).first(tokens.size()));
}

void LiveSegment::repeat_posting(uint32_t number, uint32_t& posting, OpenRow& row) {
  uint32_t tf = posting & 0xFFFF;
  if (tf + 1 < kManyTimes) {
    ++tf;
    ++posting;
  } else {
    uint32_t& many = many_[uint64_t{number} << 16 | row.number];
    many = tf == kManyTimes ? many + 1 : kManyTimes;
    posting |= kManyTimes;
    tf = many;
  }
  TermInfo& info = term_info_[number];
  ImpactBound* const bound = info.count % kListBlock == 0
                                 ? const_cast<ImpactBound*>(list_of(info).bounds) + info.count / kListBlock - 1
                                 : &info.tail_bound;
  *bound = std::max(*bound, row.bound(tf));
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
