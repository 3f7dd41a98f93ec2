#include "index/filter/spread.h"

#include <algorithm>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera::index {
namespace {

void set_each(const RowLayout& layout, uint32_t first_document, uint64_t documents, uint64_t* rows) {
  for (; documents != 0; documents &= documents - 1) {
    const Row* const first = layout.first_rows.data() + first_document + std::countr_zero(documents);
    set_bits(rows, first[0], first[1] - first[0], true);
  }
}

void spread_portable(const RowLayout& layout, uint32_t first_document, std::span<const uint64_t> documents,
                     uint64_t* rows) {
  for (const uint64_t word : documents) {
    if (word != 0) set_each(layout, first_document, word, rows);
    first_document += 64;
  }
}

uint64_t count_portable(std::span<const uint64_t> words) {
  uint64_t count = 0;
  for (const uint64_t word : words) count += static_cast<uint64_t>(std::popcount(word));
  return count;
}

#if defined(__x86_64__)

#define TESSERA_TARGET __attribute__((target("bmi,bmi2,popcnt,lzcnt")))

/// The bits of those documents that have rows, moved together.
TESSERA_TARGET uint64_t without_empties(const Row* first_rows, uint32_t count, uint64_t documents) {
  uint64_t filled = 0;
  for (uint32_t i = 0; i < count; ++i) filled |= uint64_t{first_rows[i] != first_rows[i + 1]} << i;
  return _pext_u64(documents, filled);
}

/// The rows [first, end) of up to 64 documents, a word of rows at a time. The starts of the selected documents, as one
/// integer, taken from the sum of the starts that follow them leave exactly the bits between.
TESSERA_TARGET void deposit(std::span<const uint64_t> starts, Row first, Row end, uint64_t documents, uint64_t* rows) {
  uint64_t carry = 0;  // 1: the document at the end of the word before is selected
  for (Row word = first / 64; word <= (end - 1) / 64; ++word) {
    uint64_t range = ~uint64_t{0};
    if (word == first / 64) range &= ~uint64_t{0} << (first % 64);
    if (word == (end - 1) / 64) range &= ~uint64_t{0} >> (63 - (end - 1) % 64);
    const uint64_t mask = starts[word] & range;
    const uint64_t begins = _pdep_u64(documents, mask) + carry;
    const uint64_t ends = _pdep_u64(documents << 1 | carry, mask);
    rows[word] |= (ends - begins) & range;
    const auto begun = static_cast<unsigned>(_mm_popcnt_u64(mask));
    if (begun == 0) continue;
    carry = (documents >> (begun - 1)) & 1;
    documents = begun == 64 ? 0 : documents >> begun;
  }
}

/// The same for documents of one row each.
void shift(Row first, std::span<const uint64_t> documents, uint64_t* rows) {
  rows += first / 64;
  const unsigned places = first % 64;
  for (const uint64_t word : documents) {
    *rows |= word << places;
    ++rows;
    const uint64_t behind = places == 0 ? 0 : word >> (64 - places);
    if (behind != 0) *rows |= behind;
  }
}

TESSERA_TARGET void spread_deposit(const RowLayout& layout, uint32_t first_document,
                                   std::span<const uint64_t> documents, uint64_t* rows) {
  const auto all = static_cast<uint32_t>(layout.first_rows.size() - 1);
  const auto together = std::min<uint32_t>(all - first_document, static_cast<uint32_t>(documents.size() * 64));
  const Row start = layout.first_rows[first_document];
  if (!layout.empties && layout.first_rows[first_document + together] - start == together) {
    return shift(start, documents, rows);
  }
  for (uint64_t word : documents) {
    const uint32_t document = first_document;
    first_document += 64;
    if (word == 0) continue;
    const uint32_t count = std::min<uint32_t>(all - document, 64);
    const Row first = layout.first_rows[document];
    const Row end = layout.first_rows[document + count];
    // A document costs about as much as two words of rows.
    if (static_cast<uint64_t>(_mm_popcnt_u64(word)) * 2 <= (end - first) / 64 + 2) {
      set_each(layout, document, word, rows);
      continue;
    }
    if (layout.empties) word = without_empties(layout.first_rows.data() + document, count, word);
    if (first < end) deposit(layout.starts, first, end, word, rows);
  }
}

TESSERA_TARGET uint64_t count_quick(std::span<const uint64_t> words) {
  uint64_t count = 0;
  for (const uint64_t word : words) count += static_cast<uint64_t>(_mm_popcnt_u64(word));
  return count;
}

#undef TESSERA_TARGET

bool quick() {
  static const bool able = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("popcnt") != 0;
  }();
  return able;
}

#endif

}  // namespace

void set_bits(uint64_t* words, uint64_t first, uint64_t count, bool value) {
  for (const uint64_t end = first + count; first < end;) {
    const uint64_t place = first % 64;
    const uint64_t here = std::min(end - first, 64 - place);
    const uint64_t mask = (~uint64_t{0} >> (64 - here)) << place;
    words[first / 64] = value ? words[first / 64] | mask : words[first / 64] & ~mask;
    first += here;
  }
}

void spread(const RowLayout& layout, uint32_t first_document, std::span<const uint64_t> documents, uint64_t* rows,
            bool portable) {
#if defined(__x86_64__)
  if (!portable && quick()) return spread_deposit(layout, first_document, documents, rows);
#endif
  static_cast<void>(portable);
  spread_portable(layout, first_document, documents, rows);
}

uint64_t count_bits(std::span<const uint64_t> words) {
#if defined(__x86_64__)
  if (quick()) return count_quick(words);
#endif
  return count_portable(words);
}

}  // namespace tessera::index
