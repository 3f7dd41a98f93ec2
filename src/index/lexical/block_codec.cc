#include "index/lexical/block_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "index/varint.h"

namespace tessera::index {
namespace {

// Four values wide: value i of a block is lane i % 4 of group i / 4. A block of b-bit values is b words per lane.
using Lanes = uint32_t __attribute__((vector_size(16)));
constexpr unsigned kGroups = kListBlock / 4;

[[gnu::always_inline]] inline Lanes load(const void* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

[[gnu::always_inline]] inline void store(uint32_t* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

void pack(const uint32_t* values, unsigned bits, uint32_t* words) {
  for (unsigned group = 0; bits > 0 && group < kGroups; ++group) {
    const unsigned bit = group * bits;
    const unsigned word = bit / 32;
    const unsigned shift = bit % 32;
    const Lanes lanes = load(values + group * 4);
    store(words + word * 4, load(words + word * 4) | (lanes << shift));
    if (shift + bits > 32) store(words + word * 4 + 4, lanes >> (32 - shift));
  }
}

/// Group `G` of values `Bits` wide.
template <unsigned Bits, unsigned G>
[[gnu::always_inline]] inline Lanes group_of(const uint8_t* data) {
  if constexpr (Bits == 0) {
    return Lanes{0, 0, 0, 0};
  } else {
    constexpr unsigned kWord = G * Bits / 32;
    constexpr unsigned kShift = G * Bits % 32;
    Lanes lanes = load(data + kWord * 16) >> kShift;
    if constexpr (kShift + Bits > 32) lanes |= load(data + kWord * 16 + 16) << (32 - kShift);
    if constexpr (Bits < 32 && kShift + Bits != 32) {
      constexpr uint32_t kMask = (uint32_t{1} << Bits) - 1;
      lanes &= Lanes{kMask, kMask, kMask, kMask};
    }
    return lanes;
  }
}

/// Running sums inside a group by two shifted additions; only one addition waits for the group before.
[[gnu::always_inline]] inline void sum_group(Lanes gaps, Lanes& before, uint32_t* out) {
  const Lanes zero = {0, 0, 0, 0};
  Lanes lanes = gaps + 1;
  lanes += __builtin_shufflevector(zero, lanes, 0, 4, 5, 6);
  lanes += __builtin_shufflevector(zero, lanes, 0, 1, 4, 5);
  store(out, lanes + before);
  before += __builtin_shufflevector(lanes, lanes, 3, 3, 3, 3);
}

template <unsigned Bits>
void rows_of_width(const uint8_t* data, uint32_t before, uint32_t* rows) {
  Lanes base = {before, before, before, before};
  [&]<unsigned... G>(std::integer_sequence<unsigned, G...>) {
    (sum_group(group_of<Bits, G>(data), base, rows + G * 4), ...);
  }(std::make_integer_sequence<unsigned, kGroups>());
}

template <unsigned Bits>
void tfs_of_width(const uint8_t* data, uint32_t* tfs) {
  [&]<unsigned... G>(std::integer_sequence<unsigned, G...>) {
    (store(tfs + G * 4, group_of<Bits, G>(data) + 1), ...);
  }(std::make_integer_sequence<unsigned, kGroups>());
}

using RowsOfWidth = void (*)(const uint8_t*, uint32_t, uint32_t*);
using TfsOfWidth = void (*)(const uint8_t*, uint32_t*);

constexpr auto kRowsOfWidth = []<unsigned... B>(std::integer_sequence<unsigned, B...>) {
  return std::array<RowsOfWidth, sizeof...(B)>{rows_of_width<B>...};
}(std::make_integer_sequence<unsigned, kGapBitsMax + 1>());

constexpr auto kTfsOfWidth = []<unsigned... B>(std::integer_sequence<unsigned, B...>) {
  return std::array<TfsOfWidth, sizeof...(B)>{tfs_of_width<B>...};
}(std::make_integer_sequence<unsigned, 33>());

}  // namespace

ImpactBound impact_bound(float impact) {
  return static_cast<ImpactBound>(std::clamp(std::ceil(double{impact} * 65535.0 + 0.01), 1.0, 65535.0));
}

BlockWidths pack_block(const uint32_t* rows, const uint32_t* tfs, uint32_t before, std::vector<uint32_t>& out) {
  DecodedBlock less;
  uint32_t gaps = less.rows[0] = rows[0] - before - 1;
  for (size_t i = 1; i < kListBlock; ++i) gaps |= less.rows[i] = rows[i] - rows[i - 1] - 1;
  uint32_t more = 0;
  for (size_t i = 0; i < kListBlock; ++i) more |= less.tfs[i] = tfs[i] - 1;
  const BlockWidths widths{static_cast<unsigned>(std::bit_width(gaps)), static_cast<unsigned>(std::bit_width(more))};
  const size_t start = out.size();
  out.resize(start + (size_t{widths.gap_bits} + widths.tf_bits) * 4);
  pack(less.rows.data(), widths.gap_bits, out.data() + start);
  pack(less.tfs.data(), widths.tf_bits, out.data() + start + size_t{widths.gap_bits} * 4);
  return widths;
}

void unpack_rows(const uint8_t* data, unsigned gap_bits, uint32_t before, uint32_t* rows) {
  kRowsOfWidth[gap_bits](data, before, rows);
}

void unpack_tfs(const uint8_t* data, BlockWidths widths, uint32_t* tfs) {
  kTfsOfWidth[widths.tf_bits](data + size_t{widths.gap_bits} * 16, tfs);
}

void append_short_block(const uint32_t* rows, const uint32_t* tfs, size_t count, uint32_t before,
                        std::vector<uint8_t>& out) {
  const size_t start = out.size();
  out.resize(start + count * kVarintMax * 2);
  uint8_t* at = out.data() + start;
  for (size_t i = 0; i < count; ++i) {
    at = put_varint(at, (rows[i] - before - 1) << 1 | (tfs[i] > 1 ? 1 : 0));
    if (tfs[i] > 1) at = put_varint(at, tfs[i]);
    before = rows[i];
  }
  out.resize(static_cast<size_t>(at - out.data()));
}

bool read_short_block(std::string_view bytes, size_t count, uint32_t before, uint32_t rows_end, DecodedBlock& block) {
  VarintReader reader({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  uint64_t row = uint64_t{before + 1};  // before may be 0xFFFFFFFF: then the first row is 0
  for (size_t i = 0; i < count; ++i) {
    const uint32_t code = reader.next();
    row += code >> 1;
    if (row >= rows_end) return false;
    block.rows[i] = static_cast<uint32_t>(row++);
    block.tfs[i] = (code & 1) != 0 ? reader.next() : 1;
  }
  return reader.good();
}

}  // namespace tessera::index
