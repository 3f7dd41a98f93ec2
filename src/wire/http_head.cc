#include "wire/http_head.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tessera::wire {

namespace {

constexpr size_t kMethodBytesMax = 32;
constexpr size_t kSkippedBytesMax = 8 * 1024;

constexpr std::array<bool, 256> token_table() {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c) {
    table[c] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kToken = token_table();

// These look at all bytes: without an early end there is nothing to mispredict, and ranges of bytes are vectorized.
bool is_token(std::string_view text) {
  bool good = !text.empty();
  for (const char c : text) good &= kToken[static_cast<unsigned char>(c)];
  return good;
}

bool is_field_value(std::string_view text) {
  bool good = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    good &= (byte >= 0x20 && byte != 0x7f) || byte == '\t';
  }
  return good;
}

bool is_target(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f && byte != '#';
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Refusal bad(std::string_view message) {
  return {400, "BAD_REQUEST", message};
}

std::optional<Refusal> split_target(Request& request) {
  std::string_view target = request.target;
  if (target.front() != '/') {
    if (target == "*" && request.method == Method::options) {
      request.raw_path = target;
      request.path = target;
      return std::nullopt;
    }
    // The absolute form, which proxies send.
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos ||
        (target.substr(0, scheme) != "http" && target.substr(0, scheme) != "https")) {
      return bad("the request target must be a path");
    }
    const size_t slash = target.find_first_of("/?", scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    if (target.front() != '/') return bad("the request target must be a path");
  }
  const size_t mark = std::min(target.find('?'), target.size());
  request.raw_path = target.substr(0, mark);
  request.query = target.substr(std::min(mark + 1, target.size()));
  if (request.raw_path.find('%') == std::string_view::npos) {
    request.path = request.raw_path;
    return std::nullopt;
  }
  auto path = percent_decode(request.raw_path);
  if (!path || path->find('\0') != std::string::npos) return bad("the path holds a broken escape");
  request.path = *std::move(path);
  return std::nullopt;
}

std::optional<Refusal> parse_request_line(std::string_view line, Request& request) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return bad("the request line is not of the form METHOD PATH HTTP/1.1");
  request.method_text = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (request.method_text.size() > kMethodBytesMax || !is_token(request.method_text))
    return bad("the method is not a token");
  if (!is_target(request.target)) return bad("the request target holds a forbidden character");
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.')
    return bad("the HTTP version is malformed");
  if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) {
    return Refusal{505, "HTTP_VERSION", "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  }
  request.version_minor = version[7] - '0';
  request.method = parse_method(request.method_text);
  return split_target(request);
}

/// What the headers say about the message itself.
struct Semantics {
  int hosts = 0;
  bool has_length = false;
  ConnectionOptions connection;
};

std::optional<Refusal> note_length(std::string_view value, Semantics& seen, BodyFraming& framing) {
  const auto length = parse_length(value);
  // Even equal repetitions are refused: one of the two parsers on the way may join them differently.
  if (!length || seen.has_length) return bad("Content-Length must be given once, as a number");
  seen.has_length = true;
  framing.length = *length;
  return std::nullopt;
}

std::optional<Refusal> note_header(const HeaderView& header, Semantics& seen, BodyFraming& framing) {
  switch (header.name.size()) {
    case 4:
      if (equal_nocase(header.name, "host")) ++seen.hosts;
      break;
    case 6:
      if (!equal_nocase(header.name, "expect")) break;
      if (!equal_nocase(header.value, "100-continue"))
        return Refusal{417, "EXPECTATION_FAILED", "only 100-continue can be expected"};
      framing.expects_continue = true;
      break;
    case 10:
      if (equal_nocase(header.name, "connection")) seen.connection.note(header.value);
      break;
    case 14:
      if (equal_nocase(header.name, "content-length")) return note_length(header.value, seen, framing);
      break;
    case 17:
      if (!equal_nocase(header.name, "transfer-encoding")) break;
      if (framing.chunked || !equal_nocase(header.value, "chunked")) {
        return Refusal{501, "TRANSFER_ENCODING", "the only transfer encoding understood is a single \"chunked\""};
      }
      framing.chunked = true;
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end == 0 ? 0 : end - 1);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

std::optional<Refusal> parse_header_line(std::string_view line, HeaderView& header) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("a header line has no colon");
  header.name = line.substr(0, colon);
  header.value = trim(line.substr(colon + 1));
  // This refuses a blank before the colon and folded lines too.
  if (!is_token(header.name)) return bad("a header name holds a forbidden character");
  if (!is_field_value(header.value)) return bad("a header value holds a forbidden character");
  return std::nullopt;
}

std::optional<uint64_t> parse_length(std::string_view value) {
  const bool digits =
      !value.empty() && value.size() <= 18 && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return std::nullopt;
  uint64_t length = 0;
  for (const char c : value) length = length * 10 + static_cast<uint64_t>(c - '0');
  return length;
}

void ConnectionOptions::note(std::string_view value) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    const std::string_view option = trim(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
    if (equal_nocase(option, "close")) close = true;
    if (equal_nocase(option, "keep-alive")) keep_alive = true;
  }
}

HeadScanner::State HeadScanner::scan(std::string_view buffer) {
  while (true) {
    const void* found =
        position_ < buffer.size() ? std::memchr(buffer.data() + position_, '\n', buffer.size() - position_) : nullptr;
    if (found == nullptr) return State::more;
    const auto at = static_cast<size_t>(static_cast<const char*>(found) - buffer.data());
    if (at == 0 || buffer[at - 1] != '\r') return State::bad;
    const bool empty = at == position_ + 1;
    position_ = at + 1;
    if (empty) return State::done;
  }
}

std::optional<Refusal> parse_head(Request& request, BodyFraming& framing, size_t headers_max) {
  std::string_view rest = request.head_bytes;
  if (auto refusal = parse_request_line(take_line(rest), request)) return refusal;
  Semantics seen;
  while (true) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    if (request.headers.size() == headers_max)
      return Refusal{431, "TOO_MANY_HEADERS", "the request has too many headers"};
    HeaderView header;
    if (auto refusal = parse_header_line(line, header)) return refusal;
    if (auto refusal = note_header(header, seen, framing)) return refusal;
    request.headers.push_back(header);
  }
  if (seen.hosts > 1 || (seen.hosts == 0 && request.version_minor == 1))
    return bad("exactly one Host header is required");
  if (framing.chunked && (seen.has_length || request.version_minor == 0)) {
    return bad("Transfer-Encoding cannot be combined with Content-Length or HTTP/1.0");
  }
  request.keep_alive = !seen.connection.close && (request.version_minor == 1 || seen.connection.keep_alive);
  if (request.version_minor == 0) framing.expects_continue = false;
  return std::nullopt;
}

