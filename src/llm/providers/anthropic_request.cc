// OpenAI's chat completions -> Anthropic's Messages: https://docs.anthropic.com/en/api/messages
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "llm/providers/anthropic_names.h"
#include "llm/providers/request_fields.h"
#include "llm/providers/translation.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;

constexpr int64_t kMaxTokensDefault = 4096;  ///< the smallest bound of their models; the field must be there
constexpr int64_t kThinkingMin = 1024;

// Members that have a place of their own below, or are dropped: hints that change nothing a caller can rely on (seed,
// penalties, verbosity), and what concerns OpenAI's own service (store, prediction and so on).
constexpr std::array<std::string_view, 34> kTaken{"model",
                                                  "messages",
                                                  "stream",
                                                  "stream_options",
                                                  "max_tokens",
                                                  "max_completion_tokens",
                                                  "temperature",
                                                  "top_p",
                                                  "stop",
                                                  "n",
                                                  "tools",
                                                  "tool_choice",
                                                  "parallel_tool_calls",
                                                  "response_format",
                                                  "reasoning_effort",
                                                  "user",
                                                  "safety_identifier",
                                                  "metadata",
                                                  "service_tier",
                                                  "logprobs",
                                                  "top_logprobs",
                                                  "logit_bias",
                                                  "seed",
                                                  "presence_penalty",
                                                  "frequency_penalty",
                                                  "verbosity",
                                                  "store",
                                                  "prediction",
                                                  "modalities",
                                                  "audio",
                                                  "prompt_cache_key",
                                                  "prompt_cache_retention",
                                                  "functions",
                                                  "function_call"};

class Request {
 public:
  Request(std::string_view provider, const json::object& in) : provider_(provider), in_(in) {}

  base::Result<std::string> translate(std::string_view model, bool stream) {
    out_["model"] = std::string(model);
    if (stream) out_["stream"] = true;
    TESSERA_CHECK(refuse());
    TESSERA_CHECK(messages());
    TESSERA_CHECK(tools());
    TESSERA_CHECK(response_format());
    thinking();
    sampling();
    identity();
    for (const auto& [key, value] : in_) {
      if (std::ranges::find(kTaken, std::string_view(key)) == kTaken.end()) out_[key] = value;
    }
    return json::serialize(out_);
  }

 private:
  [[nodiscard]] const json::value* in(std::string_view key) const { return member_of(in_, key); }

  base::Result<> refuse() const {
    if (count_of(in("n")) > 1) return unsupported(provider_, "n", "it gives one choice per request");
    if (is_true(in("logprobs")) || count_of(in("top_logprobs")) > 0) {
      return unsupported(provider_, "logprobs", "it gives none; leave it out");
    }
    if (const json::value* bias = in("logit_bias"); bias != nullptr && bias->is_object() && !bias->get_object().empty())
      return unsupported(provider_, "logit_bias", "there is no such thing; leave it out");
    if (in("audio") != nullptr) return unsupported(provider_, "audio", "it answers in text only");
    if (in("functions") != nullptr || in("function_call") != nullptr) {
      return unsupported(provider_, "functions", "use tools");
    }
    return {};
  }

  // A part of a message's content as their block.
  base::Result<json::value> block(const json::value& part) const {
    if (!part.is_object()) return bad_field("messages", "a part of a content is not an object");
    const json::object& from = part.get_object();
    const std::string_view type = text_of(from.if_contains("type"));
    json::object to;
    if (type == "text" || type == "refusal") {
      to = {{"type", "text"}, {"text", std::string(text_of(from.if_contains(type)))}};
    } else if (type == "image_url") {
      const json::value* image = from.if_contains("image_url");
      to = {{"type", "image"},
            {"source", source(image != nullptr && image->is_object() ? text_of(image->get_object().if_contains("url"))
                                                                     : text_of(image))}};
    } else if (type == "file") {
      const json::value* file = from.if_contains("file");
      if (file == nullptr || !file->is_object()) return bad_field("messages", "a file part without its file");
      const std::string_view id = text_of(file->get_object().if_contains("file_id"));
      to = {{"type", "document"},
            {"source", id.empty() ? source(text_of(file->get_object().if_contains("file_data")))
                                  : json::object{{"type", "file"}, {"file_id", std::string(id)}}}};
    } else if (type == "input_audio") {
      return unsupported(provider_, "messages", "it does not hear audio");
    } else {
      return part;  // one of their own
    }
    if (const json::value* cache = from.if_contains("cache_control")) to["cache_control"] = *cache;
    return json::value(std::move(to));
  }

  static json::object source(std::string_view url) {
    const auto data = parse_data_url(url);
    if (!data) return {{"type", "url"}, {"url", std::string(url)}};
    return {{"type", "base64"}, {"media_type", std::string(data->media_type)}, {"data", std::string(data->data)}};
  }

