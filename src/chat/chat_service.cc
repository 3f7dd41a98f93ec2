#include "chat/chat_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "async/deadline.h"
#include "chat/history.h"
#include "chat/model_relay.h"
#include "chat/prompt.h"

namespace tessera::chat {

namespace {

using base::Code;

core::StoredMessage message_of(const std::string& session_id, core::Role role, std::string id, std::string content) {
  core::StoredMessage message;
  message.session_id = session_id;
  message.role = role;
  message.message_id = std::move(id);
  message.content = std::move(content);
  return message;
}

/// Hands a model's text to the turn's reader.
class TokenSink final : public core::ChatSink {
 public:
  explicit TokenSink(ChatEventSink* events) : events_(events) {}
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    if (delta.text.empty()) co_return base::Result<>{};
    co_return co_await events_->on_event(Token{std::move(delta.text)});
  }

 private:
  ChatEventSink* events_;
};

}  // namespace

/// One turn in the making; lives in run()'s frame.
struct ChatService::Work {
  core::RequestContext context;  // with the turn's own deadline and, while the model runs, its token
  core::RequestTrace own_trace;  // when the request brought none
  ChatTurn turn;
  ChatEventSink* sink = nullptr;
  base::SteadyTime began;
  int64_t asked_at_ms = 0;
  std::shared_ptr<core::ChatModel> model;
  bool needs_sources = false;
  bool opened = false;
  bool saved = false;
  std::vector<core::ChatMessage> history;
  Grounds grounds;
  ChatResponse response;
};

ChatService::ChatService(ChatParts parts, ChatOptions options)
    : parts_(std::move(parts)), options_(std::move(options)), grounding_(parts_.documents, parts_.retriever) {}

base::Result<> ChatService::check_turn(const ChatTurn& turn) const {
  if (turn.message.find_first_not_of(" \t\r\n") == std::string::npos) {
    return base::fail(Code::invalid, "EMPTY_MESSAGE", "The message is empty; ask something.", "", "message");
  }
  if (turn.message.size() > options_.message_bytes_max) {
    return base::fail(
        Code::too_large, "MESSAGE_TOO_LARGE",
        fmt::format("The message has more than {} bytes; ingest long texts as documents.", options_.message_bytes_max),
        "", "message");
  }
  if (!turn.session_id.empty() && !base::valid_client_id(turn.session_id)) {
    return base::fail(Code::invalid, "INVALID_SESSION_ID",
                      "A session_id is 1 to 256 printable ASCII characters without space, quotes, '/', '\\' or '#'.",
                      "", "session_id");
  }
  if (!core::valid_collection_name(turn.collection)) {
    return base::fail(Code::invalid, "INVALID_COLLECTION",
                      "A collection's name is 1 to 128 letters, digits, '-', '_' or '.', not starting with '.'.", "",
                      "collection");
  }
  return {};
}

core::Task<base::Result<ChatResponse>> ChatService::run(const core::RequestContext& context, ChatTurn turn,
                                                        ChatEventSink* sink) {
  Work work;
  work.context = context;
  if (work.context.trace == nullptr) work.context.trace = &work.own_trace;
  work.turn = std::move(turn);
  work.sink = sink;
  work.began = parts_.clock.now();
  work.asked_at_ms = parts_.clock.unix_ms();
  if (work.turn.config.deadline_ms) {
    const base::Millis allowed(std::max<int64_t>(0, *work.turn.config.deadline_ms));
    work.context.deadline = std::min(work.context.deadline, work.began + allowed);
  }

  const auto done = co_await answer(work);
  if (done) co_return std::move(work.response);
  const auto& error = done.error();
  if (work.opened && !work.saved) {
    const auto kept = co_await save(work, error.code == Code::cancelled ? "cancelled" : "failed");
    if (!kept) parts_.log.failure("chat_turn_not_saved", kept.error());
  }
  // The reader may be the very reason; nobody is left to tell then.
  if (const auto told = co_await tell(work, Failed{error}); !told) {
    parts_.log.log(base::LogLevel::debug, "chat_reader_gone", {{"request_id", context.request_id}});
  }
  co_return std::unexpected(error);
}

