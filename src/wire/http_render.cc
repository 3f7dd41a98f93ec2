#include "wire/http_render.h"

#include <algorithm>
#include <charconv>

namespace tessera::wire {

namespace {

// All bytes are looked at, since a loop that ends early is not vectorized.
bool safe(std::string_view text) {
  bool unsafe = false;
  for (const char c : text) unsafe |= c == '\r' || c == '\n' || c == '\0';
  return !unsafe;
}

void append_number(std::string& out, uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  if (name.empty() || !safe(name) || !safe(value)) return;
  out.append(name);
  out.append(": ");
  out.append(value);
  out.append("\r\n");
}

}  // namespace

void append_response_head(std::string& out, int status, std::string_view content_type,
                          const std::vector<Header>& headers, const HeadFraming& framing) {
  if (status == 200) {
    out.append("HTTP/1.1 200 OK\r\n");
  } else {
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<uint64_t>(std::clamp(status, 100, 999)));
    out += ' ';
    out.append(reason_phrase(status));
    out.append("\r\n");
  }
  if (!content_type.empty()) append_header(out, "Content-Type", content_type);
  for (const auto& header : headers) append_header(out, header.name, header.value);
  if (framing.length) {
    out.append("Content-Length: ");
    append_number(out, *framing.length);
    out.append("\r\n");
  }
  if (framing.chunked) out.append("Transfer-Encoding: chunked\r\n");
  if (framing.close) out.append("Connection: close\r\n");
  if (framing.keep_alive_word) out.append("Connection: keep-alive\r\n");
  out.append("\r\n");
}

}  // namespace tessera::wire
