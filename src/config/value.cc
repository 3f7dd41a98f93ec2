#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/table.h"

namespace tessera::config {
namespace {

using base::Code;
using base::Result;

constexpr size_t kValueBytesMax = 64 * 1024;
constexpr size_t kListItemsMax = 1000;

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kDurationUnits[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kByteUnits[] = {{"b", 1},    {"kib", 1024},    {"mib", 1048576.0},  {"gib", 1073741824.0},
                               {"k", 1024}, {"m", 1048576.0}, {"g", 1073741824.0}, {"kb", 1e3},
                               {"mb", 1e6}, {"gb", 1e9}};

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return result;
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::unexpected<base::Error> bad(std::string message) {
  return base::fail(Code::invalid, "CONFIG_INVALID", std::move(message));
}

Result<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return bad("not a number");
  return value;
}

// A number with an optional unit behind it.
Result<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  const size_t letters = std::min(text.find_first_not_of("0123456789.-+"), text.size());
  const std::string unit = lower(trim(text.substr(letters)));
  double factor = 1;
  if (!unit.empty()) {
    const auto found = std::ranges::find(units, std::string_view(unit), &Unit::name);
    if (found == units.end()) return bad("unknown unit");
    factor = found->factor;
  }
  TESSERA_TRY(const double value, parse_number(trim(text.substr(0, letters))));
  return value * factor;
}

std::string_view kind_hint(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return "true or false";
    case Kind::integer:
      return "a whole number";
    case Kind::number:
      return "a number";
    case Kind::duration:
      return "a duration: milliseconds, or a number with ms, s, m, h or d, such as 10s";
    case Kind::bytes:
      return "a size: bytes, or a number with KiB, MiB, GiB, KB, MB or GB, such as 64MiB";
    case Kind::choice:
      return "one of the allowed words";
    case Kind::text:
      return "text";
    case Kind::list:
      return "a list";
  }
  return {};
}

Result<double> parse_measure(Kind kind, std::string_view value) {
  switch (kind) {
    case Kind::duration:
      return parse_with_unit(value, kDurationUnits);
    case Kind::bytes:
      return parse_with_unit(value, kByteUnits);
    default:
      return parse_number(value);
  }
}

Result<> assign_measure(FieldRef field, Kind kind, const Limits& limits, std::string_view value) {
  auto number = parse_measure(kind, value);
  const bool whole = kind != Kind::number;
  if (!number || (whole && (*number != std::floor(*number) || std::abs(*number) > 9e15))) {
    return bad(fmt::format("must be {}", kind_hint(kind)));
  }
  if (limits.bounded && (*number < limits.min || *number > limits.max)) {
    return bad(fmt::format("must be from {}", format_limits(kind, limits)));
  }
  if (auto* const integer = std::get_if<int64_t*>(&field)) **integer = static_cast<int64_t>(*number);
  if (auto* const fraction = std::get_if<double*>(&field)) **fraction = *number;
  if (auto* const time = std::get_if<base::Millis*>(&field)) **time = base::Millis(static_cast<int64_t>(*number));
  return {};
}

// The spelling of the table for a word written in any case; empty: it is none of the choices.
std::string_view choice_of(std::string_view choices, std::string_view word) {
  const std::string wanted = lower(word);
  while (!choices.empty()) {
    const size_t bar = std::min(choices.find('|'), choices.size());
    if (lower(choices.substr(0, bar)) == wanted) return choices.substr(0, bar);
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return {};
}

Result<> assign_choice(std::string& into, const Limits& limits, std::string_view value) {
  static constexpr std::pair<std::string_view, std::string_view> kSynonyms[] = {
      {"warning", "warn"}, {"critical", "error"}, {"fatal", "error"}, {"trace", "debug"}, {"none", "off"}};
  std::string_view choice = choice_of(limits.choices, value);
  if (choice.empty()) {
    const auto* const synonym =
        std::ranges::find(kSynonyms, std::string_view(lower(value)), [](auto& pair) { return pair.first; });
    if (synonym != std::end(kSynonyms)) choice = choice_of(limits.choices, synonym->second);
  }
  if (choice.empty()) return bad(fmt::format("must be one of {}", format_limits(Kind::choice, limits)));
  into = choice;
  return {};
}

Result<> assign_boolean(bool& into, std::string_view value) {
  const std::string word = lower(value);
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (word == yes) {
      into = true;
      return {};
    }
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (word == no) {
      into = false;
      return {};
    }
  }
  return bad("must be true or false");
}

