#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"

namespace tessera::config {

/// What a setting holds, and with that how it is written: `duration` as milliseconds or "10s", "5m", "1h"; `bytes` as a
/// number or "64MiB", "10GB"; `list` as a YAML sequence or "a, b"; `choice` as one of a few words.
enum class Kind { boolean, integer, number, text, choice, duration, bytes, list };

/// The word for a kind in documentation.
std::string_view to_string(Kind kind);

namespace detail {

template <Kind K>
struct TypeOf;
template <>
struct TypeOf<Kind::boolean> {
  using type = bool;
};
template <>
struct TypeOf<Kind::integer> {
  using type = int64_t;
};
template <>
struct TypeOf<Kind::number> {
  using type = double;
};
template <>
struct TypeOf<Kind::text> {
  using type = std::string;
};
template <>
struct TypeOf<Kind::choice> {
  using type = std::string;
};
template <>
struct TypeOf<Kind::duration> {
  using type = base::Millis;
};
template <>
struct TypeOf<Kind::bytes> {
  using type = int64_t;
};
template <>
struct TypeOf<Kind::list> {
  using type = std::vector<std::string>;
};

/// The default of a row as the member's type; a list is written with commas.
template <Kind K, class T>
typename TypeOf<K>::type initial(const T& value) {
  if constexpr (K == Kind::list) {
    std::vector<std::string> items;
    std::string_view rest(value);
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      items.emplace_back(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
    return items;
  } else {
    return typename TypeOf<K>::type(value);
  }
}

}  // namespace detail

/// The C++ type of a setting of this kind.
template <Kind K>
using TypeOf = typename detail::TypeOf<K>::type;

}  // namespace tessera::config
