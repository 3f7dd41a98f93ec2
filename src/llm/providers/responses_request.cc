// OpenAI's /responses -> /chat/completions: https://platform.openai.com/docs/api-reference/responses/create
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "llm/providers/request_fields.h"
#include "llm/providers/responses_over_chat.h"
#include "llm/providers/translation.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;

constexpr std::string_view kHere = "of this model, which is reached through chat completions,";

class Request {
 public:
  explicit Request(const json::object& in) : in_(in) {}

  base::Result<std::string> translate() {
    TESSERA_CHECK(refuse());
    TESSERA_CHECK(input());
    TESSERA_CHECK(tools());
    format();
    plain();
    return json::serialize(out_);
  }

 private:
  [[nodiscard]] const json::value* in(std::string_view key) const { return member_of(in_, key); }

  base::Result<> refuse() const {
    for (const char* key : {"previous_response_id", "conversation", "prompt"}) {
      if (in(key) != nullptr) return unsupported(kHere, key, "send the whole conversation as input");
    }
    if (is_true(in("background"))) return unsupported(kHere, "background", "leave it out");
    return {};
  }

  static json::object part_of(const json::object& part) {
    const std::string_view type = text_of(part.if_contains("type"));
    if (type == "input_image") {
      json::object image{{"url", std::string(text_of(part.if_contains("image_url")))}};
      if (const json::value* detail = member_of(part, "detail")) image["detail"] = *detail;
      return {{"type", "image_url"}, {"image_url", std::move(image)}};
    }
    if (type == "input_file") {
      json::object file;
      for (const char* key : {"file_id", "file_data", "filename"}) {
        if (const json::value* value = member_of(part, key)) file[key] = *value;
      }
      return {{"type", "file"}, {"file", std::move(file)}};
    }
    const char* key = type == "refusal" ? "refusal" : "text";
    return {{"type", "text"}, {"text", std::string(text_of(part.if_contains(key)))}};
  }

  base::Result<json::value> content_of(const json::value* content) const {
    if (content == nullptr) return json::value("");
    if (content->is_string()) return *content;
    if (!content->is_array()) return bad_field("input", "a content is neither text nor a list of parts");
    json::array parts;
    for (const json::value& part : content->get_array()) {
      if (!part.is_object()) return bad_field("input", "a part of a content is not an object");
      parts.push_back(part_of(part.get_object()));
    }
    return json::value(std::move(parts));
  }

  // Calls of one turn belong to one message.
  void add_call(const json::object& item) {
    json::object call{{"id", std::string(text_of(item.if_contains("call_id")))},
                      {"type", "function"},
                      {"function",
                       {{"name", std::string(text_of(item.if_contains("name")))},
                        {"arguments", std::string(text_of(item.if_contains("arguments")))}}}};
    if (messages_.empty() || text_of(messages_.back().get_object().if_contains("role")) != "assistant") {
      messages_.push_back({{"role", "assistant"}, {"content", nullptr}});
    }
    json::value& calls = messages_.back().get_object()["tool_calls"];
    if (!calls.is_array()) calls = json::array();
    calls.get_array().push_back(std::move(call));
  }

  base::Result<> item(const json::value& value) {
    if (!value.is_object()) return bad_field("input", "an item is not an object");
    const json::object& item = value.get_object();
    const std::string_view type = text_of(item.if_contains("type"));
    if (type.empty() || type == "message") {
      TESSERA_TRY(json::value content, content_of(item.if_contains("content")));
      messages_.push_back({{"role", std::string(text_of(item.if_contains("role")))}, {"content", std::move(content)}});
    } else if (type == "function_call") {
      add_call(item);
    } else if (type == "function_call_output") {
      TESSERA_TRY(json::value content, content_of(item.if_contains("output")));
      messages_.push_back({{"role", "tool"},
                           {"tool_call_id", std::string(text_of(item.if_contains("call_id")))},
                           {"content", std::move(content)}});
    } else if (type != "reasoning") {  // thoughts are only of use to the model that had them
      return unsupported(kHere, "input", fmt::format("items of the type {}", type.substr(0, 60)));
    }
    return {};
  }

