// OpenAI's /chat/completions -> /responses: https://platform.openai.com/docs/api-reference/responses-streaming
#include <fmt/format.h>

#include <boost/json.hpp>
#include <vector>

#include "llm/providers/request_fields.h"
#include "llm/providers/responses_over_chat.h"
#include "wire/sse.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using core::Task;

constexpr size_t kItemsMax = 512;
constexpr size_t kEventBytesMax = 16UL * 1024 * 1024;

std::unexpected<base::Error> bad(std::string_view what) {
  return base::fail(base::Code::upstream, "BAD_RESPONSE", fmt::format("the provider answered with {}", what));
}

json::object usage_of(const json::value* usage) {
  const json::object none;
  const json::object& said = usage != nullptr && usage->is_object() ? usage->get_object() : none;
  const auto detail = [&](std::string_view of, std::string_view key) -> int64_t {
    const json::value* details = said.if_contains(of);
    return details != nullptr && details->is_object() ? count_of(details->get_object().if_contains(key)) : 0;
  };
  const int64_t input = count_of(said.if_contains("prompt_tokens"));
  const int64_t output = count_of(said.if_contains("completion_tokens"));
  return {{"input_tokens", input},
          {"input_tokens_details", {{"cached_tokens", detail("prompt_tokens_details", "cached_tokens")}}},
          {"output_tokens", output},
          {"output_tokens_details", {{"reasoning_tokens", detail("completion_tokens_details", "reasoning_tokens")}}},
          {"total_tokens", input + output}};
}

json::object text_part(std::string_view text) {
  return {{"type", "output_text"}, {"text", std::string(text)}, {"annotations", json::array()}};
}

