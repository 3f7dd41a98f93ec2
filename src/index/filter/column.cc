#include "index/filter/column.h"

#include <algorithm>
#include <bit>
#include <new>

namespace tessera::index {
namespace {

constexpr size_t kByteRangesMax = 2;  // more: one look into a set of bytes is quicker
constexpr size_t kWideRangesMax = 6;  // more: a look into the table for each code

template <class Range, class Value>
bool contains(const std::vector<Range>& ranges, Value value) {
  const auto after = std::ranges::upper_bound(ranges, value, {}, &Range::first);
  return after != ranges.begin() && value <= std::prev(after)->last;
}

template <class Range, class Value>
std::span<const Range> overlapping(const std::vector<Range>& ranges, Value least, Value most) {
  const auto first = std::ranges::lower_bound(ranges, least, {}, &Range::last);
  const auto end = std::ranges::upper_bound(first, ranges.end(), most, {}, &Range::first);
  return {first, end};
}

void set_bit(BlockBits& bits, size_t place) {
  bits[place / 64] |= uint64_t{1} << (place % 64);
}

template <class Code>
auto within(const ScanKernels& kernels) {
  if constexpr (sizeof(Code) == 1) {
    return kernels.within8;
  } else if constexpr (sizeof(Code) == 2) {
    return kernels.within16;
  } else {
    return kernels.within32;
  }
}

}  // namespace

Condition::Condition(ValueSet set, uint32_t codes_end) : set_(std::move(set)) {
  if (set_.codes.size() <= kByteRangesMax) return;
  table_.resize(codes_end / 64 + 1);
  for (const CodeRange& range : set_.codes) {
    for (uint32_t code = range.first; code <= std::min(range.last, codes_end); ++code) {
      table_[code / 64] |= uint64_t{1} << (code % 64);
      if (code < 256) bytes_.add(static_cast<uint8_t>(code));
    }
  }
}

bool Condition::accepts(CodedValue value) const {
  if (value.code == kNoCode) return false;
  if (value.code == kIntegerCode && contains(set_.integers, value.number)) return true;
  if (value.code == kRealCode && contains(set_.reals, value.number)) return true;
  if (table_.empty()) return contains(set_.codes, value.code);
  return ((table_[value.code / 64] >> (value.code % 64)) & 1) != 0;
}

template <class T>
ColumnBlock::Aligned<T> ColumnBlock::zeros() {
  void* const memory = std::aligned_alloc(64, kBlockDocuments * sizeof(T));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, kBlockDocuments * sizeof(T));
  return Aligned<T>(static_cast<T*>(memory));
}

void ColumnBlock::note(CodedValue value) {
  lowest_ = std::min(lowest_, value.code);
  highest_ = std::max(highest_, value.code);
  if (value.code == kIntegerCode) integers_.add(value.number);
  if (value.code == kRealCode) reals_.add(value.number);
}

void ColumnBlock::put_code(uint32_t place, uint32_t code) {
  const uint8_t needed = code < 0x100 ? 1 : (code < 0x10000 ? 2 : 4);
  if (needed > width_) widen(needed);
  if (width_ == 1) {
    codes<uint8_t>()[place] = static_cast<uint8_t>(code);
  } else if (width_ == 2) {
    codes<uint16_t>()[place] = static_cast<uint16_t>(code);
  } else {
    codes<uint32_t>()[place] = code;
  }
}

uint32_t ColumnBlock::code_at(uint32_t place) const {
  if (width_ == 1) return codes<uint8_t>()[place];
  return width_ == 2 ? codes<uint16_t>()[place] : codes<uint32_t>()[place];
}

void ColumnBlock::widen(uint8_t width) {
  const auto convert = [&](auto* to) {
    for (uint32_t place = 0; width_ > 0 && place < kBlockDocuments; ++place) {
      to[place] = static_cast<std::remove_reference_t<decltype(*to)>>(code_at(place));
    }
  };
  void* const memory = std::aligned_alloc(64, kBlockDocuments * width);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, kBlockDocuments * width);
  Aligned<uint8_t> wider(static_cast<uint8_t*>(memory));
  if (width == 2) convert(static_cast<uint16_t*>(memory));
  if (width == 4) convert(static_cast<uint32_t*>(memory));
  codes_ = std::move(wider);
  width_ = width;
}