core::Task<base::Result<>> ChatService::answer(Work& work) {
  TESSERA_CO_CHECK(check_turn(work.turn));
  TESSERA_CO_CHECK(work.context.check(parts_.clock));
  auto& response = work.response;
  response.model = work.turn.model;
  if (response.model.empty()) response.model = parts_.models.default_for(work.context, core::ModelUse::chat);
  TESSERA_CO_TRY(work.model, parts_.models.find(response.model));
  const auto info = parts_.models.info(response.model);
  work.needs_sources = info && info->needs_sources;

  TESSERA_CO_CHECK(co_await open(work));
  TESSERA_CO_CHECK(co_await load_history(work));
  TESSERA_CO_CHECK(work.context.check(parts_.clock));
  TESSERA_CO_CHECK(co_await retrieve(work));
  TESSERA_CO_CHECK(work.context.check(parts_.clock));
  TESSERA_CO_CHECK(co_await generate(work));
  co_return co_await conclude(work);
}

core::Task<base::Result<>> ChatService::open(Work& work) {
  core::Session session;
  session.session_id = work.turn.session_id.empty() ? parts_.ids.next() : work.turn.session_id;
  session.user_id = work.context.user_id;
  work.response.session_id = session.session_id;
  work.response.message_id = parts_.ids.next();
  TESSERA_CO_CHECK(co_await parts_.conversations.open_session(work.context.tenant, std::move(session)));
  work.opened = true;
  co_return base::Result<>{};
}

core::Task<base::Result<>> ChatService::load_history(Work& work) {
  const auto& config = work.turn.config;
  if (work.turn.session_id.empty() || config.max_history_messages == 0) co_return base::Result<>{};
  core::StageTimer timer(work.context, "history");
  // Some more than asked for, since failed turns do not count.
  constexpr size_t kMessagesMax = 1000;
  const size_t wanted = std::min(config.max_history_messages, kMessagesMax);
  const auto recent = co_await parts_.conversations.recent_messages(work.context.tenant, work.response.session_id,
                                                                    static_cast<int64_t>(wanted * 2 + 4));
  TESSERA_CO_CHECK(recent);
  work.history =
      history_window(*recent, {.messages_max = wanted, .tokens_max = config.max_history_tokens}, parts_.count_tokens);
  co_return base::Result<>{};
}

core::Task<base::Result<>> ChatService::retrieve(Work& work) {
  const auto& config = work.turn.config;
  GroundingRequest request;
  request.collection = work.turn.collection;
  request.query = work.turn.message;
  request.top_k = config.top_k;
  request.use_rag = config.use_rag;
  request.required = work.needs_sources;
  if (config.use_rag != UseRag::off) {
    TESSERA_CO_CHECK(co_await tell(work, Status{"retrieving", "Searching the documents"}));
  }
  TESSERA_CO_TRY(work.grounds, co_await grounding_.find(work.context, std::move(request)));
  if (work.grounds.active) {
    TESSERA_CO_CHECK(co_await tell(work, Sources{make_citations(work.grounds.passages, "")}));
  }
  co_return base::Result<>{};
}

