#include <fmt/format.h>

#include <boost/json.hpp>

#include "llm/providers/openai_dialect.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using base::Code;

constexpr size_t kAnswerBytesMax = 16UL * 1024 * 1024;
constexpr size_t kToolCallsMax = 512;

std::unexpected<base::Error> bad_response(std::string_view provider, std::string_view what) {
  return base::fail(Code::upstream, "BAD_RESPONSE", fmt::format("the provider {} answered with {}", provider, what));
}

base::Result<json::object> parse_object(std::string_view text) {
  boost::system::error_code failed;
  json::value value = json::parse(text, failed);
  if (failed || !value.is_object()) return base::fail(Code::invalid, "NOT_AN_OBJECT", "not a JSON object");
  return std::move(value.get_object());
}

std::string_view string_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

int64_t count_of(const json::value* value) {
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code failed;
  const auto count = value->to_number<int64_t>(failed);
  return failed || count < 0 ? 0 : count;
}

void read_usage(const json::value* usage, core::Usage& into) {
  if (usage == nullptr || !usage->is_object()) return;
  const json::object& object = usage->get_object();
  into.prompt_tokens = count_of(object.if_contains("prompt_tokens"));
  into.completion_tokens = count_of(object.if_contains("completion_tokens"));
}

// Groq reports the usage of streams beside the choices.
const json::value* usage_of(const json::object& chunk) {
  const json::value* usage = chunk.if_contains("usage");
  if (usage != nullptr && usage->is_object()) return usage;
  const json::value* groq = chunk.if_contains("x_groq");
  return groq != nullptr && groq->is_object() ? groq->get_object().if_contains("usage") : nullptr;
}

std::string error_message(const json::value& error) {
  std::string_view message = string_of(&error);
  if (error.is_object()) message = string_of(error.get_object().if_contains("message"));
  return std::string(message.substr(0, 600));
}

// Content as a string, or as parts of which the text ones are the answer and the others (thinking) go to `others`.
std::string content_text(const json::value* content, json::array& others) {
  if (content == nullptr) return {};
  if (content->is_string()) return std::string(content->get_string());
  std::string text;
  if (!content->is_array()) return text;
  for (const json::value& part : content->get_array()) {
    const json::object* object = part.if_object();
    if (object != nullptr && string_of(object->if_contains("type")) == "text") {
      text += string_of(object->if_contains("text"));
    } else {
      others.push_back(part);
    }
  }
  return text;
}

// The fields of a message or delta besides role and content that say something.
json::object other_fields(const json::object& message, const json::object& choice) {
  json::object fields;
  for (const auto& [key, value] : message) {
    if (key != "role" && key != "content" && !value.is_null()) fields[key] = value;
  }
  const json::value* logprobs = choice.if_contains("logprobs");
  if (logprobs != nullptr && logprobs->is_object()) fields["logprobs"] = *logprobs;
  return fields;
}

const json::object* first_choice(const json::object& response) {
  const json::value* choices = response.if_contains("choices");
  if (choices == nullptr || !choices->is_array()) return nullptr;
  for (const json::value& choice : choices->get_array()) {
    if (choice.is_object() && count_of(choice.get_object().if_contains("index")) == 0) return &choice.get_object();
  }
  return nullptr;
}

// Appends `more` to a growing text field, or sets it.
void join_text(json::object& into, std::string_view key, const json::value& more) {
  json::value& field = into[key];
  if (field.is_string() && more.is_string()) {
    field.get_string() += more.get_string();
  } else {
    field = more;
  }
}

bool grows(std::string_view key) {
  return key == "reasoning" || key == "reasoning_content" || key == "refusal" || key == "arguments" ||
         key == "thinking" || key == "text";
}

// Two stretches of logprobs of one choice.
void join_logprobs(json::object& into, const json::object& more) {
  for (const auto& [key, value] : more) {
    json::value& field = into[key];
    if (field.is_array() && value.is_array()) {
      for (const json::value& item : value.get_array()) field.get_array().push_back(item);
    } else if (!value.is_null()) {
      field = value;
    }
  }
}