void ColumnBlock::make_dense() {
  widen(highest_ < 0x100 ? 1 : (highest_ < 0x10000 ? 2 : 4));
  if (!sparse_numbers_.empty()) numbers_ = zeros<int64_t>();
  for (size_t i = 0; i < places_.size(); ++i) {
    put_code(places_[i], sparse_codes_[i]);
    if (numbers_ != nullptr) numbers_[places_[i]] = sparse_numbers_[i];
  }
  places_ = {};
  sparse_codes_ = {};
  sparse_numbers_ = {};
}

void ColumnBlock::set(uint32_t place, CodedValue value) {
  const bool numbered = value.code == kIntegerCode || value.code == kRealCode;
  if (width_ == 0 && places_.size() == kSparseMax) make_dense();
  if (width_ > 0) {
    put_code(place, value.code);
    if (numbered && numbers_ == nullptr) numbers_ = zeros<int64_t>();
    if (numbered) numbers_[place] = value.number;
  } else {
    if (numbered && sparse_numbers_.empty()) sparse_numbers_.append(places_.size(), 0);
    if (numbered || !sparse_numbers_.empty()) sparse_numbers_.push_back(value.number);
    places_.push_back(static_cast<uint16_t>(place));
    sparse_codes_.push_back(value.code);
  }
  note(value);
}

template <class Code>
void ColumnBlock::fill(std::span<const Code> from, std::span<const int64_t> numbers) {
  widen(sizeof(Code));
  std::memcpy(codes_.get(), from.data(), from.size_bytes());
  Code lowest = std::numeric_limits<Code>::max();
  Code highest = 0;
  for (const Code code : from) {
    // A missing field is no code; the subtraction makes it the greatest.
    lowest = std::min(lowest, static_cast<Code>(code - 1));
    highest = std::max(highest, code);
  }
  if (highest == kNoCode) return;
  lowest_ = uint32_t{lowest} + 1;
  highest_ = highest;
  if (lowest_ > kRealCode) return;
  numbers_ = zeros<int64_t>();
  if (!numbers.empty()) std::memcpy(numbers_.get(), numbers.data(), numbers.size_bytes());
  for (size_t place = 0; place < from.size(); ++place) {
    if (from[place] == kIntegerCode) integers_.add(numbers_[place]);
    if (from[place] == kRealCode) reals_.add(numbers_[place]);
  }
}
template void ColumnBlock::fill(std::span<const uint8_t>, std::span<const int64_t>);
template void ColumnBlock::fill(std::span<const uint16_t>, std::span<const int64_t>);
template void ColumnBlock::fill(std::span<const uint32_t>, std::span<const int64_t>);

CodedValue ColumnBlock::get(uint32_t place) const {
  if (width_ > 0) return {code_at(place), numbers_ == nullptr ? 0 : numbers_[place]};
  const auto* const found = std::lower_bound(places_.begin(), places_.end(), place);
  if (found == places_.end() || *found != place) return {};
  const auto at = static_cast<size_t>(found - places_.begin());
  return {sparse_codes_[at], sparse_numbers_.empty() ? 0 : sparse_numbers_[at]};
}

void ColumnBlock::find(const Condition& condition, const ScanKernels& kernels, BlockBits& out) const {
  if (empty()) return;
  if (width_ == 0) return find_sparse(condition, out);
  find_codes(condition, kernels, out);
  if (numbers_ == nullptr) return;
  const ValueSet& set = condition.set();
  find_numbers(overlapping(set.integers, integers_.least, integers_.most), kIntegerCode, kernels, out);
  find_numbers(overlapping(set.reals, reals_.least, reals_.most), kRealCode, kernels, out);
}

void ColumnBlock::find_sparse(const Condition& condition, BlockBits& out) const {
  for (size_t i = 0; i < places_.size(); ++i) {
    const CodedValue value{sparse_codes_[i], sparse_numbers_.empty() ? 0 : sparse_numbers_[i]};
    if (condition.accepts(value)) set_bit(out, places_[i]);
  }
}

