// OpenAI's chat completions -> Google's generateContent: https://ai.google.dev/api/generate-content
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>

#include "llm/providers/request_fields.h"
#include "llm/providers/translation.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;

// Members that have a place of their own below, or are dropped: parallel_tool_calls (there is no such switch) and what
// concerns OpenAI's own service.
constexpr std::array<std::string_view, 34> kTaken{"model",
                                                  "messages",
                                                  "stream",
                                                  "stream_options",
                                                  "max_tokens",
                                                  "max_completion_tokens",
                                                  "temperature",
                                                  "top_p",
                                                  "top_k",
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
                                                  "functions",
                                                  "function_call"};

std::string_view media_type_of(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kTypes{{{".png", "image/png"},
                                                                                 {".webp", "image/webp"},
                                                                                 {".gif", "image/gif"},
                                                                                 {".heic", "image/heic"},
                                                                                 {".pdf", "application/pdf"},
                                                                                 {".mp4", "video/mp4"},
                                                                                 {".wav", "audio/wav"},
                                                                                 {".mp3", "audio/mp3"}}};
  for (const auto& [ending, type] : kTypes) {
    if (url.ends_with(ending)) return type;
  }
  return "image/jpeg";
}

json::object media(std::string_view url) {
  if (const auto data = parse_data_url(url)) {
    return {{"inlineData", {{"mimeType", std::string(data->media_type)}, {"data", std::string(data->data)}}}};
  }
  return {{"fileData", {{"mimeType", std::string(media_type_of(url))}, {"fileUri", std::string(url)}}}};
}

class Request {
 public:
  Request(std::string_view provider, std::string_view model, const json::object& in)
      : provider_(provider), model_(model), in_(in) {}

  base::Result<std::string> translate() {
    TESSERA_CHECK(refuse());
    TESSERA_CHECK(messages());
    TESSERA_CHECK(tools());
    TESSERA_CHECK(response_format());
    generation();
    thinking();
    for (const auto& [key, value] : in_) {
      if (std::ranges::find(kTaken, std::string_view(key)) != kTaken.end()) continue;
      const json::object* more = value.if_object();
      if (key == "generationConfig" && more != nullptr) {
        for (const auto& [name, said] : *more) config_[name] = said;
      } else {
        out_[key] = value;
      }
    }
    if (!config_.empty()) out_["generationConfig"] = std::move(config_);
    return json::serialize(out_);
  }

 private:
  [[nodiscard]] const json::value* in(std::string_view key) const { return member_of(in_, key); }

  base::Result<> refuse() const {
    if (const json::value* bias = in("logit_bias"); bias != nullptr && bias->is_object() && !bias->get_object().empty())
      return unsupported(provider_, "logit_bias", "there is no such thing; leave it out");
    if (in("audio") != nullptr) return unsupported(provider_, "audio", "use its own API for speech");
    if (in("functions") != nullptr || in("function_call") != nullptr) {
      return unsupported(provider_, "functions", "use tools");
    }
    if (count_of(in("top_logprobs")) > 0 && !is_true(in("logprobs"))) {
      return bad_field("top_logprobs", "needs logprobs to be true");
    }
    return {};
  }

  base::Result<json::value> part(const json::value& from_value) const {
    if (!from_value.is_object()) return bad_field("messages", "a part of a content is not an object");
    const json::object& from = from_value.get_object();
    const std::string_view type = text_of(from.if_contains("type"));
    if (type == "text" || type == "refusal") {
      return json::value{{"text", std::string(text_of(from.if_contains(type)))}};
    }
    const json::value* inner = from.if_contains(type);
    const json::object* object = inner != nullptr ? inner->if_object() : nullptr;
    if (type == "image_url") {
      return json::value(media(object != nullptr ? text_of(object->if_contains("url")) : text_of(inner)));
    }
    if (type == "input_audio" && object != nullptr) {
      return json::value{{"inlineData",
                          {{"mimeType", "audio/" + std::string(text_of(object->if_contains("format")))},
                           {"data", std::string(text_of(object->if_contains("data")))}}}};
    }
    if (type == "file" && object != nullptr) {
      const std::string_view id = text_of(object->if_contains("file_id"));
      return json::value(media(id.empty() ? text_of(object->if_contains("file_data")) : id));
    }
    if (type.empty()) return from_value;  // one of their own
    return unsupported(provider_, "messages", fmt::format("there is no part of the type {}", type.substr(0, 40)));
  }

