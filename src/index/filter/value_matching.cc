#include <algorithm>
#include <cmath>
#include <limits>

#include "index/filter/value_dictionary.h"

// Which values satisfy a condition, as core::matches decides it.
namespace tessera::index {
namespace {

using Op = core::Filter::Op;

constexpr int64_t kLeastInteger = std::numeric_limits<int64_t>::min();
constexpr int64_t kMostInteger = std::numeric_limits<int64_t>::max();
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
  const uint32_t code = find_list(texts);
  if (code != kNoCode) codes.push_back(code);
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

}  // namespace tessera::index
