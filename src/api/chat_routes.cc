#include "api/chat_routes.h"

#include <fmt/format.h>

#include <charconv>

#include "account/spending.h"
#include "api/body.h"
#include "api/render.h"
#include "chat/chat_service.h"
#include "chat/chat_streams.h"
#include "chat/sessions.h"
#include "chat/stream_table.h"
#include "wire/sse.h"

namespace tessera::api {
namespace {

constexpr base::Millis kHeartbeat{15'000};

base::Error bad_field(std::string_view name, std::string message) {
  return base::make_error(base::Code::invalid, "INVALID_FIELD", std::move(message), {}, std::string(name));
}

/// auto, on and off, as words or booleans.
base::Result<chat::UseRag> parse_use(const Body& config, std::string_view name) {
  if (!config.has(name)) return chat::UseRag::automatic;
  if (const auto flag = config.boolean(name)) return *flag ? chat::UseRag::on : chat::UseRag::off;
  const std::string word = config.text_or(name, "");
  if (word == "auto") return chat::UseRag::automatic;
  if (word == "on" || word == "true") return chat::UseRag::on;
  if (word == "off" || word == "false") return chat::UseRag::off;
  return std::unexpected(bad_field(name, fmt::format("'config.{}' must be \"auto\", true or false.", name)));
}

/// Parts of the contract that this server does not have yet are refused when asked for, not ignored.
base::Result<> refuse_missing(const Body& config, std::string_view name, std::string_view what) {
  TESSERA_TRY(const chat::UseRag use, parse_use(config, name));
  if (use != chat::UseRag::on) return {};
  return std::unexpected(
      bad_field(name, fmt::format("This server has no {} yet; leave 'config.{}' at \"auto\".", what, name)));
}

std::string frame_ndjson(const chat::NumberedEvent& numbered, std::string_view request_id) {
  return fmt::format("{{\"id\":{},\"event\":\"{}\",\"data\":{}}}\n", numbered.id, chat::event_name(numbered.event),
                     event_json(numbered.event, request_id));
}

std::string frame_sse(const chat::NumberedEvent& numbered, std::string_view request_id) {
  std::string out;
  wire::append_sse(out, std::to_string(numbered.id), chat::event_name(numbered.event),
                   event_json(numbered.event, request_id));
  return out;
}

}  // namespace

void ChatRoutes::bind(std::array<RouteHandler, kRouteCount>& handlers) {
  const auto at = [&](RouteId id) -> RouteHandler& { return handlers[static_cast<size_t>(id)]; };
  at(RouteId::chat) = [this](Call& call) { return chat(call); };
  at(RouteId::chat_ndjson) = [this](Call& call) { return chat_ndjson(call); };
  at(RouteId::ask) = [this](Call& call) { return ask(call); };
  at(RouteId::resume_stream) = [this](Call& call) { return resume_stream(call); };
  at(RouteId::cancel_stream) = [this](Call& call) { return cancel_stream(call); };
  at(RouteId::list_sessions) = [this](Call& call) { return list_sessions(call); };
  at(RouteId::create_session) = [this](Call& call) { return create_session(call); };
  at(RouteId::get_session) = [this](Call& call) { return get_session(call); };
  at(RouteId::delete_session) = [this](Call& call) { return delete_session(call); };
  at(RouteId::list_messages) = [this](Call& call) { return list_messages(call); };
  at(RouteId::erase_user) = [this](Call& call) { return erase_user(call); };
}

base::Result<chat::ChatTurn> ChatRoutes::turn_from_body(Call& call, const Body& body) const {
  chat::ChatTurn turn;
  turn.session_id = body.text_or("session_id", "");
  turn.message = body.text_or("message", "");
  turn.collection = body.text_or("collection", "default");
  turn.model = body.text_or("model", "");
  call.context.user_id = body.text_or("user_id", "");
  chat::ChatConfig& config = turn.config;
  config.top_k = static_cast<size_t>(options_.chat_top_k);
  config.otherwise = {.temperature = options_.chat_temperature, .max_tokens = options_.chat_max_tokens};
  config.max_history_messages = static_cast<size_t>(options_.chat_max_history_messages);
  config.max_history_tokens = static_cast<size_t>(options_.chat_max_history_tokens);
  if (const auto given = body.object("config")) {
    config.top_k = static_cast<size_t>(given->integer("top_k").value_or(options_.chat_top_k));
    config.temperature = given->number("temperature");
    config.max_tokens = given->integer("max_tokens");
    config.max_history_messages =
        static_cast<size_t>(given->integer("max_history_messages").value_or(options_.chat_max_history_messages));
    config.deadline_ms = given->integer("deadline_ms");
    TESSERA_TRY(config.use_rag, parse_use(*given, "use_rag"));
    TESSERA_CHECK(refuse_missing(*given, "use_web_search", "web search"));
    TESSERA_CHECK(refuse_missing(*given, "use_memory", "memory"));
  }
  return turn;
}

async::Task<base::Result<Reply>> ChatRoutes::chat(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("ChatRequest")));
  TESSERA_CO_TRY(chat::ChatTurn turn, turn_from_body(call, body));
  const bool accepts_events =
      call.request.header("accept").value_or("").find("text/event-stream") != std::string_view::npos;
  if (body.boolean("stream").value_or(accepts_events)) {
    TESSERA_CO_TRY(std::string stream_id, co_await parts_.streams.start(call.context, std::move(turn)));
    co_return co_await relay(call, std::move(stream_id), 0, Framing::sse);
  }
  TESSERA_CO_TRY(const chat::ChatResponse response, co_await parts_.chat.run(call.context, std::move(turn), nullptr));
  JsonWriter out;
  write_chat_response(out, response);
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::chat_ndjson(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("ChatRequest")));
  TESSERA_CO_TRY(chat::ChatTurn turn, turn_from_body(call, body));
  TESSERA_CO_TRY(std::string stream_id, co_await parts_.streams.start(call.context, std::move(turn)));
  co_return co_await relay(call, std::move(stream_id), 0, Framing::ndjson);
}