  base::Result<> input() {
    if (const json::value* said = in("instructions")) {
      messages_.push_back({{"role", "system"}, {"content", std::string(text_of(said))}});
    }
    const json::value* input = in("input");
    if (input != nullptr && input->is_string()) {
      messages_.push_back({{"role", "user"}, {"content", *input}});
    } else if (input != nullptr && input->is_array()) {
      for (const json::value& each : input->get_array()) TESSERA_CHECK(item(each));
    } else {
      return bad_field("input", "must be text or a list");
    }
    out_["messages"] = std::move(messages_);
    return {};
  }

  base::Result<> tools() {
    json::array tools;
    if (const json::value* list = in("tools"); list != nullptr && list->is_array()) {
      for (const json::value& tool : list->get_array()) {
        const json::object* object = tool.if_object();
        if (object == nullptr || text_of(object->if_contains("type")) != "function") {
          return unsupported(kHere, "tools", "only functions are supported");
        }
        json::object function;
        for (const char* key : {"name", "description", "parameters", "strict"}) {
          if (const json::value* value = member_of(*object, key)) function[key] = *value;
        }
        tools.push_back({{"type", "function"}, {"function", std::move(function)}});
      }
    }
    if (tools.empty()) return {};
    out_["tools"] = std::move(tools);
    const json::value* choice = in("tool_choice");
    if (choice != nullptr && choice->is_object()) {
      const std::string_view name = text_of(choice->get_object().if_contains("name"));
      if (name.empty()) return unsupported(kHere, "tool_choice", "name one function, or say auto, none or required");
      out_["tool_choice"] = {{"type", "function"}, {"function", {{"name", std::string(name)}}}};
    } else if (choice != nullptr) {
      out_["tool_choice"] = *choice;
    }
    if (const json::value* parallel = in("parallel_tool_calls")) out_["parallel_tool_calls"] = *parallel;
    return {};
  }

  void format() {
    const json::value* text = in("text");
    if (text == nullptr || !text->is_object()) return;
    if (const json::value* verbosity = member_of(text->get_object(), "verbosity")) out_["verbosity"] = *verbosity;
    const json::value* format = text->get_object().if_contains("format");
    if (format == nullptr || !format->is_object()) return;
    const std::string_view type = text_of(format->get_object().if_contains("type"));
    if (type == "json_object") out_["response_format"] = {{"type", "json_object"}};
    if (type != "json_schema") return;
    json::object schema;
    for (const char* key : {"name", "description", "schema", "strict"}) {
      if (const json::value* value = member_of(format->get_object(), key)) schema[key] = *value;
    }
    out_["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(schema)}};
  }

  void plain() {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kSame{{
        {"model", "model"},
        {"max_output_tokens", "max_completion_tokens"},
        {"temperature", "temperature"},
        {"top_p", "top_p"},
        {"user", "user"},
        {"safety_identifier", "safety_identifier"},
        {"service_tier", "service_tier"},
        {"prompt_cache_key", "prompt_cache_key"},
    }};
    for (const auto& [ours, theirs] : kSame) {
      if (const json::value* value = in(ours)) out_[theirs] = *value;
    }
    const json::value* reasoning = in("reasoning");
    if (reasoning == nullptr || !reasoning->is_object()) return;
    if (const json::value* effort = member_of(reasoning->get_object(), "effort")) out_["reasoning_effort"] = *effort;
  }

  const json::object& in_;
  json::object out_;
  json::array messages_;
};

}  // namespace

base::Result<std::string> responses_to_chat(std::string_view body) {
  TESSERA_TRY(const json::object request, parse_request(body));
  return Request(request).translate();
}

}  // namespace tessera::llm