  base::Result<json::array> parts(const json::value* content) const {
    json::array out;
    if (content == nullptr) return out;
    if (content->is_string()) {
      if (!content->get_string().empty()) out.push_back({{"text", *content}});
      return out;
    }
    if (!content->is_array()) return bad_field("messages", "a content is neither text nor a list of parts");
    for (const json::value& each : content->get_array()) {
      TESSERA_TRY(json::value translated, part(each));
      out.push_back(std::move(translated));
    }
    return out;
  }

  void add(std::string_view role, json::array parts) {
    if (parts.empty()) return;
    if (!turns_.empty() && text_of(turns_.back().get_object().if_contains("role")) == role) {
      json::array& last = turns_.back().get_object()["parts"].get_array();
      for (json::value& each : parts) last.push_back(std::move(each));
      return;
    }
    turns_.push_back({{"role", std::string(role)}, {"parts", std::move(parts)}});
  }

  // What they thought before a call comes back with it, where their own OpenAI dialect has it.
  static std::string_view signature_of(const json::object& call) {
    const json::value* extra = call.if_contains("extra_content");
    const json::value* google =
        extra != nullptr && extra->is_object() ? extra->get_object().if_contains("google") : nullptr;
    return google != nullptr && google->is_object() ? text_of(google->get_object().if_contains("thought_signature"))
                                                    : std::string_view();
  }

  base::Result<> assistant(const json::object& message) {
    TESSERA_TRY(json::array content, parts(member_of(message, "content")));
    if (const json::value* calls = member_of(message, "tool_calls"); calls != nullptr && calls->is_array()) {
      for (const json::value& call : calls->get_array()) {
        const json::object* object = call.if_object();
        const json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
        if (function == nullptr || !function->is_object()) return bad_field("messages", "a tool call has no function");
        const std::string name(text_of(function->get_object().if_contains("name")));
        TESSERA_TRY(json::value args, parse_arguments(text_of(function->get_object().if_contains("arguments"))));
        names_[std::string(text_of(object->if_contains("id")))] = name;
        json::object to{{"functionCall", {{"name", name}, {"args", std::move(args)}}}};
        if (const auto signature = signature_of(*object); !signature.empty()) {
          to["thoughtSignature"] = std::string(signature);
        }
        content.push_back(std::move(to));
      }
    }
    add("model", std::move(content));
    return {};
  }

  // Their results carry the function's name, not the call's id, and are objects.
  base::Result<> tool(const json::object& message) {
    const std::string id(text_of(message.if_contains("tool_call_id")));
    const auto name = names_.find(id);
    if (name == names_.end()) {
      return bad_field("messages", fmt::format("no tool call before has the id {}", id.substr(0, 80)));
    }
    const std::string said = joined_text(message.if_contains("content"));
    boost::system::error_code failed;
    json::value result = json::parse(said, failed);
    if (failed || !result.is_object()) result = json::object{{"result", said}};
    add("user", {json::value{{"functionResponse", {{"name", name->second}, {"response", std::move(result)}}}}});
    return {};
  }

  base::Result<> messages() {
    const json::value* list = in("messages");
    if (list == nullptr || !list->is_array()) return bad_field("messages", "must be a list");
    json::array system;
    for (const json::value& each : list->get_array()) {
      if (!each.is_object()) return bad_field("messages", "must be objects");
      const json::object& message = each.get_object();
      const std::string_view role = text_of(message.if_contains("role"));
      if (role == "assistant") {
        TESSERA_CHECK(assistant(message));
      } else if (role == "tool") {
        TESSERA_CHECK(tool(message));
      } else if (role == "user" || role == "system" || role == "developer") {
        TESSERA_TRY(json::array content, parts(member_of(message, "content")));
        if (role == "user") {
          add(role, std::move(content));
        } else {
          for (json::value& piece : content) system.push_back(std::move(piece));
        }
      } else {
        return bad_field("messages", fmt::format("there is no role {}", role.substr(0, 40)));
      }
    }
    if (!system.empty()) out_["systemInstruction"] = {{"parts", std::move(system)}};
    out_["contents"] = std::move(turns_);
    return {};
  }

  base::Result<> tools() {
    json::array functions;
    json::array own;
    if (const json::value* list = in("tools"); list != nullptr && list->is_array()) {
      for (const json::value& tool : list->get_array()) {
        const json::object* object = tool.if_object();
        const json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
        if (function == nullptr || !function->is_object()) {
          own.push_back(tool);  // one of their own, such as {"googleSearch": {}}
          continue;
        }
        const json::object& from = function->get_object();
        json::object to{{"name", std::string(text_of(from.if_contains("name")))}};
        if (const json::value* text = member_of(from, "description")) to["description"] = *text;
        if (const json::value* schema = member_of(from, "parameters")) to["parametersJsonSchema"] = *schema;
        functions.push_back(std::move(to));
      }
    }
    if (!functions.empty()) own.push_back({{"functionDeclarations", std::move(functions)}});
    if (own.empty()) return {};
    out_["tools"] = std::move(own);
    return tool_choice();
  }