async::Task<base::Result<Reply>> ChatRoutes::relay(Call& call, std::string stream_id, uint64_t after, Framing framing) {
  const bool sse = framing == Framing::sse;
  bool begun = false;
  while (true) {
    async::WaitBounds bounds;
    bounds.deadline = parts_.clock.now() + kHeartbeat;
    bounds.token = call.context.cancel;
    auto next = co_await parts_.stream_table.next(call.context.tenant, stream_id, after, std::move(bounds));
    const bool quiet = !next && next.error().code == base::Code::deadline;
    if (!next && !quiet) co_return std::unexpected(std::move(next).error());
    if (!begun) {
      // Only now: a stream that is not there is a plain error with its status.
      wire::StreamHead head;
      head.content_type = sse ? "text/event-stream" : "application/x-ndjson";
      head.headers = call.common_headers(parts_.clock);
      head.headers.push_back({"X-Stream-Id", stream_id});
      head.headers.push_back({"Cache-Control", "no-cache, no-store, must-revalidate"});
      TESSERA_CO_CHECK(co_await call.writer.begin_stream(std::move(head)));
      call.status = 200;
      begun = true;
    }
    std::string out;
    if (quiet) {
      TESSERA_CO_CHECK(call.context.check(parts_.clock));
      if (sse) wire::append_sse_comment(out);
    } else if (!next->has_value()) {
      break;
    } else {
      after = (*next)->id;
      out = sse ? frame_sse(**next, call.context.request_id) : frame_ndjson(**next, call.context.request_id);
    }
    TESSERA_CO_CHECK(co_await call.writer.write(std::move(out)));
  }
  TESSERA_CO_CHECK(co_await call.writer.finish());
  Reply reply;
  reply.streamed = true;
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::ask(Call& call) {
  TESSERA_CO_TRY(const Body body, Body::parse(call.request.body, *find_schema("AskRequest")));
  chat::ChatTurn turn;
  turn.message = body.text_or("question", body.text_or("prompt", ""));
  if (turn.message.empty())
    co_return base::fail(base::Code::invalid, "MISSING_FIELD", "'question' is required.", std::string(), "question");
  turn.collection = body.text_or("collection", "default");
  turn.model = body.boolean("prefer_fast").value_or(false) ? "tessera/extractive"
                                                           : body.text_or("model", body.text_or("model_name", ""));
  turn.config.top_k = static_cast<size_t>(body.integer("top_k").value_or(options_.chat_top_k));
  turn.config.otherwise = {.temperature = options_.chat_temperature, .max_tokens = options_.chat_max_tokens};
  turn.config.max_tokens = body.integer("max_tokens");
  turn.config.max_history_messages = 0;
  call.context.user_id = body.text_or("user_id", "");
  TESSERA_CO_TRY(const chat::ChatResponse response, co_await parts_.chat.run(call.context, std::move(turn), nullptr));
  JsonWriter out;
  out.begin_object().field("answer", response.answer);
  write_citations(out, "sources", response.sources);
  const double seconds = std::chrono::duration<double>(parts_.clock.now() - call.started).count();
  out.field("model_used", response.model)
      .field("context_used", !response.sources.empty())
      .field("processing_time", seconds)
      .end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::resume_stream(Call& call) {
  const std::string_view text = call.request.header("last-event-id").value_or("0");
  uint64_t after = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), after);
  if (error != std::errc() || end != text.data() + text.size()) {
    co_return std::unexpected(bad_field("Last-Event-ID", "Last-Event-ID must be the number of an event."));
  }
  co_return co_await relay(call, call.param("stream_id"), after, Framing::sse);
}

