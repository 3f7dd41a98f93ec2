#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "llm/providers/translation.h"

namespace tessera::llm {

using base::append_json_string;

void AnswerWriter::set_head(std::string_view id, std::string_view model) {
  if (!id.empty()) id_ = id;
  if (!model.empty()) report_.model = model;
}

void AnswerWriter::append_head(std::string& out, std::string_view object) const {
  out += R"({"id":)";
  append_json_string(out, id_);
  fmt::format_to(std::back_inserter(out), R"(,"object":"{}","created":{},"model":)", object, created_);
  append_json_string(out, report_.model);
}

void AnswerWriter::open_delta(std::string& out, size_t choice) {
  out += "data: ";
  append_head(out, "chat.completion.chunk");
  fmt::format_to(std::back_inserter(out), R"(,"choices":[{{"index":{},"delta":{{)", choice);
  const uint64_t bit = 1ULL << std::min<size_t>(choice, 63);
  if ((begun_ & bit) == 0) out += R"("role":"assistant",)";
  begun_ |= bit;
}

void AnswerWriter::append_logprobs(std::string& out, size_t choice) {
  auto& [of, value] = logprobs_;
  if (value.empty() || of != choice) return;
  out.append(",\"logprobs\":").append(value);
  value.clear();
}

void AnswerWriter::flush_logprobs(std::string& out, size_t choice) {
  if (logprobs_.second.empty()) return;
  open_delta(out, choice);
  if (out.ends_with(',')) out.pop_back();
  close_delta(out, choice);
}

void AnswerWriter::close_delta(std::string& out, size_t choice) {
  out += '}';
  append_logprobs(out, choice);
  out += ",\"finish_reason\":null}]}\n\n";
}

void AnswerWriter::field(std::string& out, size_t choice, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  open_delta(out, choice);
  out.append("\"").append(key).append("\":");
  append_json_string(out, text);
  close_delta(out, choice);
  report_.answer_bytes += static_cast<int64_t>(text.size());
}

void AnswerWriter::tool_begin(std::string& out, size_t choice, size_t index, const ToolCallText& call) {
  open_delta(out, choice);
  fmt::format_to(std::back_inserter(out), R"("tool_calls":[{{"index":{},"id":)", index);
  append_json_string(out, call.id);
  out += R"(,"type":"function","function":{"name":)";
  append_json_string(out, call.name);
  out += R"(,"arguments":)";
  append_json_string(out, call.arguments);
  out += '}';
  if (call.extra_json.size() > 2) out.append(",").append(call.extra_json, 1, call.extra_json.size() - 2);
  out += "}]";
  close_delta(out, choice);
  report_.answer_bytes += static_cast<int64_t>(call.name.size() + call.arguments.size());
}

void AnswerWriter::tool_arguments(std::string& out, size_t choice, size_t index, std::string_view piece) {
  if (piece.empty()) return;
  open_delta(out, choice);
  fmt::format_to(std::back_inserter(out), R"("tool_calls":[{{"index":{},"function":{{"arguments":)", index);
  append_json_string(out, piece);
  out += "}}]";
  close_delta(out, choice);
  report_.answer_bytes += static_cast<int64_t>(piece.size());
}

void AnswerWriter::extra(std::string& out, size_t choice, std::string_view key, std::string_view value) {
  open_delta(out, choice);
  out.append("\"").append(key).append("\":").append(value);
  close_delta(out, choice);
}

void AnswerWriter::finish(std::string& out, size_t choice, std::string_view reason) {
  open_delta(out, choice);
  if (out.ends_with(',')) out.pop_back();
  out += '}';
  append_logprobs(out, choice);
  out += ",\"finish_reason\":";
  append_json_string(out, reason);
  out += "}]}\n\n";
  if (choice == 0) report_.finish_reason = reason;
}

void AnswerWriter::usage(const core::Usage& usage, UsageDetails details) {
  report_.usage = usage;
  report_.usage_reported = true;
  details_ = details;
}

void AnswerWriter::append_usage(std::string& out) const {
  const core::Usage& usage = report_.usage;
  fmt::format_to(std::back_inserter(out),
                 R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                 R"("prompt_tokens_details":{{"cached_tokens":{},"cache_creation_tokens":{}}},)"
                 R"("completion_tokens_details":{{"reasoning_tokens":{}}}}})",
                 usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
                 usage.cached_prompt_tokens, usage.cache_write_tokens, details_.reasoning);
}

void AnswerWriter::end(std::string& out) {
  if (include_usage_ && report_.usage_reported) {
    out += "data: ";
    append_head(out, "chat.completion.chunk");
    out += R"(,"choices":[],"usage":)";
    append_usage(out);
    out += "}\n\n";
  }
  out += "data: [DONE]\n\n";
}

std::string AnswerWriter::whole(const std::vector<ChoiceText>& choices) {
  std::string out;
  append_head(out, "chat.completion");
  out += R"(,"choices":[)";
  for (size_t i = 0; i < choices.size(); ++i) {
    const ChoiceText& choice = choices[i];
    report_.answer_bytes += static_cast<int64_t>(choice.content.size() + choice.reasoning.size());
    fmt::format_to(std::back_inserter(out), R"({}{{"index":{},"message":{{"role":"assistant","content":)",
                   i > 0 ? "," : "", i);
    if (choice.content.empty() && !choice.calls.empty()) {
      out += "null";
    } else {
      append_json_string(out, choice.content);
    }
    out += R"(,"refusal":null)";
    if (!choice.reasoning.empty()) {
      out += R"(,"reasoning_content":)";
      append_json_string(out, choice.reasoning);
    }
    for (size_t c = 0; c < choice.calls.size(); ++c) {
      const ToolCallText& call = choice.calls[c];
      report_.answer_bytes += static_cast<int64_t>(call.name.size() + call.arguments.size());
      out += c == 0 ? R"(,"tool_calls":[{"id":)" : R"(,{"id":)";
      append_json_string(out, call.id);
      out += R"(,"type":"function","function":{"name":)";
      append_json_string(out, call.name);
      out += R"(,"arguments":)";
      append_json_string(out, call.arguments);
      out += '}';
      if (call.extra_json.size() > 2) out.append(",").append(call.extra_json, 1, call.extra_json.size() - 2);
      out += '}';
    }
    if (!choice.calls.empty()) out += ']';
    for (const auto& [key, value] : choice.extras) out.append(",\"").append(key).append("\":").append(value);
    out += R"(},"logprobs":)";
    out += choice.logprobs.empty() ? "null" : choice.logprobs;
    out += R"(,"finish_reason":)";
    append_json_string(out, choice.finish_reason);
    out += '}';
    if (i == 0) report_.finish_reason = choice.finish_reason;
  }
  out += ']';
  if (report_.usage_reported) {
    out += R"(,"usage":)";
    append_usage(out);
  }
  return out + "}";
}

std::unexpected<base::Error> unsupported(std::string_view provider, std::string_view param, std::string_view why) {
  return base::fail(base::Code::invalid, "PARAMETER_UNSUPPORTED",
                    fmt::format("the provider {} cannot take {}: {}", provider, param, why), "", std::string(param));
}

}  // namespace tessera::llm