  base::Result<> tool_choice() {
    const json::value* choice = in("tool_choice");
    json::object config;
    if (text_of(choice) == "none") config["mode"] = "NONE";
    if (text_of(choice) == "required") config["mode"] = "ANY";
    if (choice != nullptr && choice->is_object()) {
      const json::value* function = choice->get_object().if_contains("function");
      if (function == nullptr || !function->is_object()) {
        return unsupported(provider_, "tool_choice", "name one function, or say auto, none or required");
      }
      config["mode"] = "ANY";
      config["allowedFunctionNames"] = json::array{std::string(text_of(function->get_object().if_contains("name")))};
    }
    if (!config.empty()) out_["toolConfig"] = {{"functionCallingConfig", std::move(config)}};
    return {};
  }

  base::Result<> response_format() {
    const json::value* format = in("response_format");
    const json::object* object = format != nullptr ? format->if_object() : nullptr;
    const std::string_view type = object != nullptr ? text_of(object->if_contains("type")) : std::string_view();
    if (type.empty() || type == "text") return {};
    if (type != "json_object" && type != "json_schema") {
      return unsupported(provider_, "response_format", "use text, json_object or json_schema");
    }
    config_["responseMimeType"] = "application/json";
    const json::value* named = object->if_contains("json_schema");
    if (named != nullptr && named->is_object()) {
      if (const json::value* schema = member_of(named->get_object(), "schema")) config_["responseJsonSchema"] = *schema;
    }
    return {};
  }

  void generation() {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kSame{{
        {"temperature", "temperature"},
        {"top_p", "topP"},
        {"top_k", "topK"},
        {"n", "candidateCount"},
        {"seed", "seed"},
        {"presence_penalty", "presencePenalty"},
        {"frequency_penalty", "frequencyPenalty"},
    }};
    for (const auto& [ours, theirs] : kSame) {
      if (const json::value* value = in(ours)) config_[theirs] = *value;
    }
    if (is_true(in("logprobs"))) {
      config_["responseLogprobs"] = true;
      if (const json::value* top = in("top_logprobs")) config_["logprobs"] = *top;
    }
    const json::value* most = in("max_completion_tokens");
    if (most == nullptr) most = in("max_tokens");
    if (most != nullptr) config_["maxOutputTokens"] = *most;
    const json::value* stop = in("stop");
    if (stop != nullptr && stop->is_string()) config_["stopSequences"] = json::array{*stop};
    if (stop != nullptr && stop->is_array()) config_["stopSequences"] = *stop;
    const json::value* modalities = in("modalities");
    if (modalities == nullptr || !modalities->is_array()) return;
    json::array wanted;
    for (const json::value& each : modalities->get_array()) {
      std::string word(text_of(&each));
      std::ranges::transform(word, word.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
      wanted.push_back(json::value(word));
    }
    config_["responseModalities"] = std::move(wanted);
  }

  // The budgets are those of Google's own OpenAI dialect.
  void thinking() {
    const std::string_view effort = text_of(in("reasoning_effort"));
    if (effort.empty()) return;
    if (model_.starts_with("gemini-3")) {
      const bool little = effort == "none" || effort == "minimal" || effort == "low";
      config_["thinkingConfig"] = {{"thinkingLevel", little ? "low" : "high"}, {"includeThoughts", !little}};
      return;
    }
    const int64_t budget = effort == "none" ? 0 : effort == "medium" ? 8192 : effort == "high" ? 24576 : 1024;
    config_["thinkingConfig"] = {{"thinkingBudget", budget}, {"includeThoughts", budget > 0}};
  }

  std::string_view provider_;
  std::string_view model_;
  const json::object& in_;
  json::object out_;
  json::object config_;
  json::array turns_;
  std::map<std::string, std::string> names_;  ///< of the tools called, by the call's id
};

}  // namespace

base::Result<std::string> gemini_request(std::string_view provider, std::string_view model,
                                         const core::RelayRequest& request) {
  TESSERA_TRY(const json::object body, parse_request(request.body));
  return Request(provider, model, body).translate();
}

}  // namespace tessera::llm
