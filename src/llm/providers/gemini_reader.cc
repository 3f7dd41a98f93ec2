// Google's generateContent -> OpenAI's chat completions: https://ai.google.dev/api/generate-content
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "llm/providers/relay_answer.h"
#include "llm/providers/request_fields.h"
#include "llm/providers/translation.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;

constexpr size_t kChoicesMax = 64;
constexpr size_t kTokenBytesMax = 1024;

std::string_view finish_of(std::string_view reason, bool called) {
  if (reason == "MAX_TOKENS") return "length";
  constexpr std::array<std::string_view, 7> kFiltered{"SAFETY", "RECITATION",   "BLOCKLIST", "PROHIBITED_CONTENT",
                                                      "SPII",   "IMAGE_SAFETY", "LANGUAGE"};
  if (std::ranges::find(kFiltered, reason) != kFiltered.end()) return "content_filter";
  return called ? "tool_calls" : "stop";
}

json::object token_of(const json::object& candidate) {
  const std::string_view token = text_of(candidate.if_contains("token"));
  json::object out{{"token", std::string(token)},
                   {"logprob", number_of(candidate.if_contains("logProbability")).value_or(0)}};
  // A token that is no text of its own comes as a replacement character: its bytes are not known.
  if (token.contains("\xEF\xBF\xBD") || token.size() > kTokenBytesMax) {
    out["bytes"] = nullptr;
  } else {
    json::array bytes;
    for (const char c : token) bytes.push_back(static_cast<unsigned char>(c));
    out["bytes"] = std::move(bytes);
  }
  return out;
}

const json::array& list_of(const json::object& object, std::string_view key) {
  static const json::array kNone;
  const json::value* list = object.if_contains(key);
  return list != nullptr && list->is_array() ? list->get_array() : kNone;
}

// {"chosenCandidates":[{"token","logProbability"}],"topCandidates":[{"candidates":[...]}]}, both by step -> OpenAI's
// form as text; empty when there are none.
std::string logprobs_of(const json::object& candidate) {
  const json::value* result = candidate.if_contains("logprobsResult");
  if (result == nullptr || !result->is_object()) return {};
  const json::array& tops = list_of(result->get_object(), "topCandidates");
  json::array content;
  size_t step = 0;
  for (const json::value& chosen : list_of(result->get_object(), "chosenCandidates")) {
    const json::object* const likely = step < tops.size() ? tops[step].if_object() : nullptr;
    ++step;
    if (!chosen.is_object()) continue;
    json::object token = token_of(chosen.get_object());
    json::array top;
    if (likely != nullptr) {
      for (const json::value& each : list_of(*likely, "candidates")) {
        if (each.is_object()) top.push_back(token_of(each.get_object()));
      }
    }
    token["top_logprobs"] = std::move(top);
    content.push_back(std::move(token));
  }
  if (content.empty()) return {};
  return json::serialize(json::object{{"content", std::move(content)}, {"refusal", nullptr}});
}

class GeminiReader final : public AnswerReader {
 public:
  explicit GeminiReader(AnswerMeans means) : means_(means) {}

  base::Result<> event(std::string_view data, std::string& out) override {
    TESSERA_TRY(const json::object response, parse(data));
    begin(response);
    for (const json::value& candidate : list_of(response, "candidates")) {
      const json::object* object = candidate.if_object();
      if (object == nullptr) continue;
      const auto index = static_cast<size_t>(count_of(object->if_contains("index")));
      if (index >= kChoicesMax) continue;
      if (calls_.size() <= index) calls_.resize(index + 1);
      means_.writer.logprobs(index, logprobs_of(*object));
      each_part(*object, [&](const json::object& part) { stream_part(index, part, out); });
      if (const json::value* grounding = member_of(*object, "groundingMetadata")) {
        means_.writer.extra(out, index, "grounding_metadata", json::serialize(*grounding));
      }
      const std::string_view reason = text_of(object->if_contains("finishReason"));
      if (reason.empty() || reason == "FINISH_REASON_UNSPECIFIED") {
        means_.writer.flush_logprobs(out, index);
        continue;
      }
      means_.writer.finish(out, index, finish_of(reason, calls_[index] > 0));
      finished_ = true;
    }
    if (blocked(response) && !finished_) {
      means_.writer.finish(out, 0, "content_filter");
      finished_ = true;
    }
    return {};
  }

  [[nodiscard]] bool complete() const override { return finished_; }
  /// Usage may come after the last word; the stream's end is the end.
  [[nodiscard]] bool done() const override { return false; }

  base::Result<std::string> whole(std::string_view body) override {
    TESSERA_TRY(const json::object response, parse(body));
    begin(response);
    std::vector<ChoiceText> choices;
    for (const json::value& candidate : list_of(response, "candidates")) {
      const json::object* object = candidate.if_object();
      if (object == nullptr || choices.size() >= kChoicesMax) continue;
      choices.push_back(whole_choice(*object));
    }
    if (choices.empty()) {
      if (!blocked(response)) return bad("no candidates");
      choices.emplace_back().finish_reason = "content_filter";
    }
    return means_.writer.whole(choices);
  }

 private:
  std::unexpected<base::Error> bad(std::string_view what) const {
    return base::fail(base::Code::upstream, "BAD_RESPONSE",
                      fmt::format("the provider {} answered with {}", means_.provider, what));
  }