json::object message_item(std::string_view id, std::string_view status, json::array content) {
  return {{"id", "msg_" + std::string(id)},
          {"type", "message"},
          {"status", std::string(status)},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

json::object call_item(std::string_view id, std::string_view name, std::string_view arguments,
                       std::string_view status) {
  return {{"id", "fc_" + std::string(id)}, {"type", "function_call"},   {"status", std::string(status)},
          {"call_id", std::string(id)},    {"name", std::string(name)}, {"arguments", std::string(arguments)}};
}

struct ResponseHead {
  std::string id;
  std::string model;
  int64_t created = 0;
};

json::object response_of(const ResponseHead& head, std::string_view finish, json::array output) {
  const bool cut = finish == "length" || finish == "content_filter";
  json::object response{{"id", "resp_" + head.id},
                        {"object", "response"},
                        {"created_at", head.created},
                        {"status", finish.empty() ? "in_progress"
                                   : cut          ? "incomplete"
                                                  : "completed"},
                        {"error", nullptr},
                        {"incomplete_details", nullptr},
                        {"model", head.model},
                        {"output", std::move(output)},
                        {"store", false}};
  if (cut) {
    response["incomplete_details"] = {{"reason", finish == "length" ? "max_output_tokens" : "content_filter"}};
  }
  return response;
}

const json::object* first_choice(const json::object& answer) {
  const json::value* choices = answer.if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return nullptr;
  return choices->get_array().front().if_object();
}

}  // namespace

base::Result<std::string> chat_to_response(std::string_view answer, int64_t created) {
  boost::system::error_code failed;
  const json::value value = json::parse(answer, failed);
  const json::object* chat = failed ? nullptr : value.if_object();
  const json::object* choice = chat != nullptr ? first_choice(*chat) : nullptr;
  const json::value* message = choice != nullptr ? choice->if_contains("message") : nullptr;
  if (message == nullptr || !message->is_object()) return bad("no message");
  const json::object& said = message->get_object();
  const ResponseHead head{std::string(text_of(chat->if_contains("id"))),
                          std::string(text_of(chat->if_contains("model"))), created};
  json::array output;
  const std::string text = joined_text(said.if_contains("content"));
  const json::value* calls = said.if_contains("tool_calls");
  if (!text.empty() || calls == nullptr || !calls->is_array()) {
    output.push_back(message_item(head.id, "completed", {text_part(text)}));
  }
  if (calls != nullptr && calls->is_array()) {
    for (const json::value& call : calls->get_array()) {
      const json::object* object = call.if_object();
      const json::value* function = object != nullptr ? object->if_contains("function") : nullptr;
      if (function == nullptr || !function->is_object()) return bad("a tool call without its function");
      output.push_back(call_item(text_of(object->if_contains("id")),
                                 text_of(function->get_object().if_contains("name")),
                                 text_of(function->get_object().if_contains("arguments")), "completed"));
    }
  }
  const std::string_view reason = text_of(choice->if_contains("finish_reason"));
  json::object response = response_of(head, reason.empty() ? "stop" : reason, std::move(output));
  response["usage"] = usage_of(chat->if_contains("usage"));
  return json::serialize(response);
}

/// The items of the response so far. A text item is open until a call begins or the answer ends; so is each call.
struct ResponseEvents::State {
  struct Item {
    bool text = false;
    bool open = true;
    std::string id;
    std::string name;
    std::string content;  ///< text or arguments
  };

  ResponseHead head;
  std::string finish;
  json::value usage;
  std::vector<Item> items;
  std::vector<size_t> item_of_call;
  int64_t sequence = 0;
  bool begun = false;
  bool ended = false;

  void emit(std::string& out, std::string_view type, json::object body) {
    body["type"] = std::string(type);
    body["sequence_number"] = sequence++;
    wire::append_sse(out, {}, type, json::serialize(body));
  }
  [[nodiscard]] json::object json_of(const Item& item, std::string_view status, bool with_content) const {
    if (!item.text) return call_item(item.id, item.name, with_content ? item.content : "", status);
    json::array parts;
    if (with_content) parts.push_back(text_part(item.content));
    return message_item(item.id, status, std::move(parts));
  }
  void begin(std::string& out) {
    if (std::exchange(begun, true)) return;
    emit(out, "response.created", {{"response", response_of(head, "", {})}});
    emit(out, "response.in_progress", {{"response", response_of(head, "", {})}});
  }
  [[nodiscard]] json::object place(size_t index) const {
    const Item& item = items[index];
    json::object at{{"item_id", (item.text ? "msg_" : "fc_") + item.id}, {"output_index", index}};
    if (item.text) at["content_index"] = 0;
    return at;
  }
  size_t open(std::string& out, Item item) {
    items.push_back(std::move(item));
    const size_t index = items.size() - 1;
    emit(out, "response.output_item.added",
         {{"output_index", index}, {"item", json_of(items[index], "in_progress", false)}});
    if (items[index].text) {
      json::object added = place(index);
      added["part"] = text_part("");
      emit(out, "response.content_part.added", std::move(added));
    }
    return index;
  }
  void delta(std::string& out, size_t index, std::string_view piece) {
    if (piece.empty()) return;
    Item& item = items[index];
    item.content += piece;
    json::object body = place(index);
    body["delta"] = std::string(piece);
    emit(out, item.text ? "response.output_text.delta" : "response.function_call_arguments.delta", std::move(body));
  }
  void close(std::string& out, size_t index) {
    Item& item = items[index];
    if (!std::exchange(item.open, false)) return;
    json::object done = place(index);
    done[item.text ? "text" : "arguments"] = item.content;
    emit(out, item.text ? "response.output_text.done" : "response.function_call_arguments.done", std::move(done));
    if (item.text) {
      json::object part = place(index);
      part["part"] = text_part(item.content);
      emit(out, "response.content_part.done", std::move(part));
    }
    emit(out, "response.output_item.done", {{"output_index", index}, {"item", json_of(item, "completed", true)}});
  }
  void text(std::string& out, std::string_view piece) {
    if (piece.empty()) return;
    if (items.empty() || !items.back().text || !items.back().open) {
      open(out,
           {.text = true, .open = true, .id = fmt::format("{}_{}", head.id, items.size()), .name = {}, .content = {}});
    }
    delta(out, items.size() - 1, piece);
  }
  base::Result<> call(std::string& out, const json::object& piece) {
    const json::value* index_field = piece.if_contains("index");
    const size_t index = index_field != nullptr ? static_cast<size_t>(count_of(index_field)) : item_of_call.size();
    const json::value* function = piece.if_contains("function");
    const json::object none;
    const json::object& said = function != nullptr && function->is_object() ? function->get_object() : none;
    if (index > item_of_call.size() || items.size() >= kItemsMax) return bad("tool calls out of order");
    if (index == item_of_call.size()) {
      if (!items.empty()) close(out, items.size() - 1);
      item_of_call.push_back(open(out, {.text = false,
                                        .open = true,
                                        .id = std::string(text_of(piece.if_contains("id"))),
                                        .name = std::string(text_of(said.if_contains("name"))),
                                        .content = {}}));
    }
    delta(out, item_of_call[index], text_of(said.if_contains("arguments")));
    return {};
  }
  void end(std::string& out) {
    if (std::exchange(ended, true)) return;
    begin(out);
    json::array output;
    for (size_t i = 0; i < items.size(); ++i) {
      close(out, i);
      output.push_back(json_of(items[i], "completed", true));
    }
    if (finish.empty()) finish = "stop";
    json::object response = response_of(head, finish, std::move(output));
    response["usage"] = usage_of(&usage);
    const bool cut = response.at("status") == "incomplete";
    emit(out, cut ? "response.incomplete" : "response.completed", {{"response", std::move(response)}});
  }
};

ResponseEvents::ResponseEvents(int64_t created) : state_(std::make_unique<State>()) {
  state_->head.created = created;
}
ResponseEvents::~ResponseEvents() = default;

base::Result<> ResponseEvents::feed(std::string_view data, std::string& out) {
  State& state = *state_;
  if (data == "[DONE]") {
    state.end(out);
    return {};
  }
  boost::system::error_code failed;
  const json::value value = json::parse(data, failed);
  const json::object* chunk = failed ? nullptr : value.if_object();
  if (chunk == nullptr) return bad("a stream event that is not JSON");
  if (state.head.id.empty()) state.head.id = text_of(chunk->if_contains("id"));
  if (state.head.model.empty()) state.head.model = text_of(chunk->if_contains("model"));
  state.begin(out);
  if (const json::value* usage = member_of(*chunk, "usage")) state.usage = *usage;
  const json::object* choice = first_choice(*chunk);
  if (choice == nullptr) return {};
  if (const auto reason = text_of(choice->if_contains("finish_reason")); !reason.empty()) state.finish = reason;
  const json::value* delta = choice->if_contains("delta");
  if (delta == nullptr || !delta->is_object()) return {};
  state.text(out, joined_text(delta->get_object().if_contains("content")));
  const json::value* calls = delta->get_object().if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) return {};
  for (const json::value& piece : calls->get_array()) {
    if (piece.is_object()) TESSERA_CHECK(state.call(out, piece.get_object()));
  }
  return {};
}

