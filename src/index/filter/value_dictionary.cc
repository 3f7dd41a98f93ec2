#include "index/filter/value_dictionary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/hash.h"

namespace tessera::index {
namespace {

using Op = core::Filter::Op;

constexpr int64_t kLeastInteger = std::numeric_limits<int64_t>::min();
constexpr int64_t kMostInteger = std::numeric_limits<int64_t>::max();
constexpr size_t kFirstChunk = 256;
constexpr size_t kChunkMax = size_t{256} << 10;

uint32_t hash_text(std::string_view text) {
  return static_cast<uint32_t>(base::hash64(text));
}

uint32_t hash_list(std::span<const uint32_t> list) {
  return static_cast<uint32_t>(base::hash64({reinterpret_cast<const char*>(list.data()), list.size_bytes()}));
}

std::optional<double> as_number(const core::MetadataValue& value) {
  if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&value)) return *d;
  return std::nullopt;
}

/// Whether a value that compares with the filter's as `order` satisfies it.
bool accepts(Op op, int order) {
  switch (op) {
    case Op::gt:
      return order > 0;
    case Op::gte:
      return order >= 0;
    case Op::lt:
      return order < 0;
    case Op::lte:
      return order <= 0;
    default:
      return order == 0;
  }
}

bool accepts(Op op, double value, double bound) {
  if (value < bound) return accepts(op, -1);
  if (value > bound) return accepts(op, 1);
  return value == bound && accepts(op, 0);  // nothing holds for NaN
}

/// The least number in [first, last] for which holds(number); it holds for `last` and from some number on.
template <class Holds>
int64_t first_that(int64_t first, int64_t last, Holds&& holds) {
  while (first < last) {
    const int64_t middle =
        first + static_cast<int64_t>((static_cast<uint64_t>(last) - static_cast<uint64_t>(first)) / 2);
    if (holds(middle)) {
      last = middle;
    } else {
      first = middle + 1;
    }
  }
  return first;
}

/// The numbers of [least, most] whose real value satisfies `op`, if value() never falls.
template <class Value>
NumberRange range_of(Op op, double bound, int64_t least, int64_t most, Value&& value) {
  if (std::isnan(bound)) return {};
  NumberRange range{least, most};
  if (op == Op::gt || op == Op::gte || op == Op::eq) {
    const auto holds = [&](int64_t number) { return op == Op::gt ? value(number) > bound : value(number) >= bound; };
    if (!holds(most)) return {};
    range.first = first_that(least, most, holds);
  }
  if (op == Op::lt || op == Op::lte || op == Op::eq) {
    const auto beyond = [&](int64_t number) { return op == Op::lt ? value(number) >= bound : value(number) > bound; };
    if (beyond(least)) return {};
    if (beyond(most)) range.last = first_that(least, most, beyond) - 1;
  }
  return range;
}

NumberRange integers_in(Op op, double bound) {
  return range_of(op, bound, kLeastInteger, kMostInteger, [](int64_t n) { return static_cast<double>(n); });
}

NumberRange reals_in(Op op, double bound) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return range_of(op, bound, ordered_bits(-kInfinity), ordered_bits(kInfinity), real_of);
}

void add_range(std::vector<NumberRange>& ranges, NumberRange range) {
  if (range.first <= range.last) ranges.push_back(range);
}

void sort_and_join(std::vector<NumberRange>& ranges) {
  std::ranges::sort(ranges, {}, &NumberRange::first);
  size_t kept = 0;
  for (const NumberRange& range : ranges) {
    if (kept > 0 && range.first <= ranges[kept - 1].last) {
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, range.last);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

std::vector<CodeRange> join(std::vector<uint32_t>& codes) {
  std::vector<CodeRange> ranges;
  if (!std::ranges::is_sorted(codes)) std::ranges::sort(codes);
  for (const uint32_t code : codes) {
    if (!ranges.empty() && code <= ranges.back().last + 1) {
      ranges.back().last = code;
    } else {
      ranges.push_back({code, code});
    }
  }
  return ranges;
}

template <class Range>
std::vector<Range> common(const std::vector<Range>& a, const std::vector<Range>& b) {
  std::vector<Range> both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const Range range{std::max(a[i].first, b[j].first), std::min(a[i].last, b[j].last)};
    if (range.first <= range.last) both.push_back(range);
    a[i].last < b[j].last ? ++i : ++j;
  }
  return both;
}

}  // namespace