  base::Result<json::array> blocks(const json::value* content) const {
    json::array out;
    if (content == nullptr) return out;
    if (content->is_string()) {
      if (!content->get_string().empty()) out.push_back({{"type", "text"}, {"text", *content}});
      return out;
    }
    if (!content->is_array()) return bad_field("messages", "a content is neither text nor a list of parts");
    for (const json::value& part : content->get_array()) {
      TESSERA_TRY(json::value translated, block(part));
      const json::object* empty = translated.if_object();
      if (empty != nullptr && text_of(empty->if_contains("type")) == "text" &&
          text_of(empty->if_contains("text")).empty()) {
        continue;  // they refuse empty texts
      }
      out.push_back(std::move(translated));
    }
    return out;
  }

  // Neighbours of the same role become one message: they want turns.
  void add(std::string_view role, json::array content) {
    if (content.empty()) return;
    if (!turns_.empty() && text_of(turns_.back().get_object().if_contains("role")) == role) {
      json::array& last = turns_.back().get_object()["content"].get_array();
      for (json::value& each : content) last.push_back(std::move(each));
      return;
    }
    turns_.push_back({{"role", std::string(role)}, {"content", std::move(content)}});
  }

  base::Result<> assistant(const json::object& message) {
    json::array content;
    // What they thought must come back as it was, before anything else of the turn.
    const json::value* thinking = message.if_contains("thinking_blocks");
    if (thinking != nullptr && thinking->is_array()) content = thinking->get_array();
    TESSERA_TRY(const json::array said, blocks(member_of(message, "content")));
    for (const json::value& each : said) content.push_back(each);
    if (const json::value* calls = member_of(message, "tool_calls"); calls != nullptr && calls->is_array()) {
      for (const json::value& call : calls->get_array()) {
        const json::object* object = call.if_object();
        const json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
        if (function == nullptr || !function->is_object()) return bad_field("messages", "a tool call has no function");
        const json::object& said_call = function->get_object();
        TESSERA_TRY(json::value input, parse_arguments(text_of(said_call.if_contains("arguments"))));
        content.push_back({{"type", "tool_use"},
                           {"id", std::string(text_of(object->if_contains("id")))},
                           {"name", std::string(text_of(said_call.if_contains("name")))},
                           {"input", std::move(input)}});
      }
    }
    add("assistant", std::move(content));
    return {};
  }

  base::Result<> message(const json::object& message) {
    const std::string_view role = text_of(message.if_contains("role"));
    if (role == "assistant") return assistant(message);
    TESSERA_TRY(json::array content, blocks(member_of(message, "content")));
    if (role == "system" || role == "developer") {
      for (json::value& each : content) system_.push_back(std::move(each));
    } else if (role == "user") {
      add("user", std::move(content));
    } else if (role == "tool") {
      json::object result{{"type", "tool_result"},
                          {"tool_use_id", std::string(text_of(message.if_contains("tool_call_id")))}};
      if (!content.empty()) result["content"] = std::move(content);
      add("user", {std::move(result)});
    } else {
      return bad_field("messages", fmt::format("there is no role {}", role.substr(0, 40)));
    }
    return {};
  }

  base::Result<> messages() {
    const json::value* list = in("messages");
    if (list == nullptr || !list->is_array()) return bad_field("messages", "must be a list");
    for (const json::value& each : list->get_array()) {
      if (!each.is_object()) return bad_field("messages", "must be objects");
      TESSERA_CHECK(message(each.get_object()));
    }
    if (!system_.empty()) out_["system"] = std::move(system_);
    out_["messages"] = std::move(turns_);
    return {};
  }

  base::Result<> tools() {
    if (const json::value* list = in("tools"); list != nullptr && list->is_array()) {
      for (const json::value& tool : list->get_array()) {
        const json::object* object = tool.if_object();
        const json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
        if (function == nullptr || !function->is_object()) {
          tools_.push_back(tool);  // one of their own, such as their web search
          continue;
        }
        const json::object& from = function->get_object();
        json::object to{{"name", std::string(text_of(from.if_contains("name")))}};
        if (const json::value* text = member_of(from, "description")) to["description"] = *text;
        const json::value* schema = member_of(from, "parameters");
        to["input_schema"] =
            schema != nullptr ? *schema : json::value{{"type", "object"}, {"properties", json::object()}};
        if (const json::value* cache = object->if_contains("cache_control")) to["cache_control"] = *cache;
        tools_.push_back(std::move(to));
      }
    }
    return tool_choice();
  }

  base::Result<> tool_choice() {
    const json::value* choice = in("tool_choice");
    if (text_of(choice) == "none") {
      choice_ = {{"type", "none"}};
    } else if (text_of(choice) == "required") {
      choice_ = {{"type", "any"}};
    } else if (choice != nullptr && choice->is_object()) {
      const json::value* function = choice->get_object().if_contains("function");
      if (function == nullptr || !function->is_object()) {
        return unsupported(provider_, "tool_choice", "name one function, or say auto, none or required");
      }
      choice_ = {{"type", "tool"}, {"name", std::string(text_of(function->get_object().if_contains("name")))}};
    }
    const json::value* parallel = in("parallel_tool_calls");
    if (!tools_.empty() && parallel != nullptr && parallel->is_bool() && !parallel->get_bool() &&
        text_of(choice) != "none") {
      if (choice_.empty()) choice_["type"] = "auto";
      choice_["disable_parallel_tool_use"] = true;
    }
    return {};
  }

