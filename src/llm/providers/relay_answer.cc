#include "llm/providers/relay_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "llm/providers/provider_client.h"
#include "text/json_skim.h"
#include "text/utf8.h"

namespace tessera::llm {
namespace {

using base::Code;
using text::JsonCursor;
using text::JsonKind;
using text::JsonMember;

constexpr size_t kMessageMax = 600;

base::Error bad_response(std::string_view provider, std::string_view what) {
  return base::make_error(Code::upstream, "BAD_RESPONSE",
                          fmt::format("the provider {} answered with {}", provider, what));
}

int64_t count_of(std::string_view value) {
  return std::max<int64_t>(0, text::json_integer(value).value_or(0));
}

int64_t cached_of(std::string_view details) {
  std::vector<JsonMember> members;
  if (!text::skim_json_object(details, members)) return 0;
  const JsonMember* cached = text::find_member(members, "cached_tokens");
  return cached != nullptr ? count_of(cached->value) : 0;
}

void read_usage(std::string_view usage, core::RelayReport& report) {
  JsonCursor at(usage);
  if (at.peek() != JsonKind::object) return;
  at.enter_object();
  for (std::string_view key; at.next_member(key);) {
    const std::string_view value = at.skip();
    if (key == "prompt_tokens") report.usage.prompt_tokens = count_of(value);
    if (key == "completion_tokens") report.usage.completion_tokens = count_of(value);
    if (key == "prompt_cache_hit_tokens") report.usage.cached_prompt_tokens = count_of(value);
    if (key == "prompt_tokens_details") report.usage.cached_prompt_tokens = cached_of(value);
  }
  report.usage_reported = true;
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
      return counts(name) ? static_cast<int64_t>(text::json_text_size(value)) : 0;
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

std::string_view error_word(const std::vector<JsonMember>& members, std::string_view key) {
  const JsonMember* member = text::find_member(members, key);
  return member != nullptr ? member->value : std::string_view();
}

// The HTTP status that an error object stands for; 0 when it says nothing of the kind.
int status_of(const std::vector<JsonMember>& members) {
  for (const char* key : {"status_code", "code", "status"}) {
    const auto number = text::json_integer(error_word(members, key));
    if (number && *number >= 400 && *number < 600) return static_cast<int>(*number);
  }
  for (const char* key : {"type", "code", "status"}) {
    const std::string word = text::json_text(error_word(members, key)).value_or("");
    if (word == "rate_limit_error" || word == "rate_limit_exceeded" || word == "RESOURCE_EXHAUSTED") return 429;
    if (word == "insufficient_quota") return 429;
    if (word == "overloaded_error" || word == "UNAVAILABLE") return 503;
    if (word == "timeout_error" || word == "DEADLINE_EXCEEDED") return 504;
    if (word == "authentication_error" || word == "permission_error" || word == "invalid_api_key") return 401;
  }
  return 0;
}

}  // namespace

base::Error relayed_error(std::string_view provider, std::string_view error_json, std::string_view secret) {
  std::vector<JsonMember> members;
  std::string said;
  if (text::skim_json_object(error_json, members)) {
    const int status = status_of(members);
    if (status >= 500 || status == 429 || status == 401 || status == 403 || status == 408) {
      return provider_error(provider, status, fmt::format(R"({{"error":{}}})", error_json), std::nullopt);
    }
    said = text::json_text(error_word(members, "message")).value_or("");
  } else {
    said = text::json_text(error_json).value_or("");
  }
  remove_secret(said, secret);
  if (said.size() > kMessageMax) said.resize(text::boundary_before(said, kMessageMax));
  return base::make_error(Code::upstream, "PROVIDER_FAILED",
                          fmt::format("the provider {} reported: {}", provider, said.empty() ? "an error" : said));
}

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
    const std::string_view value = at.skip();
    if (key == "model" && kind == JsonKind::string) report.model = text::json_text(value).value_or("");
    if (key == "usage") read_usage(value, report);
    if (key == "error" && kind != JsonKind::null) error = value;
  }
  if (!at.at_end()) return std::unexpected(bad_response(watch.provider, "something that is not JSON"));
  if (choices) return {};
  if (!error.empty()) return std::unexpected(relayed_error(watch.provider, error, watch.secret));
  return std::unexpected(bad_response(watch.provider, "no message"));
}

std::string_view RelayStream::feed(std::string bytes) {
  buffer_.erase(0, used_);
  scanned_ -= used_;
  used_ = 0;
  if (buffer_.empty()) {
    buffer_ = std::move(bytes);
  } else {
    buffer_ += bytes;
  }
  if (first_ && buffer_.starts_with("\xEF\xBB\xBF")) buffer_.erase(0, 3);
  if (!buffer_.empty()) first_ = false;
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
  if (!complete()) {
    fail(base::make_error(Code::upstream, "STREAM_ENDED", "the stream just ended"));
    return rest;
  }
  done_ = true;
  kept_ = std::string(rest) + "data: [DONE]\n\n";
  return kept_;
}

}  // namespace tessera::llm