void ValueSet::intersect(const ValueSet& other) {
  codes = common(codes, other.codes);
  integers = common(integers, other.integers);
  reals = common(reals, other.reals);
}

int64_t ordered_bits(double real) {
  const auto bits = std::bit_cast<int64_t>(real);
  return bits ^ ((bits >> 63) & kMostInteger);
}

double real_of(int64_t bits) {
  return std::bit_cast<double>(bits ^ ((bits >> 63) & kMostInteger));
}

std::optional<uint32_t> ValueDictionary::find_text(std::string_view text) const {
  const auto* slot = text_numbers_.find(hash_text(text), [&](uint32_t number) { return texts_[number] == text; });
  if (slot == nullptr) return std::nullopt;
  return slot->number_plus_one - 1;
}

char* ValueDictionary::room(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > chunk_left_) {
    chunk_size_ = std::max(bytes, std::clamp(chunk_size_ * 2, kFirstChunk, kChunkMax));
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk_size_));
    chunk_left_ = chunk_size_;
    chunk_bytes_ += chunk_size_;
  }
  char* const place = chunks_.back().get() + (chunk_size_ - chunk_left_);
  chunk_left_ -= bytes;
  return place;
}

uint32_t ValueDictionary::add_text(std::string_view text) {
  if (const auto known = find_text(text)) return *known;
  char* const place = room(text.size());
  if (!text.empty()) std::memcpy(place, text.data(), text.size());
  const auto number = static_cast<uint32_t>(texts_.size());
  texts_.push_back({place, text.size()});
  text_codes_.push_back(kNoCode);
  text_numbers_.insert(hash_text(text), number);
  return number;
}

uint32_t ValueDictionary::add_value(Kind kind, uint64_t payload) {
  const uint32_t code = codes_end();
  kinds_.push_back(kind);
  payloads_.push_back(payload);
  if (kind == Kind::text) {
    text_codes_[payload] = code;
  } else if (kind == Kind::list) {
    list_codes_.push_back(code);
    lists_.insert(hash_list(list(payload)), code);
  } else {
    plain_codes_.push_back(code);
  }
  return code;
}

CodedValue ValueDictionary::encode_number(Kind kind, int64_t number) {
  for (const uint32_t code : plain_codes_) {
    if (payloads_[code - kFirstCode] == static_cast<uint64_t>(number) && kinds_[code - kFirstCode] == kind) {
      return {code, 0};
    }
  }
  const bool few = plain_codes_.size() < kNumbersMax || kind == Kind::none || kind == Kind::boolean;
  if (few) return {add_value(kind, static_cast<uint64_t>(number)), 0};
  return {kind == Kind::integer ? kIntegerCode : kRealCode, number};
}

std::span<const uint32_t> ValueDictionary::list(uint64_t payload) const {
  return elements_.span().subspan(payload + 1, elements_[payload]);
}

uint32_t ValueDictionary::encode_list(const std::vector<std::string>& list) {
  std::vector<uint32_t> texts;
  texts.reserve(list.size());
  for (const std::string& text : list) texts.push_back(add_text(text));
  const auto* known = lists_.find(hash_list(texts), [&](uint32_t code) {
    return std::ranges::equal(this->list(payloads_[code - kFirstCode]), texts);
  });
  if (known != nullptr) return known->number_plus_one - 1;
  const uint64_t place = elements_.size();
  elements_.push_back(static_cast<uint32_t>(texts.size()));
  elements_.append(texts);
  return add_value(Kind::list, place);
}

CodedValue ValueDictionary::encode(const core::MetadataValue& value) {
  if (const auto* b = std::get_if<bool>(&value)) return encode_number(Kind::boolean, *b ? 1 : 0);
  if (const auto* i = std::get_if<int64_t>(&value)) return encode_number(Kind::integer, *i);
  if (const auto* d = std::get_if<double>(&value)) return encode_number(Kind::real, ordered_bits(*d));
  if (const auto* l = std::get_if<std::vector<std::string>>(&value)) return {encode_list(*l), 0};
  if (const auto* s = std::get_if<std::string>(&value)) {
    const uint32_t text = add_text(*s);
    return {text_codes_[text] != kNoCode ? text_codes_[text] : add_value(Kind::text, text), 0};
  }
  return encode_number(Kind::none, 0);
}

