#include "wire/response_head.h"

#include "wire/http_head.h"

namespace tessera::wire {

namespace {

constexpr size_t kHeadersMax = 256;
constexpr std::string_view kVersion = "HTTP/1.";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "HTTP/1.1 200 OK"; the reason, and the blank before it, may be missing.
bool parse_status_line(std::string_view line, int& status, bool& version_1_1) {
  if (line.size() < 12 || !line.starts_with(kVersion) || line[8] != ' ') return false;
  if (line[7] != '0' && line[7] != '1') return false;
  version_1_1 = line[7] == '1';
  if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11])) return false;
  if (line.size() > 12 && line[12] != ' ') return false;
  status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return status >= 100 && status <= 599 && line.find('\0') == std::string_view::npos;
}

bool note_header(const HeaderView& header, ResponseHead& head, ConnectionOptions& connection) {
  if (header.name.size() == 10 && equal_nocase(header.name, "connection")) connection.note(header.value);
  if (header.name.size() == 14 && equal_nocase(header.name, "content-length")) {
    if (head.length) return false;
    head.length = parse_length(header.value);
    return head.length.has_value();
  }
  if (header.name.size() == 17 && equal_nocase(header.name, "transfer-encoding")) {
    if (head.chunked || !equal_nocase(header.value, "chunked")) return false;
    head.chunked = true;
  }
  return true;
}

}  // namespace

bool may_be_response(std::string_view bytes) {
  return bytes.size() < kVersion.size() ? kVersion.starts_with(bytes) : bytes.starts_with(kVersion);
}

bool parse_response_head(std::string_view bytes, ResponseHead& head) {
  head = {};
  bool version_1_1 = false;
  if (!parse_status_line(take_line(bytes), head.status, version_1_1)) return false;
  ConnectionOptions connection;
  head.headers.reserve(8);
  while (true) {
    const std::string_view line = take_line(bytes);
    if (line.empty()) break;
    HeaderView header;
    if (head.headers.size() == kHeadersMax || parse_header_line(line, header)) return false;
    if (!note_header(header, head, connection)) return false;
    head.headers.push_back({.name = std::string(header.name), .value = std::string(header.value)});
  }
  if (head.chunked && (head.length || !version_1_1)) return false;
  head.keep_alive = !connection.close && (version_1_1 || connection.keep_alive);
  return true;
}

}  // namespace tessera::wire