bool ChunkDecoder::size_byte(char c) {
  int digit = -1;
  if (c >= '0' && c <= '9') digit = c - '0';
  if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
  if (digit >= 0) {
    left_ = left_ * 16 + static_cast<uint64_t>(digit);
    return ++digits_ <= 15;
  }
  if (digits_ == 0) return false;
  if (c == '\r') {
    step_ = Step::size_lf;
    return true;
  }
  if (c == ';') step_ = Step::extension;
  return c == ';';
}

bool ChunkDecoder::line_byte(char c) {
  switch (step_) {
    case Step::size:
      return size_byte(c);
    case Step::extension:
      if (c == '\r') step_ = Step::size_lf;
      return c != '\n' && ++skipped_ <= kSkippedBytesMax;
    case Step::size_lf:
      step_ = left_ == 0 ? Step::trailer : Step::data;
      digits_ = 0;
      return c == '\n';
    case Step::data_cr:
      step_ = Step::data_lf;
      return c == '\r';
    case Step::data_lf:
      step_ = Step::size;
      return c == '\n';
    case Step::trailer:
      step_ = c == '\r' ? Step::end_lf : Step::trailer_line;
      return c != '\n' && ++skipped_ <= kSkippedBytesMax;
    case Step::trailer_line:
      if (c == '\r') step_ = Step::trailer_lf;
      return c != '\n' && ++skipped_ <= kSkippedBytesMax;
    case Step::trailer_lf:
      step_ = Step::trailer;
      return c == '\n';
    case Step::end_lf:
      return c == '\n';
    case Step::data:
      break;
  }
  return false;
}

ChunkDecoder::State ChunkDecoder::feed(std::string_view& in, std::string& out) {
  while (!in.empty()) {
    if (step_ == Step::data) {
      const auto take = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
      out.append(in.substr(0, take));
      in.remove_prefix(take);
      left_ -= take;
      if (left_ == 0) step_ = Step::data_cr;
      continue;
    }
    const bool last = step_ == Step::end_lf;
    const char c = in.front();
    in.remove_prefix(1);
    if (!line_byte(c)) return State::bad;
    if (last) return State::done;
    if (step_ == Step::data && left_ > bytes_max_ - total_) return State::too_large;
    if (step_ == Step::data) total_ += left_;
  }
  return State::more;
}

}  // namespace tessera::wire
