#include "api/openai_relay.h"

#include <fmt/format.h>

#include <vector>

#include "api/errors.h"
#include "async/deadline.h"
#include "text/json_skim.h"
#include "wire/sse.h"

namespace tessera::api {
namespace {

using text::JsonKind;
using text::JsonMember;

base::Error wrong(std::string_view name, std::string message) {
  return base::make_error(base::Code::invalid, "INVALID_FIELD", std::move(message), {}, std::string(name));
}

/// The member when it is there and not null. Errors: another kind than `kind`.
base::Result<const JsonMember*> member_of(const std::vector<JsonMember>& members, std::string_view name, JsonKind kind,
                                          std::string_view kind_name) {
  const JsonMember* const member = text::find_member(members, name);
  if (member == nullptr || member->kind == JsonKind::null) return nullptr;
  if (member->kind != kind) return std::unexpected(wrong(name, fmt::format("'{}' must be {}.", name, kind_name)));
  return member;
}

base::Result<std::string> text_of(const std::vector<JsonMember>& members, std::string_view name, size_t bytes_max) {
  TESSERA_TRY(const JsonMember* const member, member_of(members, name, JsonKind::string, "a text"));
  if (member == nullptr) return std::string();
  auto value = text::json_text(member->value);
  if (!value) return std::unexpected(wrong(name, fmt::format("'{}' must be a text.", name)));
  if (value->size() > bytes_max) {
    return std::unexpected(wrong(name, fmt::format("'{}' must be at most {} bytes long.", name, bytes_max)));
  }
  return *std::move(value);
}

base::Result<bool> flag_of(const std::vector<JsonMember>& members, std::string_view name) {
  TESSERA_TRY(const JsonMember* const member, member_of(members, name, JsonKind::boolean, "true or false"));
  return member != nullptr && member->value == "true";
}

base::Result<> check_messages(const std::vector<JsonMember>& members) {
  TESSERA_TRY(const JsonMember* const messages, member_of(members, "messages", JsonKind::array, "a list"));
  if (messages == nullptr) {
    return base::fail(base::Code::invalid, "MISSING_FIELD", "'messages' is missing.", std::string(), "messages");
  }
  text::JsonCursor at(messages->value);
  if (!at.enter_array() || !at.next_element()) {
    return std::unexpected(wrong("messages", "'messages' needs at least one message."));
  }
  return {};
}

/// Writes events as they come; the head goes out with the first.
class EventSink final : public core::RelaySink {
 public:
  EventSink(Call& call, const base::Clock& clock) : call_(call), clock_(clock) {}

  core::Task<base::Result<>> on_events(std::string_view events) override {
    if (!begun_) TESSERA_CO_CHECK(co_await begin());
    co_return co_await call_.writer.write(std::string(events));
  }

  async::Task<base::Result<>> begin() {
    begun_ = true;
    wire::StreamHead head;
    head.content_type = "text/event-stream";
    head.headers = call_.common_headers(clock_);
    head.headers.push_back({"Cache-Control", "no-cache"});
    call_.status = 200;
    return call_.writer.begin_stream(std::move(head));
  }

  [[nodiscard]] bool begun() const { return begun_; }