core::MetadataValue ValueDictionary::decode(CodedValue value) const {
  if (value.code == kIntegerCode) return value.number;
  if (value.code == kRealCode) return real_of(value.number);
  const uint64_t payload = payloads_[value.code - kFirstCode];
  switch (kinds_[value.code - kFirstCode]) {
    case Kind::none:
      break;
    case Kind::boolean:
      return payload != 0;
    case Kind::integer:
      return static_cast<int64_t>(payload);
    case Kind::real:
      return real_of(static_cast<int64_t>(payload));
    case Kind::text:
      return std::string(texts_[payload]);
    case Kind::list: {
      std::vector<std::string> texts;
      for (const uint32_t text : list(payload)) texts.emplace_back(texts_[text]);
      return texts;
    }
  }
  return std::monostate();
}

void ValueDictionary::equal_to_text(const std::string& text, std::vector<uint32_t>& codes) const {
  const auto number = find_text(text);
  if (!number) return;
  if (text_codes_[*number] != kNoCode) codes.push_back(text_codes_[*number]);
  for (const uint32_t code : list_codes_) {
    const auto texts = list(payloads_[code - kFirstCode]);
    if (std::ranges::find(texts, *number) != texts.end()) codes.push_back(code);
  }
}

void ValueDictionary::equal_to_list(const std::vector<std::string>& list, std::vector<uint32_t>& codes) const {
  std::vector<uint32_t> texts;
  for (const std::string& text : list) {
    const auto number = find_text(text);
    if (!number) return;
    texts.push_back(*number);
  }
  const auto* known = lists_.find(hash_list(texts), [&](uint32_t code) {
    return std::ranges::equal(this->list(payloads_[code - kFirstCode]), texts);
  });
  if (known != nullptr) codes.push_back(known->number_plus_one - 1);
}

void ValueDictionary::equal_to(const core::MetadataValue& value, std::vector<uint32_t>& codes, ValueSet& set) const {
  if (const auto* text = std::get_if<std::string>(&value)) return equal_to_text(*text, codes);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return equal_to_list(*list, codes);
  NumberRange integers;
  NumberRange reals;
  if (const auto number = as_number(value)) {
    const auto* const integer = std::get_if<int64_t>(&value);
    integers = integer != nullptr ? NumberRange{*integer, *integer} : integers_in(Op::eq, *number);
    reals = reals_in(Op::eq, *number);
    add_range(set.integers, integers);
    add_range(set.reals, reals);
  }
  const bool* const boolean = std::get_if<bool>(&value);
  for (const uint32_t code : plain_codes_) {
    const auto payload = static_cast<int64_t>(payloads_[code - kFirstCode]);
    bool equal = false;
    switch (kinds_[code - kFirstCode]) {
      case Kind::integer:
        equal = payload >= integers.first && payload <= integers.last;
        break;
      case Kind::real:
        equal = payload >= reals.first && payload <= reals.last;
        break;
      case Kind::boolean:
        equal = boolean != nullptr && *boolean == (payload != 0);
        break;
      default:
        equal = std::holds_alternative<std::monostate>(value);
        break;
    }
    if (equal) codes.push_back(code);
  }
}

void ValueDictionary::ordered(const core::Filter& filter, std::vector<uint32_t>& codes, ValueSet& set) const {
  const core::MetadataValue& bound = filter.values.front();
  if (const auto* text = std::get_if<std::string>(&bound)) {
    for (size_t i = 0; i < kinds_.size(); ++i) {
      if (kinds_[i] != Kind::text) continue;
      if (accepts(filter.op, texts_[payloads_[i]].compare(*text)))
        codes.push_back(kFirstCode + static_cast<uint32_t>(i));
    }
    return;
  }
  const auto number = as_number(bound);
  if (!number) return;
  add_range(set.integers, integers_in(filter.op, *number));
  add_range(set.reals, reals_in(filter.op, *number));
  for (const uint32_t code : plain_codes_) {
    const auto payload = static_cast<int64_t>(payloads_[code - kFirstCode]);
    const Kind kind = kinds_[code - kFirstCode];
    const bool integer = kind == Kind::integer;
    if (!integer && kind != Kind::real) continue;
    if (accepts(filter.op, integer ? static_cast<double>(payload) : real_of(payload), *number)) codes.push_back(code);
  }
}