  // A demanded form is the input of a tool that must be called; the reader turns the call back into text.
  base::Result<> response_format() {
    const json::value* format = in("response_format");
    const json::object* object = format != nullptr ? format->if_object() : nullptr;
    const std::string_view type = object != nullptr ? text_of(object->if_contains("type")) : std::string_view();
    if (type == "json_schema" || type == "json_object") {
      json::object schema{{"type", "object"}};
      if (const json::value* named = object->if_contains("json_schema"); named != nullptr && named->is_object()) {
        const json::value* wanted = named->get_object().if_contains("schema");
        if (wanted != nullptr && wanted->is_object()) schema = wanted->get_object();
      }
      if (text_of(schema.if_contains("type")) != "object") {
        return unsupported(provider_, "response_format", "the schema must be of an object");
      }
      const bool alone = tools_.empty() || text_of(choice_.if_contains("type")) == "none";
      if (alone) tools_.clear();
      tools_.push_back({{"name", std::string(kAnswerTool)},
                        {"description", "Gives the final answer to the user. Call it exactly once, with the answer."},
                        {"input_schema", std::move(schema)}});
      if (alone) {
        choice_ = {{"type", "tool"}, {"name", std::string(kAnswerTool)}};
      } else if (text_of(choice_.if_contains("type")) != "tool") {
        choice_["type"] = "any";
      }
    } else if (!type.empty() && type != "text") {
      return unsupported(provider_, "response_format", "use text, json_object or json_schema");
    }
    if (tools_.empty()) return {};
    out_["tools"] = std::move(tools_);
    if (!choice_.empty()) out_["tool_choice"] = choice_;
    return {};
  }

  void thinking() {
    int64_t most = std::max(count_of(in("max_completion_tokens")), count_of(in("max_tokens")));
    const std::string_view effort = text_of(in("reasoning_effort"));
    const bool forced = out_.contains("tool_choice") && text_of(choice_.if_contains("type")) != "auto";
    int64_t budget = 0;
    if (effort == "minimal" || effort == "low") budget = kThinkingMin;
    if (effort == "medium") budget = 4 * kThinkingMin;
    if (effort == "high" || effort == "xhigh") budget = 16 * kThinkingMin;
    // They cannot think when a tool is forced on them, nor with less room than the least budget.
    if (forced || in("thinking") != nullptr || (most > 0 && most <= kThinkingMin)) budget = 0;
    if (budget > 0) {
      if (most > 0) budget = std::clamp(most / 2, kThinkingMin, budget);
      if (most == 0) most = budget + kMaxTokensDefault;
      out_["thinking"] = {{"type", "enabled"}, {"budget_tokens", budget}};
    }
    thinks_ = budget > 0;
    out_["max_tokens"] = most > 0 ? most : kMaxTokensDefault;
  }

  void sampling() {
    // With thinking they allow no other temperature than their own.
    if (const auto temperature = number_of(in("temperature")); temperature && !thinks_) {
      out_["temperature"] = std::min(*temperature, 1.0);
    }
    if (const json::value* top_p = in("top_p"); top_p != nullptr && !thinks_) out_["top_p"] = *top_p;
    const json::value* stop = in("stop");
    if (stop != nullptr && stop->is_string()) out_["stop_sequences"] = json::array{*stop};
    if (stop != nullptr && stop->is_array() && !stop->get_array().empty()) out_["stop_sequences"] = *stop;
  }

  void identity() {
    std::string_view user = text_of(in("safety_identifier"));
    if (user.empty()) user = text_of(in("user"));
    const json::value* metadata = in("metadata");
    if (user.empty() && metadata != nullptr && metadata->is_object()) {
      user = text_of(metadata->get_object().if_contains("user_id"));
    }
    if (!user.empty()) out_["metadata"] = {{"user_id", std::string(user)}};
    const std::string_view tier = text_of(in("service_tier"));
    if (tier == "auto") out_["service_tier"] = "auto";
    if (tier == "default" || tier == "standard_only") out_["service_tier"] = "standard_only";
  }

  std::string_view provider_;
  const json::object& in_;
  json::object out_;
  json::array system_;
  json::array turns_;
  json::array tools_;
  json::object choice_;
  bool thinks_ = false;
};

}  // namespace

base::Result<std::string> anthropic_request(std::string_view provider, std::string_view model,
                                            const core::RelayRequest& request) {
  TESSERA_TRY(const json::object body, parse_request(request.body));
  return Request(provider, body).translate(model, request.stream);
}

}  // namespace tessera::llm