  base::Result<json::object> parse(std::string_view text) const {
    boost::system::error_code failed;
    json::value value = json::parse(text, failed);
    if (failed || !value.is_object()) return bad("something that is not JSON");
    if (const json::value* error = member_of(value.get_object(), "error")) {
      return std::unexpected(relayed_error(means_.provider, json::serialize(*error), means_.secret));
    }
    return std::move(value.get_object());
  }

  // A prompt that was refused has no candidates.
  static bool blocked(const json::object& response) {
    const json::value* feedback = response.if_contains("promptFeedback");
    return feedback != nullptr && feedback->is_object() && feedback->get_object().contains("blockReason");
  }

  void begin(const json::object& response) {
    const std::string_view id = text_of(response.if_contains("responseId"));
    if (!id.empty()) id_ = id;
    means_.writer.set_head(id, text_of(response.if_contains("modelVersion")));
    const json::value* usage = response.if_contains("usageMetadata");
    if (usage == nullptr || !usage->is_object()) return;
    const json::object& said = usage->get_object();
    const int64_t thoughts = count_of(said.if_contains("thoughtsTokenCount"));
    core::Usage total;
    total.prompt_tokens =
        count_of(said.if_contains("promptTokenCount")) + count_of(said.if_contains("toolUsePromptTokenCount"));
    total.cached_prompt_tokens = count_of(said.if_contains("cachedContentTokenCount"));
    total.completion_tokens = count_of(said.if_contains("candidatesTokenCount")) + thoughts;
    means_.writer.usage(total, {.reasoning = thoughts});
  }

  template <class F>
  static void each_part(const json::object& candidate, F use) {
    const json::value* content = candidate.if_contains("content");
    const json::value* parts =
        content != nullptr && content->is_object() ? content->get_object().if_contains("parts") : nullptr;
    if (parts == nullptr || !parts->is_array()) return;
    for (const json::value& part : parts->get_array()) {
      if (part.is_object()) use(part.get_object());
    }
  }

  ToolCallText call_of(const json::object& part, const json::object& function, size_t index, size_t number) const {
    ToolCallText call;
    call.id = text_of(function.if_contains("id"));
    if (call.id.empty()) call.id = fmt::format("call_{}_{}_{}", id_, index, number);
    call.name = text_of(function.if_contains("name"));
    const json::value* args = function.if_contains("args");
    call.arguments = args != nullptr ? json::serialize(*args) : "{}";
    const std::string_view signature = text_of(part.if_contains("thoughtSignature"));
    if (!signature.empty()) {
      call.extra_json = json::serialize(
          json::object{{"extra_content", {{"google", {{"thought_signature", std::string(signature)}}}}}});
    }
    return call;
  }

  static json::object image_of(const json::object& data) {
    const std::string url =
        fmt::format("data:{};base64,{}", text_of(data.if_contains("mimeType")), text_of(data.if_contains("data")));
    return {{"type", "image_url"}, {"image_url", {{"url", url}}}};
  }

  void stream_part(size_t index, const json::object& part, std::string& out) {
    const json::value* function = part.if_contains("functionCall");
    const json::value* data = part.if_contains("inlineData");
    if (function != nullptr && function->is_object()) {
      const size_t number = calls_[index]++;
      means_.writer.tool_begin(out, index, number, call_of(part, function->get_object(), index, number));
    } else if (data != nullptr && data->is_object()) {
      means_.writer.extra(out, index, "images", json::serialize(json::array{image_of(data->get_object())}));
    } else if (part.contains("text")) {
      const std::string_view text = text_of(part.if_contains("text"));
      if (is_true(part.if_contains("thought"))) {
        means_.writer.reasoning(out, index, text);
      } else {
        means_.writer.text(out, index, text);
      }
    } else {
      means_.writer.extra(out, index, "content_parts", json::serialize(json::array{part}));
    }
  }

  ChoiceText whole_choice(const json::object& candidate) const {
    ChoiceText choice;
    json::array images;
    json::array others;
    const auto index = static_cast<size_t>(count_of(candidate.if_contains("index")));
    each_part(candidate, [&](const json::object& part) {
      const json::value* function = part.if_contains("functionCall");
      const json::value* data = part.if_contains("inlineData");
      if (function != nullptr && function->is_object()) {
        choice.calls.push_back(call_of(part, function->get_object(), index, choice.calls.size()));
      } else if (data != nullptr && data->is_object()) {
        images.push_back(image_of(data->get_object()));
      } else if (part.contains("text")) {
        (is_true(part.if_contains("thought")) ? choice.reasoning : choice.content) += text_of(part.if_contains("text"));
      } else {
        others.push_back(part);
      }
    });
    if (!images.empty()) choice.extras.emplace_back("images", json::serialize(images));
    if (!others.empty()) choice.extras.emplace_back("content_parts", json::serialize(others));
    if (const json::value* grounding = member_of(candidate, "groundingMetadata")) {
      choice.extras.emplace_back("grounding_metadata", json::serialize(*grounding));
    }
    choice.logprobs = logprobs_of(candidate);
    choice.finish_reason = finish_of(text_of(candidate.if_contains("finishReason")), !choice.calls.empty());
    return choice;
  }

  AnswerMeans means_;
  std::string id_;
  std::vector<size_t> calls_;  ///< so far, by choice
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<AnswerReader> gemini_reader(AnswerMeans means) {
  return std::make_unique<GeminiReader>(means);
}

}  // namespace tessera::llm