namespace {

class EventSink final : public core::RelaySink {
 public:
  EventSink(int64_t created, core::RelaySink& sink) : events_(created), sink_(sink) {}

  Task<base::Result<>> on_events(std::string_view bytes) override {
    parsed_.clear();
    out_.clear();
    TESSERA_CO_CHECK(parser_.feed(bytes, parsed_));
    for (const wire::SseEvent& event : parsed_) TESSERA_CO_CHECK(events_.feed(event.data, out_));
    if (!out_.empty()) TESSERA_CO_CHECK(co_await sink_.on_events(out_));
    co_return base::Result<>{};
  }

 private:
  ResponseEvents events_;
  core::RelaySink& sink_;
  wire::SseParser parser_{kEventBytesMax};
  std::vector<wire::SseEvent> parsed_;
  std::string out_;
};

class ResponsesOverChat final : public core::ResponsesRelay {
 public:
  ResponsesOverChat(std::shared_ptr<core::ChatModel> model, const base::Clock& clock)
      : model_(std::move(model)), clock_(clock) {}

  Task<base::Result<std::string>> respond(const core::RequestContext& context, const core::RelayRequest& request,
                                          core::RelaySink* sink, core::RelayReport& report) override {
    core::RelayRequest chat{.model = request.model, .body = {}, .stream = sink != nullptr, .include_usage = true};
    TESSERA_CO_TRY(chat.body, responses_to_chat(request.body));
    const int64_t now = clock_.unix_ms() / 1000;
    if (sink == nullptr) {
      TESSERA_CO_TRY(const std::string answer, co_await model_->relay(context, chat, nullptr, report));
      co_return chat_to_response(answer, now);
    }
    EventSink events(now, *sink);
    co_return co_await model_->relay(context, chat, &events, report);
  }

 private:
  std::shared_ptr<core::ChatModel> model_;
  const base::Clock& clock_;
};

}  // namespace

std::shared_ptr<core::ResponsesRelay> make_responses_over_chat(std::shared_ptr<core::ChatModel> model,
                                                               const base::Clock& clock) {
  return std::make_shared<ResponsesOverChat>(std::move(model), clock);
}

}  // namespace tessera::llm