void ColumnBlock::find_codes(const Condition& condition, const ScanKernels& kernels, BlockBits& out) const {
  const auto ranges = overlapping(condition.set().codes, lowest_, highest_);
  if (ranges.empty()) return;
  if (width_ == 1 && ranges.size() > kByteRangesMax) {
    return kernels.among8(codes<uint8_t>(), kBlockWords, condition.bytes(), out.data());
  }
  if (width_ == 1) return find_wide<uint8_t>(condition, kernels, out);
  width_ == 2 ? find_wide<uint16_t>(condition, kernels, out) : find_wide<uint32_t>(condition, kernels, out);
}

template <class Code>
void ColumnBlock::find_wide(const Condition& condition, const ScanKernels& kernels, BlockBits& out) const {
  const auto ranges = overlapping(condition.set().codes, lowest_, highest_);
  if (ranges.size() <= kWideRangesMax) {
    for (const CodeRange& range : ranges) {
      within<Code>(kernels)(codes<Code>(), kBlockWords, static_cast<Code>(range.first),
                            static_cast<Code>(std::min(range.last, highest_)), out.data());
    }
    return;
  }
  const uint64_t* const table = condition.table().data();
  for (size_t word = 0; word < kBlockWords; ++word) {
    const Code* const from = codes<Code>() + word * 64;
    uint64_t bits = 0;
    for (unsigned i = 0; i < 64; ++i) bits |= ((table[from[i] / 64] >> (from[i] % 64)) & 1) << i;
    out[word] |= bits;
  }
}

void ColumnBlock::find_code(uint32_t code, const ScanKernels& kernels, BlockBits& out) const {
  if (width_ == 1) {
    const auto c = static_cast<uint8_t>(code);
    kernels.within8(codes<uint8_t>(), kBlockWords, c, c, out.data());
  } else if (width_ == 2) {
    const auto c = static_cast<uint16_t>(code);
    kernels.within16(codes<uint16_t>(), kBlockWords, c, c, out.data());
  } else {
    kernels.within32(codes<uint32_t>(), kBlockWords, code, code, out.data());
  }
}

void ColumnBlock::find_numbers(std::span<const NumberRange> ranges, uint32_t code, const ScanKernels& kernels,
                               BlockBits& out) const {
  if (ranges.empty()) return;
  const Bounds& bounds = code == kIntegerCode ? integers_ : reals_;
  if (ranges.front().first <= bounds.least && ranges.front().last >= bounds.most) {
    return find_code(code, kernels, out);
  }
  BlockBits among{};
  find_code(code, kernels, among);
  if (ranges.size() <= kWideRangesMax) {
    for (const NumberRange& range : ranges) {
      kernels.between(numbers_.get(), kBlockWords, range, among.data(), out.data());
    }
    return;
  }
  for (size_t word = 0; word < kBlockWords; ++word) {
    for (uint64_t left = among[word]; left != 0; left &= left - 1) {
      const size_t place = word * 64 + static_cast<size_t>(std::countr_zero(left));
      const int64_t number = numbers_[place];
      const auto* const after = std::upper_bound(ranges.data(), ranges.data() + ranges.size(), number,
                                                 [](int64_t n, const NumberRange& range) { return n < range.first; });
      if (after != ranges.data() && number <= (after - 1)->last) set_bit(out, place);
    }
  }
}

uint64_t ColumnBlock::memory_bytes() const {
  return sizeof(ColumnBlock) + places_.memory_bytes() + sparse_codes_.memory_bytes() + sparse_numbers_.memory_bytes() +
         (codes_ == nullptr ? 0 : kBlockDocuments * width_) + (numbers_ == nullptr ? 0 : kBlockDocuments * 8);
}

uint64_t Column::memory_bytes() const {
  uint64_t bytes = sizeof(Column) + name_.capacity() + dictionary_.memory_bytes() + blocks_.capacity() * sizeof(void*);
  for (const auto& block : blocks_) bytes += block == nullptr ? 0 : block->memory_bytes();
  return bytes;
}

}  // namespace tessera::index
