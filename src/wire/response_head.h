#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "wire/http_types.h"

namespace tessera::wire {

/// The head of a response and what it says of the message.
struct ResponseHead {
  int status = 0;
  std::vector<Header> headers = {};
  std::optional<uint64_t> length = {};
  bool chunked = false;
  bool keep_alive = false;
};

/// Parses a head that a HeadScanner found, blank line included (RFC 9112, strict: no folded lines, one Content-Length,
/// never both framings, "chunked" the only encoding). False when it is not one; `head` is then of no use.
bool parse_response_head(std::string_view bytes, ResponseHead& head);

/// Whether more bytes could make `bytes` the start of a response.
bool may_be_response(std::string_view bytes);

}  // namespace tessera::wire
