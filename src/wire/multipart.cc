#include "wire/multipart.h"

#include <algorithm>
#include <optional>

#include "wire/http_types.h"

namespace tessera::wire {

using base::Code;
using base::Result;

namespace {

std::unexpected<base::Error> bad(std::string message) {
  return base::fail(Code::invalid, "BAD_MULTIPART", std::move(message));
}
std::unexpected<base::Error> too_large(std::string message) {
  return base::fail(Code::too_large, "MULTIPART_TOO_LARGE", std::move(message));
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes a quoted string off `rest`, which begins after the opening quote. Browsers escape only the quote, as %22 or
/// \"; a backslash before anything else is itself (some send whole Windows paths).
std::optional<std::string> take_quoted(std::string_view& rest) {
  std::string out;
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return out;
    }
    if (rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) ++i;
    out += rest[i];
  }
  return std::nullopt;
}

/// Calls `each(name, value)` for the parameters after the first word of a header value; false when they are malformed.
template <class F>
bool for_each_parameter(std::string_view value, F each) {
  size_t semicolon = value.find(';');
  std::string_view rest = semicolon == std::string_view::npos ? std::string_view() : value.substr(semicolon);
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the semicolon
    rest = trim(rest);
    if (rest.empty()) return true;
    if (rest.front() == ';') continue;
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = trim(rest.substr(0, equals));
    rest = trim(rest.substr(equals + 1));
    std::string text;
    if (rest.starts_with('"')) {
      rest.remove_prefix(1);
      auto quoted = take_quoted(rest);
      if (!quoted) return false;
      text = *std::move(quoted);
      rest = trim(rest);
      if (!rest.empty() && rest.front() != ';') return false;
    } else {
      semicolon = std::min(rest.find(';'), rest.size());
      text = trim(rest.substr(0, semicolon));
      rest.remove_prefix(semicolon);
    }
    each(name, std::move(text));
  }
  return true;
}

/// RFC 8187: charset'language'percent-encoded. UTF-8 only.
std::optional<std::string> decode_extended(std::string_view text) {
  const size_t first = text.find('\'');
  const size_t second = first == std::string_view::npos ? first : text.find('\'', first + 1);
  if (second == std::string_view::npos || !equal_nocase(text.substr(0, first), "utf-8")) return std::nullopt;
  return percent_decode(text.substr(second + 1));
}

Result<void> read_disposition(std::string_view value, MultipartPart& part) {
  if (!equal_nocase(trim(value.substr(0, value.find(';'))), "form-data"))
    return bad("a part of the form is not form-data");
  bool named = false;
  bool extended = false;
  const bool sane = for_each_parameter(value, [&](std::string_view name, std::string text) {
    if (equal_nocase(name, "name") && !named) {
      named = true;
      part.name = std::move(text);
    } else if (equal_nocase(name, "filename*")) {
      if (auto decoded = decode_extended(text)) {
        part.file_name = *std::move(decoded);
        part.is_file = extended = true;
      }
    } else if (equal_nocase(name, "filename") && !extended) {
      part.file_name = std::move(text);
      part.is_file = true;
    }
  });
  if (!sane || !named) return bad("a part of the form has a malformed Content-Disposition");
  return {};
}

Result<void> read_headers(std::string_view block, MultipartPart& part) {
  bool disposed = false;
  while (!block.empty()) {
    const size_t end = std::min(block.find("\r\n"), block.size());
    const std::string_view line = block.substr(0, end);
    block.remove_prefix(std::min(end + 2, block.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("a part of the form has a malformed header");
    const std::string_view value = trim(line.substr(colon + 1));
    if (equal_nocase(line.substr(0, colon), "content-disposition")) {
      if (disposed) return bad("a part of the form has two Content-Dispositions");
      disposed = true;
      TESSERA_CHECK(read_disposition(value, part));
    } else if (equal_nocase(line.substr(0, colon), "content-type")) {
      part.content_type = value;
    }
  }
  if (!disposed) return bad("a part of the form has no Content-Disposition");
  return {};
}

/// Takes one part, headers and body, off `rest`, which begins after the boundary's line end and is left after the next
/// boundary's dashes.
Result<MultipartPart> take_part(std::string_view& rest, const std::string& delimiter, const MultipartLimits& limits) {
  MultipartPart part;
  // A part without headers begins with the blank line at once, and is refused for want of a name.
  const size_t head_end = rest.starts_with("\r\n") ? 0 : rest.find("\r\n\r\n");
  const size_t head_size = std::min(head_end, rest.size());
  if (head_size > limits.part_header_bytes_max) return too_large("the headers of a part of the form are too large");
  if (head_end == std::string_view::npos) return bad("a part of the form has no end of headers");
  TESSERA_CHECK(read_headers(rest.substr(0, head_end), part));
  rest.remove_prefix(head_end + 2);
  // The line end before a boundary belongs to the boundary. One line end is left here: an empty part may share it with
  // its headers.
  const size_t end = rest.find(delimiter);
  if (end == std::string_view::npos) return bad("the form ends without its closing boundary");
  if (end > 2) part.body = rest.substr(2, end - 2);
  if (part.body.size() > limits.part_bytes_max) return too_large("a part of the form is too large");
  rest.remove_prefix(end + delimiter.size());
  return part;
}

}  // namespace

Result<std::string> multipart_boundary(std::string_view content_type) {
  if (!equal_nocase(trim(content_type.substr(0, content_type.find(';'))), "multipart/form-data")) {
    return bad("the Content-Type is not multipart/form-data");
  }
  std::optional<std::string> boundary;
  const bool sane = for_each_parameter(content_type, [&](std::string_view name, std::string text) {
    if (equal_nocase(name, "boundary") && !boundary) boundary = std::move(text);
  });
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (!sane || !boundary || boundary->empty() || boundary->size() > 70 || !std::ranges::all_of(*boundary, printable)) {
    return bad("the Content-Type has no usable boundary");
  }
  return *std::move(boundary);
}

Result<std::vector<MultipartPart>> parse_multipart(std::string_view body, std::string_view boundary,
                                                   const MultipartLimits& limits) {
  if (boundary.empty()) return bad("the form has no boundary");
  const std::string delimiter = "\r\n--" + std::string(boundary);
  std::string_view rest = body;
  // The first boundary may open the body or follow a preamble.
  if (rest.starts_with(std::string_view(delimiter).substr(2))) {
    rest.remove_prefix(delimiter.size() - 2);
  } else {
    const size_t first = rest.find(delimiter);
    if (first == std::string_view::npos) return bad("the form does not contain its boundary");
    rest.remove_prefix(first + delimiter.size());
  }
  std::vector<MultipartPart> parts;
  while (!rest.starts_with("--")) {
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    if (!rest.starts_with("\r\n")) return bad("a boundary of the form is not followed by a line end");
    rest.remove_prefix(2);
    if (parts.size() == limits.parts_max) return too_large("the form has too many parts");
    TESSERA_TRY(auto part, take_part(rest, delimiter, limits));
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace tessera::wire
