#include "llm/providers/relay_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "text/json_skim.h"

namespace tessera::llm {
namespace {

using base::Code;
using text::JsonCursor;
using text::JsonKind;
using text::JsonMember;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

base::Error bad_response(std::string_view provider, std::string_view what) {
  return base::make_error(Code::upstream, "BAD_RESPONSE",
                          fmt::format("the provider {} answered with {}", provider, what));
}

int64_t count_of(std::string_view value) {
  return std::max<int64_t>(0, text::json_integer(value).value_or(0));
}

// Reads the details at the cursor.
int64_t cached_of(JsonCursor& at) {
  int64_t cached = 0;
  if (at.peek() != JsonKind::object) {
    at.skip();
    return cached;
  }
  at.enter_object();
  for (std::string_view key; at.next_member(key);) {
    const std::string_view value = at.skip();
    if (key == "cached_tokens") cached = count_of(value);
  }
  return cached;
}

// Reads the usage at the cursor.
void read_usage(JsonCursor& at, core::RelayReport& report) {
  if (at.peek() != JsonKind::object) {
    at.skip();
    return;
  }
  at.enter_object();
  core::Usage& usage = report.usage;
  for (std::string_view key; at.next_member(key);) {
    if (key == "prompt_tokens_details" || key == "input_tokens_details") {
      usage.cached_prompt_tokens = cached_of(at);
      continue;
    }
    const std::string_view value = at.skip();
    if (key == "prompt_tokens" || key == "input_tokens") usage.prompt_tokens = count_of(value);
    if (key == "completion_tokens" || key == "output_tokens") usage.completion_tokens = count_of(value);
    if (key == "prompt_cache_hit_tokens") usage.cached_prompt_tokens = count_of(value);
  }
  report.usage_reported |= at.ok();
}

void read_usage(std::string_view value, core::RelayReport& report) {
  JsonCursor at(value);
  read_usage(at, report);
}

// Groq reports the usage of streams beside the choices.
void read_groq(std::string_view extra, core::RelayReport& report) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(extra, members)) return;
  const JsonMember* usage = text::find_member(members, "usage");
  if (usage != nullptr && usage->kind == JsonKind::object) read_usage(usage->value, report);
}

bool counts(std::string_view key) {
  return key == "content" || key == "arguments" || key == "text" || key == "refusal" || key == "reasoning" ||
         key == "reasoning_content" || key == "thinking" || key == "input";
}

// Bytes of the texts of a message or delta, whatever they are nested in.
int64_t answer_bytes(JsonCursor& at, std::string_view name, int depth) {
  int64_t bytes = 0;
  std::string_view key;
  switch (depth < 16 ? at.peek() : JsonKind::none) {
    case JsonKind::object:
      at.enter_object();
      while (at.next_member(key)) bytes += answer_bytes(at, key, depth + 1);
      return bytes;
    case JsonKind::array:
      at.enter_array();
      while (at.next_element()) bytes += answer_bytes(at, name, depth + 1);
      return bytes;
    default: {
      const std::string_view value = at.skip();
      if (!value.starts_with('"') || !counts(name)) return 0;
      const bool plain = value.find('\\') == std::string_view::npos;
      return static_cast<int64_t>(plain ? value.size() - 2 : text::json_text_size(value));
    }
  }
}

struct ChoiceSeen {
  int64_t index = 0;
  int64_t bytes = 0;
  std::string_view finish;  ///< with quotes; empty: none
};

// Reads the choice at the cursor.
ChoiceSeen read_choice(JsonCursor& at) {
  ChoiceSeen seen;
  if (at.peek() != JsonKind::object) {
    at.skip();
    return seen;
  }
  at.enter_object();
  for (std::string_view key; at.next_member(key);) {
    if (key == "delta" || key == "message") {
      seen.bytes = answer_bytes(at, {}, 0);
      continue;
    }
    const std::string_view value = at.skip();
    if (key == "index") seen.index = count_of(value);
    if (key == "finish_reason" && value.size() > 2 && value.front() == '"') seen.finish = value;
  }
  return seen;
}

void note_choice(const ChoiceSeen& seen, core::RelayReport& report) {
  report.answer_bytes += seen.bytes;
  if (seen.index == 0 && !seen.finish.empty()) report.finish_reason = text::json_text(seen.finish).value_or("");
}

}  // namespace