ValueSet ValueDictionary::matching(const core::Filter& filter) const {
  ValueSet set;
  if (filter.op == Op::exists) {
    set.codes.push_back({kFirstCode, std::numeric_limits<uint32_t>::max()});
    set.integers.push_back({kLeastInteger, kMostInteger});
    set.reals.push_back({kLeastInteger, kMostInteger});
    return set;
  }
  std::vector<uint32_t> codes;
  if (filter.op == Op::in) {
    for (const core::MetadataValue& value : filter.values) equal_to(value, codes, set);
  } else if (!filter.values.empty()) {
    filter.op == Op::eq ? equal_to(filter.values.front(), codes, set) : ordered(filter, codes, set);
  }
  set.codes = join(codes);
  sort_and_join(set.integers);
  sort_and_join(set.reals);
  return set;
}

bool ValueDictionary::add(const Part& part) {
  uint64_t bytes = 0;
  for (const uint32_t length : part.text_lengths) bytes += length;
  if (bytes != part.text_bytes.size() || part.kinds.size() != part.payloads.size()) return false;
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max() - kFirstCode;
  if (texts_.size() + part.text_lengths.size() > kMost || kinds_.size() + part.kinds.size() > kMost) return false;

  char* const place = room(bytes);
  if (bytes > 0) std::memcpy(place, part.text_bytes.data(), bytes);
  texts_.reserve(texts_.size() + part.text_lengths.size());
  text_numbers_.reserve(texts_.size() + part.text_lengths.size());
  add_texts(place, part.text_lengths);
  text_codes_.append(part.text_lengths.size(), kNoCode);
  elements_.append(part.elements);
  return add_values(part);
}

void ValueDictionary::add_texts(const char* bytes, std::span<const uint32_t> lengths) {
  constexpr size_t kAhead = 32;  // so many places in the table are on their way at once
  std::array<uint32_t, kAhead> hashes;
  for (size_t first = 0; first < lengths.size(); first += kAhead) {
    const size_t count = std::min(kAhead, lengths.size() - first);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view text(bytes, lengths[first + i]);
      bytes += text.size();
      texts_.push_back(text);
      hashes[i] = hash_text(text);
      text_numbers_.prefetch(hashes[i]);
    }
    const auto number = static_cast<uint32_t>(texts_.size() - count);
    for (size_t i = 0; i < count; ++i) text_numbers_.insert(hashes[i], number + static_cast<uint32_t>(i));
  }
}

bool ValueDictionary::add_values(const Part& part) {
  uint64_t list_end = elements_.size() - part.elements.size();
  kinds_.reserve(kinds_.size() + part.kinds.size());
  payloads_.reserve(payloads_.size() + part.kinds.size());
  for (size_t i = 0; i < part.kinds.size(); ++i) {
    const Kind kind = part.kinds[i];
    const uint64_t payload = part.payloads[i];
    if (static_cast<uint8_t>(kind) >= kKinds) return false;
    if (kind == Kind::text && (payload >= texts_.size() || text_codes_[payload] != kNoCode)) return false;
    if (kind == Kind::list) {
      // Lists follow each other without gaps.
      if (payload != list_end || payload >= elements_.size()) return false;
      if (elements_[payload] > elements_.size() - payload - 1) return false;
      list_end = payload + 1 + elements_[payload];
      for (const uint32_t text : list(payload)) {
        if (text >= texts_.size()) return false;
      }
    }
    if (kind != Kind::text && kind != Kind::list && plain_codes_.size() >= kNumbersMax + 3) return false;
    add_value(kind, payload);
  }
  return list_end == elements_.size();
}

uint64_t ValueDictionary::memory_bytes() const {
  return texts_.memory_bytes() + text_codes_.memory_bytes() + text_numbers_.memory_bytes() + chunk_bytes_ +
         kinds_.memory_bytes() + payloads_.memory_bytes() + elements_.memory_bytes() + plain_codes_.memory_bytes() +
         list_codes_.memory_bytes() + lists_.memory_bytes();
}

}  // namespace tessera::index