async::Task<base::Result<Reply>> ChatRoutes::cancel_stream(Call& call) {
  TESSERA_CO_CHECK(parts_.stream_table.cancel(call.context.tenant, call.param("stream_id")));
  Reply reply;
  reply.body = R"({"deleted":true})";
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::list_sessions(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"user_id", "limit", "cursor"}));
  TESSERA_CO_TRY(call.context.user_id, call.query("user_id"));
  TESSERA_CO_TRY(core::PageRequest page, call.page());
  TESSERA_CO_TRY(const auto sessions, co_await parts_.sessions.list(call.context, std::move(page)));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const core::Session& session : sessions.items) write_session(out, session);
  out.end_array();
  write_cursor(out, sessions.next_cursor);
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::create_session(Call& call) {
  TESSERA_CO_TRY(const Body body,
                 Body::parse(call.request.body.empty() ? "{}" : call.request.body, *find_schema("SessionRequest")));
  core::Session session;
  session.session_id = body.text_or("session_id", "");
  session.user_id = body.text_or("user_id", "");
  session.title = body.text_or("title", "");
  call.context.user_id = session.user_id;
  TESSERA_CO_TRY(const core::Session made, co_await parts_.sessions.create(call.context, std::move(session)));
  JsonWriter out;
  write_session(out, made);
  Reply reply;
  reply.status = 201;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::get_session(Call& call) {
  TESSERA_CO_TRY(const core::Session session, co_await parts_.sessions.find(call.context, call.param("session_id")));
  JsonWriter out;
  write_session(out, session);
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::delete_session(Call& call) {
  TESSERA_CO_CHECK(co_await parts_.sessions.remove(call.context, call.param("session_id")));
  Reply reply;
  reply.body = R"({"deleted":true})";
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::list_messages(Call& call) {
  TESSERA_CO_CHECK(call.allow_query({"limit", "cursor"}));
  TESSERA_CO_TRY(core::PageRequest page, call.page());
  TESSERA_CO_TRY(const auto messages,
                 co_await parts_.sessions.messages(call.context, call.param("session_id"), std::move(page)));
  JsonWriter out;
  out.begin_object().key("items").begin_array();
  for (const core::StoredMessage& message : messages.items) write_message(out, message);
  out.end_array();
  write_cursor(out, messages.next_cursor);
  out.end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

async::Task<base::Result<Reply>> ChatRoutes::erase_user(Call& call) {
  TESSERA_CO_TRY(const int64_t sessions, co_await parts_.sessions.erase_user(call.context, call.param("user_id")));
  TESSERA_CO_CHECK(co_await parts_.spending.erase_user(call.context.tenant, call.param("user_id")));
  JsonWriter out;
  out.begin_object().field("sessions", sessions).end_object();
  Reply reply;
  reply.body = out.take();
  co_return reply;
}

}  // namespace tessera::api
