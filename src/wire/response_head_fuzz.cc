#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "wire/http_head.h"
#include "wire/plain_url.h"
#include "wire/response_head.h"

/// A response head that is accepted has a status, at most one framing, and headers of one line each; a URL that is
/// taken apart is made of pieces of itself without blanks.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HeadScanner scanner;
  if (scanner.scan(bytes) == HeadScanner::State::done) {
    ResponseHead head;
    const std::string_view found = bytes.substr(0, scanner.size());
    if (parse_response_head(found, head)) {
      if (!may_be_response(found) || head.status < 100 || head.status > 599) std::abort();
      if (head.chunked && head.length) std::abort();
      for (const auto& header : head.headers) {
        if (header.name.empty() || header.name.find_first_of(": \r\n") != std::string::npos) std::abort();
        if (header.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
      }
    }
  }
  if (const auto url = split_plain_url(bytes)) {
    if (url->host.empty() || url->port == 0) std::abort();
    for (const auto part : {url->authority, url->host, url->target}) {
      for (const char c : part) {
        if (static_cast<unsigned char>(c) <= 0x20) std::abort();
      }
    }
  }
  return 0;
}
