#include "core/metadata.h"

#include <algorithm>
#include <optional>

namespace tessera::core {
namespace {

std::optional<double> as_number(const MetadataValue& value) {
  if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&value)) return *d;
  return std::nullopt;
}

bool equal(const MetadataValue& a, const MetadataValue& b) {
  if (const auto* x = std::get_if<int64_t>(&a)) {
    if (const auto* y = std::get_if<int64_t>(&b)) return *x == *y;
  }
  const auto x = as_number(a);
  const auto y = as_number(b);
  if (x && y) return *x == *y;
  if (const auto* list = std::get_if<std::vector<std::string>>(&a)) {
    if (const auto* word = std::get_if<std::string>(&b)) return std::ranges::find(*list, *word) != list->end();
  }
  return a == b;
}

/// -1, 0, 1, or nothing where the two have no order.
std::optional<int> compare(const MetadataValue& a, const MetadataValue& b) {
  const auto x = as_number(a);
  const auto y = as_number(b);
  if (x && y) {
    if (*x < *y) return -1;
    if (*x > *y) return 1;
    if (*x == *y) return 0;
    return std::nullopt;  // NaN
  }
  const auto* s = std::get_if<std::string>(&a);
  const auto* t = std::get_if<std::string>(&b);
  if (s != nullptr && t != nullptr) {
    const int order = s->compare(*t);
    return order < 0 ? -1 : (order > 0 ? 1 : 0);
  }
  return std::nullopt;
}

bool test(const Filter& filter, const MetadataValue* value) {
  const auto ordered = [&](auto accept) {
    if (value == nullptr || filter.values.empty()) return false;
    const auto order = compare(*value, filter.values.front());
    return order.has_value() && accept(*order);
  };
  switch (filter.op) {
    case Filter::Op::eq:
      return value != nullptr && !filter.values.empty() && equal(*value, filter.values.front());
    case Filter::Op::ne:
      return value == nullptr || filter.values.empty() || !equal(*value, filter.values.front());
    case Filter::Op::in:
      return value != nullptr && std::ranges::any_of(filter.values, [&](const auto& v) { return equal(*value, v); });
    case Filter::Op::gt:
      return ordered([](int o) { return o > 0; });
    case Filter::Op::gte:
      return ordered([](int o) { return o >= 0; });
    case Filter::Op::lt:
      return ordered([](int o) { return o < 0; });
    case Filter::Op::lte:
      return ordered([](int o) { return o <= 0; });
    case Filter::Op::exists: {
      const bool* wanted = filter.values.empty() ? nullptr : std::get_if<bool>(&filter.values.front());
      return (value != nullptr) == (wanted == nullptr || *wanted);
    }
    case Filter::Op::all:
    case Filter::Op::any:
    case Filter::Op::none:
      break;
  }
  return false;
}

}  // namespace

bool matches(const Filter& filter, const Metadata& metadata) {
  const auto child_matches = [&](const Filter& child) { return matches(child, metadata); };
  switch (filter.op) {
    case Filter::Op::all:
      return std::ranges::all_of(filter.children, child_matches);
    case Filter::Op::any:
      return std::ranges::any_of(filter.children, child_matches);
    case Filter::Op::none:
      return std::ranges::none_of(filter.children, child_matches);
    default:
      break;
  }
  const auto it = metadata.find(filter.field);
  return test(filter, it == metadata.end() ? nullptr : &it->second);
}

}  // namespace tessera::core