 private:
  Call& call_;
  const base::Clock& clock_;
  bool begun_ = false;
};

/// The head is out: OpenAI's clients raise on an event that holds an error object.
async::Task<base::Result<>> end_with(Call& call, const base::Error& error) {
  call.failed(error);
  std::string event;
  wire::append_sse(event, {}, {}, error_reply(error, "/v1/", call.context.request_id).body);
  TESSERA_CO_CHECK(co_await call.writer.write(std::move(event)));
  co_return co_await call.writer.finish();
}

}  // namespace

base::Result<CompletionAsk> read_ask(std::string_view body, RelayedForm form) {
  std::vector<JsonMember> members;
  members.reserve(16);
  if (auto read = text::skim_json_object(body, members); !read) {
    base::Error error = std::move(read).error();
    error.name = "INVALID_JSON";
    return std::unexpected(std::move(error));
  }
  if (form == RelayedForm::chat) TESSERA_CHECK(check_messages(members));
  CompletionAsk ask;
  TESSERA_TRY(ask.request.model, text_of(members, "model", 256));
  TESSERA_TRY(ask.user, text_of(members, "user", 256));
  // What OpenAI has put in the place of "user".
  TESSERA_TRY(std::string safety_identifier, text_of(members, "safety_identifier", 256));
  if (ask.user.empty()) ask.user = std::move(safety_identifier);
  if (form == RelayedForm::other) {
    TESSERA_TRY(ask.previous_response, text_of(members, "previous_response_id", 256));
    const JsonMember* const conversation = text::find_member(members, "conversation");
    ask.conversation = conversation != nullptr && conversation->kind != JsonKind::null;
    const JsonMember* const store = text::find_member(members, "store");
    ask.store = store == nullptr || store->value != "false";
  }
  TESSERA_TRY(ask.request.stream, flag_of(members, "stream"));
  TESSERA_TRY(const JsonMember* const options, member_of(members, "stream_options", JsonKind::object, "an object"));
  if (options != nullptr) {
    std::vector<JsonMember> inner;
    TESSERA_CHECK(text::skim_json_object(options->value, inner));
    TESSERA_TRY(ask.request.include_usage, flag_of(inner, "include_usage"));
  }
  TESSERA_TRY(const JsonMember* const choices, member_of(members, "n", JsonKind::number, "a number"));
  if (choices != nullptr) {
    ask.choices = text::json_integer(choices->value).value_or(0);
    if (ask.choices < 1 || ask.choices > 128) return std::unexpected(wrong("n", "'n' must be 1 to 128."));
  }
  TESSERA_TRY(const JsonMember* const extension, member_of(members, "tessera", JsonKind::object, "an object"));
  ask.extended = extension != nullptr;
  const JsonMember* const tier = text::find_member(members, "service_tier");
  ask.background = tier != nullptr && tier->value == "\"flex\"";
  return ask;
}

async::Task<base::Result<Reply>> write_relayed(const ApiParts& parts, Call& call, bool stream, RelayRun run) {
  EventSink sink(call, parts.clock);
  core::RequestContext context = call.context;
  core::StageTimer timer(call.context, "model");
  const auto work = [&](async::CancelToken token) {
    context.cancel = std::move(token);
    return run(context, stream ? &sink : nullptr);
  };
  auto answer = co_await async::with_deadline(call.context.deadline, call.context.cancel, work);
  timer.stop();
  Reply reply;
  if (!stream) {
    TESSERA_CO_CHECK(answer);
    reply.body = *std::move(answer);
    co_return reply;
  }
  if (!answer && !sink.begun()) co_return std::unexpected(std::move(answer).error());
  reply.streamed = true;
  if (!answer) {
    TESSERA_CO_CHECK(co_await end_with(call, answer.error()));
    co_return reply;
  }
  if (!sink.begun() && !answer->empty()) {
    reply.streamed = false;
    reply.body = *std::move(answer);
    co_return reply;
  }
  if (!sink.begun()) TESSERA_CO_CHECK(co_await sink.begin());
  TESSERA_CO_CHECK(co_await call.writer.finish());
  co_return reply;
}

async::Task<base::Result<Reply>> relay_completion(const ApiParts& parts, Call& call, core::ChatModel& model,
                                                  core::RelayRequest request) {
  request.body = std::move(call.request.body);
  core::RelayReport report;
  const bool stream = request.stream;
  co_return co_await write_relayed(parts, call, stream,
                                   [&](const core::RequestContext& context, core::RelaySink* sink) {
                                     return model.relay(context, request, sink, report);
                                   });
}

}  // namespace tessera::api
