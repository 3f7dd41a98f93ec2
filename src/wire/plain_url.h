#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera::wire {

/// The parts of a plain "http://" URL; views into it.
struct PlainUrl {
  std::string_view authority;  ///< "host:port" as written, for the Host header
  std::string_view host;       ///< without brackets
  uint16_t port = 80;
  std::string_view target;  ///< path and query; empty stands for "/"
};

/// Takes a URL of the simple kind apart: http, a name or address of ASCII, no user, no fragment, no dot segments.
/// Nothing for all others, which are not wrong, but left to libcurl.
std::optional<PlainUrl> split_plain_url(std::string_view url);

}  // namespace tessera::wire