core::Task<base::Result<>> ChatService::generate(Work& work) {
  TESSERA_CO_CHECK(co_await tell(work, Status{"generating", "Writing the answer"}));
  core::StageTimer timer(work.context, "generate");
  core::ChatRequest request;
  request.model = work.response.model;
  request.temperature = work.turn.config.temperature;
  request.max_tokens = work.turn.config.max_tokens;
  request.otherwise = work.turn.config.otherwise;
  request.sources = work.grounds.passages;
  if (!work.needs_sources) {
    core::ChatMessage system;
    system.role = core::Role::system;
    system.content =
        options_.system_prompt.empty() ? default_system_prompt() : std::string_view(options_.system_prompt);
    if (work.grounds.active) system.content += "\n\n" + sources_prompt(work.grounds.passages);
    request.messages.push_back(std::move(system));
  }
  for (auto& message : work.history) request.messages.push_back(std::move(message));
  core::ChatMessage question;
  question.content = work.turn.message;
  request.messages.push_back(std::move(question));

  ModelRelayOptions relay_options;
  relay_options.check_markers = work.grounds.active;
  relay_options.sources = work.grounds.passages.size();
  relay_options.answer_bytes_max = options_.answer_bytes_max;
  TokenSink tokens(work.sink);
  ModelRelay relay(relay_options, work.sink != nullptr ? &tokens : nullptr, work.context, parts_.clock);
  const auto outer = work.context.cancel;
  core::ChatSink* const sink = work.sink != nullptr ? &relay : nullptr;
  const auto call = [&](async::CancelToken token) {
    work.context.cancel = std::move(token);
    return work.model->generate(work.context, request, sink);
  };
  auto completion = co_await async::with_deadline(work.context.deadline, outer, call);
  work.context.cancel = outer;
  if (completion) {
    const auto ended = co_await relay.finish(std::move(completion->content));
    if (!ended) completion = std::unexpected(ended.error());
  }
  work.response.answer = relay.take_answer();
  work.response.citations_removed = relay.removed();
  TESSERA_CO_CHECK(completion);
  if (!completion->model.empty()) work.response.model = completion->model;
  work.response.finish_reason = std::move(completion->finish_reason);
  work.response.usage = completion->usage;
  co_return base::Result<>{};
}

core::Task<base::Result<>> ChatService::conclude(Work& work) {
  auto& response = work.response;
  if (work.grounds.active) {
    core::StageTimer timer(work.context, "cite");
    TESSERA_CO_TRY(response.sources, co_await grounding_.verify(work.context, std::move(work.grounds.passages),
                                                                response.answer, response.citations_removed));
    const bool cites = std::ranges::any_of(response.sources, &Citation::cited);
    if (cites || work.needs_sources) std::erase_if(response.sources, [](const Citation& c) { return !c.cited; });
  }
  TESSERA_CO_CHECK(co_await tell(work, UsageEvent{response.usage}));
  TESSERA_CO_CHECK(co_await save(work, "complete"));
  response.timings = work.context.trace->stages();
  const auto total = std::chrono::duration<double, std::milli>(parts_.clock.now() - work.began);
  response.timings.emplace_back("total", total.count());
  response.degraded = work.context.trace->degraded();
  if (response.citations_removed > 0) {
    if (parts_.citations_removed != nullptr) {
      parts_.citations_removed->increment(static_cast<uint64_t>(response.citations_removed));
    }
    parts_.log.log(base::LogLevel::info, "citations_removed",
                   {{"request_id", work.context.request_id}, {"count", response.citations_removed}});
  }
  // Stored is done: a reader that left now has lost nothing.
  if (const auto told = co_await tell(work, Done{response}); !told) {
    parts_.log.log(base::LogLevel::debug, "chat_reader_gone", {{"request_id", work.context.request_id}});
  }
  co_return base::Result<>{};
}

core::Task<base::Result<>> ChatService::save(Work& work, std::string state) {
  core::StageTimer timer(work.context, "save");
  const auto& response = work.response;
  std::vector<core::StoredMessage> messages;
  messages.push_back(message_of(response.session_id, core::Role::user, parts_.ids.next(), work.turn.message));
  messages.back().state = state;
  messages.back().created_at_ms = work.asked_at_ms;
  messages.push_back(message_of(response.session_id, core::Role::assistant, response.message_id, response.answer));
  messages.back().state = std::move(state);
  messages.back().model = response.model;
  messages.back().sources_json = sources_to_json(response.sources);
  messages.back().usage = response.usage;
  messages.back().created_at_ms = std::max(work.asked_at_ms, parts_.clock.unix_ms());
  TESSERA_CO_CHECK(co_await parts_.conversations.append_messages(work.context.tenant, std::move(messages)));
  work.saved = true;
  co_return base::Result<>{};
}

core::Task<base::Result<>> ChatService::tell(Work& work, ChatEvent event) {
  if (work.sink == nullptr) co_return base::Result<>{};
  co_return co_await work.sink->on_event(std::move(event));
}

}  // namespace tessera::chat
