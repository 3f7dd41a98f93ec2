#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/http_types.h"

namespace tessera::wire {

/// What goes into a response head besides the handler's own headers.
struct HeadFraming {
  std::optional<uint64_t> length = {};  ///< Content-Length
  bool chunked = false;
  bool close = false;
  bool keep_alive_word = false;  ///< HTTP/1.0 needs to be told
};

/// Whether a response of that status has no body and no Content-Length (RFC 9110, 6.4.1).
inline bool bodiless(int status) {
  return status == 204 || status == 304 || (status >= 100 && status < 200);
}

/// Appends a response head, blank line included. Unsafe headers are left out.
void append_response_head(std::string& out, int status, std::string_view content_type,
                          const std::vector<Header>& headers, const HeadFraming& framing);

}  // namespace tessera::wire