base::Result<> read_relayed_answer(const RelayWatch& watch, std::string_view body, core::RelayReport& report) {
  JsonCursor at(body);
  bool choices = false;
  std::string_view error;
  if (!at.enter_object()) return std::unexpected(bad_response(watch.provider, "something that is not JSON"));
  for (std::string_view key; at.next_member(key);) {
    const JsonKind kind = at.peek();
    if (key == "choices" && kind == JsonKind::array) {
      at.enter_array();
      while (at.next_element()) {
        note_choice(read_choice(at), report);
        choices = true;
      }
      continue;
    }
    if (key == "usage") {
      read_usage(at, report);
      continue;
    }
    const std::string_view value = at.skip();
    if (key == "model" && kind == JsonKind::string) report.model = text::json_text(value).value_or("");
    if (key == "error" && kind != JsonKind::null) error = value;
  }
  if (!at.at_end()) return std::unexpected(bad_response(watch.provider, "something that is not JSON"));
  if (choices) return {};
  if (!error.empty()) return std::unexpected(relayed_error(watch.provider, error, watch.secret));
  return std::unexpected(bad_response(watch.provider, "no message"));
}

void read_usage_of(std::string_view body, core::RelayReport& report) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(body, members)) return;
  const JsonMember* usage = text::find_member(members, "usage");
  if (usage != nullptr && usage->kind == JsonKind::object) read_usage(usage->value, report);
}

base::Result<> read_relayed_object(const RelayWatch& watch, std::string_view body, core::RelayReport& report) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(body, members)) {
    return std::unexpected(bad_response(watch.provider, "something that is not JSON"));
  }
  const JsonMember* error = text::find_member(members, "error");
  if (error != nullptr && error->kind != JsonKind::null) {
    return std::unexpected(relayed_error(watch.provider, error->value, watch.secret));
  }
  const JsonMember* model = text::find_member(members, "model");
  if (model != nullptr) report.model = text::json_text(model->value).value_or(report.model);
  const JsonMember* output = text::find_member(members, "output");
  if (output != nullptr) {
    JsonCursor at(output->value);
    report.answer_bytes += answer_bytes(at, {}, 0);
  }
  const JsonMember* status = text::find_member(members, "status");
  if (status != nullptr) report.finish_reason = status->value == "\"incomplete\"" ? "length" : "stop";
  read_usage_of(body, report);
  return {};
}

std::string_view RelayStream::feed(std::string bytes) {
  if (used_ > 0) first_ = false;
  buffer_.erase(0, used_);
  scanned_ -= used_;
  used_ = 0;
  if (buffer_.empty()) {
    buffer_ = std::move(bytes);
  } else {
    buffer_ += bytes;
  }
  if (first_ && buffer_.size() >= kByteOrderMark.size()) {
    if (buffer_.starts_with(kByteOrderMark)) {
      buffer_.erase(0, kByteOrderMark.size());
      scanned_ = 0;  // a part of the mark was looked through already
    }
    first_ = false;
  }
  out_ = {};
  apart_ = false;
  kept_.clear();
  take_events();
  return apart_ ? std::string_view(kept_) : out_;
}

// An event ends with an empty line: "\n\n" or "\n\r\n".
void RelayStream::take_events() {
  const std::string_view bytes = buffer_;
  while (!error_ && !done_) {
    const size_t end = bytes.find('\n', scanned_);
    if (end == std::string_view::npos) {
      scanned_ = bytes.size();
      break;
    }
    scanned_ = end + 1;
    const std::string_view line = bytes.substr(0, end);
    const bool empty = line.size() == used_ || line.ends_with('\n') || line.ends_with("\n\r") ||
                       (line.size() == used_ + 1 && line.back() == '\r');
    if (!empty) continue;
    const std::string_view event = bytes.substr(used_, scanned_ - used_);
    used_ = scanned_;
    if (event.size() > 2 && take_event(event)) pass(event);
  }
  if (!error_ && buffer_.size() - used_ > kEventBytesMax) {
    fail(base::make_error(Code::too_large, "ANSWER_TOO_LARGE",
                          fmt::format("the provider {} answered more than can be kept", watch_.provider)));
  }
}

void RelayStream::pass(std::string_view event) {
  if (!apart_ && (out_.empty() || out_.data() + out_.size() == event.data())) {
    out_ = {out_.empty() ? event.data() : out_.data(), out_.size() + event.size()};
    return;
  }
  if (!apart_) kept_ = out_;
  apart_ = true;
  kept_ += event;
}

// False when the event is not to be passed on.
bool RelayStream::take_event(std::string_view event) {
  std::string_view data;
  size_t lines = 0;
  while (!event.empty()) {
    const size_t end = std::min(event.find('\n'), event.size() - 1);
    std::string_view line = event.substr(0, end);
    event.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("data:")) continue;
    line.remove_prefix(line.substr(5).starts_with(' ') ? 6 : 5);
    if (lines++ == 0) {
      data = line;
      continue;
    }
    if (lines == 2) joined_ = data;
    joined_.append("\n").append(line);
    data = joined_;
  }
  return lines == 0 || take_data(data);
}