json::value message_json(const core::ChatMessage& message, base::Result<>& state) {
  json::object out{{"role", std::string(core::to_string(message.role))}, {"content", message.content}};
  if (message.extra_json.empty()) return out;
  auto extra = parse_object(message.extra_json);
  if (!extra) {
    state =
        base::fail(Code::invalid, "BAD_PARAMETERS", "a message's further fields are not a JSON object", "", "messages");
    return out;
  }
  if (message.content.empty() && extra->contains("tool_calls")) out["content"] = nullptr;
  for (const auto& [key, value] : *extra) out[key] = value;
  return out;
}

}  // namespace

base::Result<std::string> render_chat_request(const core::ChatRequest& request, std::string_view model, bool stream) {
  json::object body;
  if (!request.parameters_json.empty()) {
    auto parameters = parse_object(request.parameters_json);
    if (!parameters) return base::fail(Code::invalid, "BAD_PARAMETERS", "the parameters are not a JSON object");
    body = *std::move(parameters);
  }
  const json::value* choices = body.if_contains("n");
  if (count_of(choices) > 1) {
    return base::fail(Code::invalid, "CHOICES_UNSUPPORTED", "only one choice per request is supported; leave n out", "",
                      "n");
  }
  body["model"] = std::string(model);
  base::Result<> state;
  json::array messages;
  for (const core::ChatMessage& message : request.messages) messages.push_back(message_json(message, state));
  if (!state) return std::unexpected(std::move(state).error());
  body["messages"] = std::move(messages);
  if (request.temperature && !body.contains("temperature")) body["temperature"] = *request.temperature;
  if (request.max_tokens && !body.contains("max_tokens") && !body.contains("max_completion_tokens")) {
    body["max_tokens"] = *request.max_tokens;
  }
  body.erase("stream");
  if (stream) {
    body["stream"] = true;
    json::value& options = body["stream_options"];
    if (!options.is_object()) options = json::object();
    options.get_object()["include_usage"] = true;
  } else {
    body.erase("stream_options");
  }
  return json::serialize(body);
}

base::Result<core::ChatCompletion> parse_chat_response(std::string_view provider, std::string_view body) {
  const auto response = parse_object(body);
  if (!response) return bad_response(provider, "something that is not JSON");
  const json::object* choice = first_choice(*response);
  const json::value* message = choice != nullptr ? choice->if_contains("message") : nullptr;
  if (message == nullptr || !message->is_object()) {
    const json::value* error = response->if_contains("error");
    if (error != nullptr && !error->is_null()) {
      return base::fail(Code::upstream, "PROVIDER_FAILED",
                        fmt::format("the provider {} reported: {}", provider, error_message(*error)));
    }
    return bad_response(provider, "no message");
  }
  core::ChatCompletion completion;
  completion.model = string_of(response->if_contains("model"));
  completion.finish_reason = string_of(choice->if_contains("finish_reason"));
  if (completion.finish_reason.empty()) completion.finish_reason = "stop";
  json::array others;
  completion.content = content_text(message->get_object().if_contains("content"), others);
  json::object extra = other_fields(message->get_object(), *choice);
  if (!others.empty()) extra["content_parts"] = std::move(others);
  if (!extra.empty()) completion.extra_json = json::serialize(extra);
  read_usage(usage_of(*response), completion.usage);
  return completion;
}

struct ChatAssembly::State {
  std::string provider;
  core::ChatCompletion whole;
  json::object extra;
  json::array tool_calls;
  size_t bytes = 0;
  bool done = false;

  void merge_tool_call(const json::value& piece);
  void merge(const json::object& fields);
};