std::string quoted(std::string_view text) {
  const bool plain = !text.empty() &&
                     text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789._/-+@") == std::string_view::npos &&
                     text.find_first_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/") == 0;
  static constexpr std::string_view kWords[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  if (plain && std::ranges::find(kWords, std::string_view(lower(text))) == std::end(kWords)) return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result += '"';
}

// The largest unit that leaves a whole number.
std::string format_measure(int64_t value, std::span<const std::pair<int64_t, std::string_view>> units) {
  for (const auto& [factor, name] : units) {
    if (value != 0 && value % factor == 0) return fmt::format("{}{}", value / factor, name);
  }
  return fmt::format("{}", value);
}
constexpr std::pair<int64_t, std::string_view> kByteNames[] = {
    {1LL << 30, "GiB"}, {1LL << 20, "MiB"}, {1LL << 10, "KiB"}};
constexpr std::pair<int64_t, std::string_view> kDurationNames[] = {
    {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}};

std::string format_number(Kind kind, double value) {
  if (kind == Kind::bytes) return format_measure(static_cast<int64_t>(value), kByteNames);
  if (kind == Kind::duration) return format_measure(static_cast<int64_t>(value), kDurationNames);
  return value == std::floor(value) ? fmt::format("{}", static_cast<int64_t>(value)) : fmt::format("{}", value);
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return "boolean";
    case Kind::integer:
      return "integer";
    case Kind::number:
      return "number";
    case Kind::text:
      return "text";
    case Kind::choice:
      return "choice";
    case Kind::duration:
      return "duration";
    case Kind::bytes:
      return "bytes";
    case Kind::list:
      return "list";
  }
  return {};
}

Result<> assign(FieldRef field, Kind kind, const Limits& limits, std::string_view value) {
  if (value.size() > kValueBytesMax) return bad("is too long");
  if (value.find('\0') != std::string_view::npos) return bad("must not contain NUL");
  const std::string_view trimmed = trim(value);
  switch (kind) {
    case Kind::boolean:
      return assign_boolean(*std::get<bool*>(field), trimmed);
    case Kind::integer:
    case Kind::number:
    case Kind::duration:
    case Kind::bytes:
      return assign_measure(field, kind, limits, trimmed);
    case Kind::choice:
      return assign_choice(*std::get<std::string*>(field), limits, trimmed);
    case Kind::text:
      *std::get<std::string*>(field) = trimmed;
      return {};
    case Kind::list: {
      std::vector<std::string> items;
      std::string_view rest = trimmed;
      while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        if (const auto item = trim(rest.substr(0, comma)); !item.empty()) items.emplace_back(item);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
      }
      return assign_list(field, std::move(items));
    }
  }
  return bad("cannot be set");
}

Result<> assign_list(FieldRef field, std::vector<std::string> values) {
  if (values.size() > kListItemsMax) return bad(fmt::format("must have at most {} items", kListItemsMax));
  *std::get<std::vector<std::string>*>(field) = std::move(values);
  return {};
}

std::string format_value(FieldRef field, Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return *std::get<bool*>(field) ? "true" : "false";
    case Kind::integer:
    case Kind::bytes:
      return format_number(kind, static_cast<double>(*std::get<int64_t*>(field)));
    case Kind::number:
      return format_number(kind, *std::get<double*>(field));
    case Kind::duration:
      return format_number(kind, static_cast<double>(std::get<base::Millis*>(field)->count()));
    case Kind::text:
    case Kind::choice:
      return quoted(*std::get<std::string*>(field));
    case Kind::list: {
      std::string result = "[";
      for (const std::string& item : *std::get<std::vector<std::string>*>(field)) {
        if (result.size() > 1) result += ", ";
        result += quoted(item);
      }
      return result += ']';
    }
  }
  return {};
}

std::string format_limits(Kind kind, const Limits& limits) {
  if (limits.bounded) return fmt::format("{} to {}", format_number(kind, limits.min), format_number(kind, limits.max));
  std::string result;
  for (const char c : limits.choices) {
    if (c == '|') {
      result += ", ";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace tessera::config
