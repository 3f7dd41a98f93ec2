#include "index/lexical/postings.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace tessera::index {
namespace {

// Four values wide: value i of a block is lane i % 4 of group i / 4. A block of b-bit values is b words per lane.
using Lanes = uint32_t __attribute__((vector_size(16)));
constexpr unsigned kGroups = kBlockPostings / 4;

Lanes load(const uint32_t* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

void store(uint32_t* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

void pack(const uint32_t* values, unsigned bits, uint32_t* words) {
  if (bits == 0) return;  // there are no words to write to
  std::memset(words, 0, size_t{bits} * sizeof(Lanes));
  for (unsigned group = 0; group < kGroups; ++group) {
    const unsigned bit = group * bits;
    const unsigned word = bit / 32;
    const unsigned shift = bit % 32;
    const Lanes lanes = load(values + group * 4);
    store(words + word * 4, load(words + word * 4) | (lanes << shift));
    if (shift + bits > 32) store(words + word * 4 + 4, lanes >> (32 - shift));
  }
}

void unpack(const uint32_t* words, unsigned bits, uint32_t* values) {
  if (bits == 0) {
    std::memset(values, 0, kBlockPostings * sizeof(uint32_t));
    return;
  }
  const uint32_t mask = bits == 32 ? 0xFFFFFFFF : (uint32_t{1} << bits) - 1;
  const Lanes masks = {mask, mask, mask, mask};
  for (unsigned group = 0; group < kGroups; ++group) {
    const unsigned bit = group * bits;
    const unsigned word = bit / 32;
    const unsigned shift = bit % 32;
    Lanes lanes = load(words + word * 4) >> shift;
    if (shift + bits > 32) lanes |= load(words + word * 4 + 4) << (32 - shift);
    store(values + group * 4, lanes & masks);
  }
}

/// Turns gaps (less one) into rows: running sums inside a group by two shifted additions, then the group before.
void sum_gaps(uint32_t* values, uint32_t base) {
  const Lanes zero = {0, 0, 0, 0};
  const Lanes one = {1, 1, 1, 1};
  Lanes before = {base, base, base, base};
  for (unsigned group = 0; group < kGroups; ++group) {
    Lanes lanes = load(values + group * 4) + one;
    lanes += __builtin_shufflevector(zero, lanes, 0, 4, 5, 6);
    lanes += __builtin_shufflevector(zero, lanes, 0, 1, 4, 5);
    lanes += before;
    store(values + group * 4, lanes);
    before = __builtin_shufflevector(lanes, lanes, 3, 3, 3, 3);
  }
}

constexpr Row kBeforeFirst = 0xFFFFFFFF;  // + a gap of 1 is row 0

}  // namespace

void PostingList::append(Row row, uint32_t tf, uint32_t length) {
  tail_.push_back({row, tf});
  tail_bound_.tf_max = std::max(tail_bound_.tf_max, tf);
  tail_bound_.length_min = std::min(tail_bound_.length_min, length);
  if (tail_.size() == kBlockPostings) seal();
}

void PostingList::seal() {
  alignas(16) std::array<uint32_t, kBlockPostings> gaps;
  alignas(16) std::array<uint32_t, kBlockPostings> tfs;
  Row before = sealed_.empty() ? kBeforeFirst : sealed_.back().last_row;
  uint32_t all_gaps = 0;
  for (size_t i = 0; i < kBlockPostings; ++i) {
    gaps[i] = tail_[i].row - before - 1;
    tfs[i] = tail_[i].tf - 1;
    before = tail_[i].row;
    all_gaps |= gaps[i];
  }
  Block block;
  block.last_row = before;
  block.offset = static_cast<uint32_t>(words_.size());
  block.tf_max = tail_bound_.tf_max;
  block.length_min = tail_bound_.length_min;
  block.gap_bits = static_cast<uint8_t>(std::bit_width(all_gaps));
  block.tf_bits = static_cast<uint8_t>(std::bit_width(block.tf_max - 1));
  const size_t needed = words_.size() + (size_t{block.gap_bits} + block.tf_bits) * 4;
  if (needed > words_.capacity()) words_.reserve(std::max(needed, words_.capacity() + words_.capacity() / 4));
  words_.resize(needed);
  pack(gaps.data(), block.gap_bits, words_.data() + block.offset);
  pack(tfs.data(), block.tf_bits, words_.data() + block.offset + size_t{block.gap_bits} * 4);
  if (sealed_.size() == sealed_.capacity()) sealed_.reserve(sealed_.size() + sealed_.size() / 4 + 1);
  sealed_.push_back(block);
  tail_.clear();
  tail_bound_ = {};
}

size_t PostingList::decode(size_t block, Row* rows, uint32_t* tfs) const {
  if (block >= sealed_.size()) {
    for (size_t i = 0; i < tail_.size(); ++i) {
      rows[i] = tail_[i].row;
      tfs[i] = tail_[i].tf;
    }
    return tail_.size();
  }
  const Block& info = sealed_[block];
  unpack(words_.data() + info.offset, info.gap_bits, rows);
  sum_gaps(rows, block == 0 ? kBeforeFirst : sealed_[block - 1].last_row);
  unpack(words_.data() + info.offset + size_t{info.gap_bits} * 4, info.tf_bits, tfs);
  for (size_t i = 0; i < kBlockPostings; ++i) ++tfs[i];
  return kBlockPostings;
}

size_t PostingList::memory_bytes() const {
  return sealed_.capacity() * sizeof(Block) + words_.capacity() * sizeof(uint32_t) + tail_.capacity() * sizeof(Posting);
}

bool PostingList::assign(std::span<const Block> sealed, std::span<const uint32_t> words, std::span<const Posting> tail,
                         std::span<const uint32_t> lengths) {
  sealed_.assign(sealed.begin(), sealed.end());
  words_.assign(words.begin(), words.end());
  tail_.assign(tail.begin(), tail.end());
  tail_bound_ = {};
  if (tail_.size() >= kBlockPostings || !well_formed(lengths)) return false;
  int64_t before = sealed_.empty() ? -1 : int64_t{sealed_.back().last_row};
  for (const Posting& posting : tail_) {
    if (int64_t{posting.row} <= before || posting.row >= lengths.size() || posting.tf == 0) return false;
    before = posting.row;
    tail_bound_.tf_max = std::max(tail_bound_.tf_max, posting.tf);
    tail_bound_.length_min = std::min(tail_bound_.length_min, lengths[posting.row]);
  }
  return true;
}

bool PostingList::well_formed(std::span<const uint32_t> lengths) const {
  alignas(16) std::array<uint32_t, kBlockPostings> rows;
  alignas(16) std::array<uint32_t, kBlockPostings> tfs;
  uint64_t offset = 0;
  int64_t before = -1;
  const auto in_order = [&](Row row, uint32_t tf, Bound bound) {
    const bool good = int64_t{row} > before && row < lengths.size() && tf >= 1 && tf <= bound.tf_max &&
                      lengths[row] >= bound.length_min;
    before = row;
    return good;
  };
  for (size_t b = 0; b < sealed_.size(); ++b) {
    const Block& block = sealed_[b];
    if (block.offset != offset || block.gap_bits > 32 || block.tf_bits > 32 || block.reserved != 0) return false;
    offset += (uint64_t{block.gap_bits} + block.tf_bits) * 4;
    if (offset > words_.size()) return false;
    decode(b, rows.data(), tfs.data());
    for (size_t i = 0; i < kBlockPostings; ++i) {
      if (!in_order(rows[i], tfs[i], bound(b))) return false;
    }
    if (rows.back() != block.last_row) return false;
  }
  return offset == words_.size();
}

}  // namespace tessera::index