void ChatAssembly::State::merge_tool_call(const json::value& piece) {
  const json::object* part = piece.if_object();
  if (part == nullptr) return;
  // Providers that leave the index out send each call whole.
  const json::value* index_field = part->if_contains("index");
  const size_t index = index_field != nullptr ? static_cast<size_t>(count_of(index_field)) : tool_calls.size();
  if (index >= kToolCallsMax) return;
  while (tool_calls.size() <= index) tool_calls.push_back(json::object());
  json::object& call = tool_calls[index].get_object();
  for (const auto& [key, value] : *part) {
    if (key == "index" || value.is_null()) continue;
    if (key != "function" || !value.is_object()) {
      call[key] = value;
      continue;
    }
    json::value& function = call["function"];
    if (!function.is_object()) function = json::object();
    for (const auto& [name, field] : value.get_object()) {
      if (field.is_null()) continue;
      if (grows(name)) {
        join_text(function.get_object(), name, field);
      } else {
        function.get_object()[name] = field;
      }
    }
  }
}

void ChatAssembly::State::merge(const json::object& fields) {
  for (const auto& [key, value] : fields) {
    if (key == "tool_calls" && value.is_array()) {
      for (const json::value& piece : value.get_array()) merge_tool_call(piece);
    } else if (key == "logprobs" && value.is_object()) {
      json::value& logprobs = extra["logprobs"];
      if (!logprobs.is_object()) logprobs = json::object();
      join_logprobs(logprobs.get_object(), value.get_object());
    } else if (value.is_string() && grows(key)) {
      join_text(extra, key, value);
    } else if (value.is_array() && extra.contains(key) && extra[key].is_array()) {
      for (const json::value& item : value.get_array()) extra[key].get_array().push_back(item);
    } else {
      extra[key] = value;
    }
  }
}

ChatAssembly::ChatAssembly(std::string provider) : state_(std::make_unique<State>()) {
  state_->provider = std::move(provider);
}
ChatAssembly::~ChatAssembly() = default;

base::Result<> ChatAssembly::feed(std::string_view data, core::ChatDelta& delta) {
  delta = {};
  State& state = *state_;
  if (data == "[DONE]") {
    state.done = true;
    return {};
  }
  state.bytes += data.size();
  if (state.bytes > kAnswerBytesMax * 4) {
    return base::fail(Code::too_large, "ANSWER_TOO_LARGE",
                      fmt::format("the provider {} answered more than can be kept", state.provider));
  }
  const auto chunk = parse_object(data);
  if (!chunk) return bad_response(state.provider, "a stream event that is not JSON");
  if (const json::value* error = chunk->if_contains("error"); error != nullptr && !error->is_null()) {
    return base::fail(Code::upstream, "PROVIDER_FAILED",
                      fmt::format("the provider {} reported: {}", state.provider, error_message(*error)));
  }
  if (state.whole.model.empty()) state.whole.model = string_of(chunk->if_contains("model"));
  read_usage(usage_of(*chunk), state.whole.usage);
  const json::object* choice = first_choice(*chunk);
  if (choice == nullptr) return {};
  if (const auto reason = string_of(choice->if_contains("finish_reason")); !reason.empty()) {
    state.whole.finish_reason = reason;
  }
  const json::value* piece = choice->if_contains("delta");
  if (piece == nullptr || !piece->is_object()) return {};
  json::array others;
  delta.text = content_text(piece->get_object().if_contains("content"), others);
  json::object fields = other_fields(piece->get_object(), *choice);
  if (!others.empty()) fields["content_parts"] = std::move(others);
  state.whole.content += delta.text;
  if (!fields.empty()) {
    state.merge(fields);
    delta.extra_json = json::serialize(fields);
  }
  return {};
}

bool ChatAssembly::done() const {
  return state_->done;
}
bool ChatAssembly::complete() const {
  return state_->done || !state_->whole.finish_reason.empty();
}

core::ChatCompletion ChatAssembly::finish() {
  core::ChatCompletion whole = std::move(state_->whole);
  if (whole.finish_reason.empty()) whole.finish_reason = "stop";
  if (!state_->tool_calls.empty()) state_->extra["tool_calls"] = std::move(state_->tool_calls);
  if (!state_->extra.empty()) whole.extra_json = json::serialize(state_->extra);
  return whole;
}

}  // namespace tessera::llm