bool RelayStream::take_data(std::string_view data) {
  if (data == "[DONE]") return done_ = true;
  if (watch_.form == RelayForm::responses) return take_response_event(data);
  JsonCursor at(data);
  bool usage = false;
  bool empty = true;
  std::string_view error;
  if (!at.enter_object()) {
    fail(bad_response(watch_.provider, "a stream event that is not JSON"));
    return false;
  }
  for (std::string_view key; at.next_member(key);) {
    const JsonKind kind = at.peek();
    const std::string_view value = at.skip();
    if (key == "choices" && kind == JsonKind::array) {
      empty = value.find('{') == std::string_view::npos;
      if (!empty) take_choices(value);
    } else if (key == "usage" && kind == JsonKind::object) {
      read_usage(value, report_);
      usage = true;
    } else if (key == "model" && kind == JsonKind::string && report_.model.empty()) {
      report_.model = text::json_text(value).value_or("");
    } else if (key == "x_groq") {
      read_groq(value, report_);
    } else if (key == "error" && kind != JsonKind::null) {
      error = value;
    }
  }
  if (!at.at_end()) {
    fail(bad_response(watch_.provider, "a stream event that is not JSON"));
    return false;
  }
  if (!error.empty()) {
    fail(relayed_error(watch_.provider, error, watch_.secret));
    return false;
  }
  if (!watch_.keep_usage && usage && empty) return false;
  return answering_ = true;
}

// Events of /responses name their type, and the last one holds the whole response; those of transcriptions as well,
// with the whole text.
bool RelayStream::take_response_event(std::string_view data) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(data, members)) {
    fail(bad_response(watch_.provider, "a stream event that is not JSON"));
    return false;
  }
  const JsonMember* type_member = text::find_member(members, "type");
  const std::string_view type = type_member != nullptr ? type_member->value : std::string_view();
  const JsonMember* response = text::find_member(members, "response");
  if (type == "\"error\"" || type == "\"response.failed\"") {
    std::vector<JsonMember> inner;
    const bool nested = response != nullptr && text::skim_json_object(response->value, inner).has_value();
    const JsonMember* error = text::find_member(nested ? inner : members, "error");
    fail(relayed_error(watch_.provider, error != nullptr ? error->value : data, watch_.secret));
    return false;
  }
  const JsonMember* delta = text::find_member(members, "delta");
  if (delta != nullptr && delta->kind == JsonKind::string) {
    report_.answer_bytes += static_cast<int64_t>(text::json_text_size(delta->value));
  }
  if (type == "\"transcript.text.done\"") {
    seen_ = finished_ = 1;
    const JsonMember* usage = text::find_member(members, "usage");
    if (usage != nullptr) read_usage(usage->value, report_);
  }
  if (response != nullptr && response->kind == JsonKind::object) {
    const bool last = type == "\"response.completed\"" || type == "\"response.incomplete\"";
    core::RelayReport said;
    if (const auto read = read_relayed_object(watch_, response->value, said); !read && last) {
      fail(read.error());
      return false;
    }
    report_.model = said.model;
    if (last) {
      seen_ = finished_ = 1;
      report_.finish_reason = said.finish_reason;
      report_.usage = said.usage;
      report_.usage_reported = said.usage_reported;
    }
  }
  return answering_ = true;
}

void RelayStream::take_choices(std::string_view choices) {
  JsonCursor at(choices);
  at.enter_array();
  while (at.next_element()) {
    const ChoiceSeen seen = read_choice(at);
    note_choice(seen, report_);
    const uint64_t bit = 1ULL << std::min<uint64_t>(static_cast<uint64_t>(seen.index), 63);
    seen_ |= bit;
    if (!seen.finish.empty()) finished_ |= bit;
  }
}

std::string_view RelayStream::finish() {
  // Some providers leave out the last empty line.
  std::string_view rest;
  if (!done_ && !error_ && buffer_.size() > used_) {
    rest = feed("\n\n");
    if (error_ && error_->name == "BAD_RESPONSE") error_.reset();  // cut within an event
  }
  if (done_ || error_) return rest;
  if (!complete() && !watch_.open_end) {
    fail(base::make_error(Code::upstream, "STREAM_ENDED", "the stream just ended"));
    return rest;
  }
  done_ = true;
  if (watch_.form == RelayForm::responses) return rest;
  kept_ = std::string(rest) + "data: [DONE]\n\n";
  return kept_;
}

}  // namespace tessera::llm
