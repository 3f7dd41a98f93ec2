#include "wire/sse.h"

#include <algorithm>
#include <charconv>

namespace tessera::wire {

namespace {

constexpr std::string_view kLineEnds = "\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find_first_of(kLineEnds));
}

/// Takes the text up to the next line end (any of the three kinds) off `rest`; `more` tells whether there was one.
std::string_view take_line(std::string_view& rest, bool& more) {
  const size_t end = rest.find_first_of(kLineEnds);
  more = end != std::string_view::npos;
  const std::string_view line = rest.substr(0, end);
  if (!more) {
    rest = {};
  } else {
    rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  return line;
}

}  // namespace

void append_sse(std::string& out, std::string_view id, std::string_view event, std::string_view data) {
  if (const auto line = first_line(id); !line.empty()) out.append("id: ").append(line).append("\n");
  if (const auto line = first_line(event); !line.empty()) out.append("event: ").append(line).append("\n");
  bool more = true;
  while (more) out.append("data: ").append(take_line(data, more)).append("\n");
  out.append("\n");
}

void append_sse_comment(std::string& out, std::string_view text) {
  out.append(text.empty() ? ":" : ": ").append(first_line(text)).append("\n\n");
}

base::Result<void> SseParser::refuse() {
  failed_ = true;
  std::string().swap(line_);
  std::string().swap(data_);
  return base::fail(base::Code::too_large, "SSE_EVENT_TOO_LARGE", "an event of the stream is longer than allowed");
}

base::Result<void> SseParser::feed(std::string_view bytes, std::vector<SseEvent>& out) {
  if (failed_) return refuse();
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of(kLineEnds);
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() > event_bytes_max_) return refuse();
    if (end == std::string_view::npos) {
      line_.append(piece);
      return {};
    }
    if (line_.empty()) {
      TESSERA_CHECK(line(piece, out));
    } else {
      line_.append(piece);
      TESSERA_CHECK(line(line_, out));
      line_.clear();
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
  }
  return {};
}

base::Result<void> SseParser::line(std::string_view text, std::vector<SseEvent>& out) {
  if (first_line_ && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  first_line_ = false;
  if (text.empty()) {
    if (has_data_) {
      data_.pop_back();
      out.push_back({.event = std::move(event_), .data = std::move(data_), .id = last_id_});
    }
    has_data_ = false;
    data_.clear();
    event_.clear();
    return {};
  }
  const size_t colon = std::min(text.find(':'), text.size());
  std::string_view value = text.substr(std::min(colon + 1, text.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (data_.size() + event_.size() + value.size() > event_bytes_max_) return refuse();
  field(text.substr(0, colon), value);
  return {};
}

void SseParser::field(std::string_view name, std::string_view value) {
  if (name == "data") {
    data_.append(value).append("\n");
    has_data_ = true;
  } else if (name == "event") {
    event_ = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) last_id_ = value;
  } else if (name == "retry") {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (!value.empty() && error == std::errc() && end == value.data() + value.size()) retry_ms_ = number;
  }
}

}  // namespace tessera::wire
