#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::wire {

/// One server-sent event (WHATWG HTML, section 9.2).
struct SseEvent {
  std::string event;  ///< empty means "message"
  std::string data;   ///< lines joined with "\n"
  std::string id;     ///< the last id seen so far, also when this event carried none

  friend bool operator==(const SseEvent&, const SseEvent&) = default;
};

/// Appends one event to `out`. `id` and `event` are left out when empty; they must not hold line ends (which are cut).
/// Any line end in `data` starts a new data line.
void append_sse(std::string& out, std::string_view id, std::string_view event, std::string_view data);
/// Appends a comment line, the usual heartbeat.
void append_sse_comment(std::string& out, std::string_view text = {});

/// Turns a byte stream, cut anywhere, into events. A value; not thread-safe. An event longer than the bound is
/// too_large SSE_EVENT_TOO_LARGE, after which the parser refuses further input. The stream's last event counts only
/// when a blank line ended it.
class SseParser {
 public:
  explicit SseParser(size_t event_bytes_max = 1024 * 1024) : event_bytes_max_(event_bytes_max) {}

  /// Appends to `out` the events that `bytes` completed.
  base::Result<void> feed(std::string_view bytes, std::vector<SseEvent>& out);
  [[nodiscard]] const std::string& last_event_id() const { return last_id_; }
  /// The latest valid `retry:` in milliseconds.
  [[nodiscard]] std::optional<uint64_t> retry_ms() const { return retry_ms_; }

 private:
  base::Result<void> line(std::string_view text, std::vector<SseEvent>& out);
  void field(std::string_view name, std::string_view value);
  base::Result<void> refuse();

  size_t event_bytes_max_;
  std::string line_;  ///< the unfinished line
  std::string data_;
  std::string event_;
  std::string last_id_;
  std::optional<uint64_t> retry_ms_;
  bool has_data_ = false;
  bool after_cr_ = false;  ///< a line feed now belongs to the line before
  bool first_line_ = true;
  bool failed_ = false;
};

}  // namespace tessera::wire
