#include "llm/providers/relay_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "llm/providers/relay_reading.h"
#include "text/json_skim.h"

namespace tessera::llm {
namespace {

using base::Code;
using text::JsonCursor;
using text::JsonKind;
using text::JsonMember;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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
    if (key == "service_tier") report.usage.tier = tier_of(value);
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

namespace {

// Tier, output, status and usage of an answer without choices.
void read_object(const std::vector<JsonMember>& members, core::RelayReport& report) {
  const JsonMember* model = text::find_member(members, "model");
  if (model != nullptr) report.model = text::json_text(model->value).value_or(report.model);
  const JsonMember* tier = text::find_member(members, "service_tier");
  if (tier != nullptr) report.usage.tier = tier_of(tier->value);
  const JsonMember* output = text::find_member(members, "output");
  if (output != nullptr) {
    JsonCursor at(output->value);
    report.answer_bytes += answer_bytes(at);
  }
  const JsonMember* usage = text::find_member(members, "usage");
  if (usage != nullptr && usage->kind == JsonKind::object) read_usage(usage->value, report);
  const JsonMember* status = text::find_member(members, "status");
  if (status == nullptr) return;
  report.finish_reason = status->value == "\"incomplete\"" ? "length" : "stop";
  if (status->value != "\"queued\"" && status->value != "\"in_progress\"") return;
  // What it has used is not known before its end.
  const JsonMember* id = text::find_member(members, "id");
  if (id != nullptr) report.background_id = text::json_text(id->value).value_or("");
  report.usage_reported = false;
}

bool is_true(const std::vector<JsonMember>& members, std::string_view name) {
  const JsonMember* const member = text::find_member(members, name);
  return member != nullptr && member->value == "true";
}

}  // namespace

void read_stored_response(std::string_view body, core::RelayReport& report) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(body, members)) return;
  const JsonMember* status = text::find_member(members, "status");
  if (status == nullptr || status->kind != JsonKind::string) return;
  read_object(members, report);
  report.finish_reason = text::json_text(status->value).value_or("");
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
  read_object(members, report);
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
    } else if (key == "service_tier") {
      report_.usage.tier = tier_of(value);
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
    if (nested) {
      read_usage_of(response->value, report_);
      report_.background_id.clear();
      report_.finish_reason = "failed";
    }
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
    // One that is made in the background goes on when its reader leaves.
    report_.background_id.clear();
    if (!said.background_id.empty()) {
      std::vector<JsonMember> inner;
      if (text::skim_json_object(response->value, inner) && is_true(inner, "background")) {
        report_.background_id = std::move(said.background_id);
      }
    }
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
