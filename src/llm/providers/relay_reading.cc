#include "llm/providers/relay_reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "llm/providers/relay_answer.h"

namespace tessera::llm {
namespace {

using text::JsonCursor;
using text::JsonKind;
using text::JsonMember;

int64_t count_of(std::string_view value) {
  return std::max<int64_t>(0, text::json_integer(value).value_or(0));
}

// Reads the details at the cursor. Servers that pass other dialects on say here what went into a cache.
void read_prompt_details(JsonCursor& at, core::Usage& usage) {
  if (at.peek() != JsonKind::object) {
    at.skip();
    return;
  }
  at.enter_object();
  usage.cached_prompt_tokens = 0;
  for (std::string_view key; at.next_member(key);) {
    const std::string_view value = at.skip();
    if (key == "cached_tokens") usage.cached_prompt_tokens = count_of(value);
    if (key == "cache_creation_tokens" || key == "cache_write_tokens") usage.cache_write_tokens = count_of(value);
  }
}

bool counts(std::string_view key) {
  return key == "content" || key == "arguments" || key == "text" || key == "refusal" || key == "reasoning" ||
         key == "reasoning_content" || key == "thinking" || key == "input";
}

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

}  // namespace

base::Error bad_response(std::string_view provider, std::string_view what) {
  return base::make_error(base::Code::upstream, "BAD_RESPONSE",
                          fmt::format("the provider {} answered with {}", provider, what));
}

core::PriceTier price_tier(std::string_view service_tier) {
  if (service_tier == "flex" || service_tier == "batch") return core::PriceTier::batch;
  if (service_tier == "priority") return core::PriceTier::priority;
  return core::PriceTier::standard;
}

core::PriceTier tier_of(std::string_view value) {
  return value.size() > 2 && value.front() == '"' ? price_tier(value.substr(1, value.size() - 2))
                                                  : core::PriceTier::standard;
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
      read_prompt_details(at, usage);
      continue;
    }
    const std::string_view value = at.skip();
    if (key == "prompt_tokens" || key == "input_tokens") usage.prompt_tokens = count_of(value);
    if (key == "completion_tokens" || key == "output_tokens") usage.completion_tokens = count_of(value);
    if (key == "cache_creation_input_tokens") usage.cache_write_tokens = count_of(value);
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
      seen.bytes = answer_bytes(at);
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

int64_t answer_bytes(JsonCursor& at) {
  return answer_bytes(at, {}, 0);
}

}  // namespace tessera::llm
