#include "chat/completion_service.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "async/deadline.h"
#include "chat/history.h"
#include "chat/model_relay.h"
#include "chat/prompt.h"

namespace tessera::chat {

namespace {

using base::Code;

std::string last_user_text(const std::vector<core::ChatMessage>& messages) {
  for (const auto& message : std::views::reverse(messages)) {
    if (message.role == core::Role::user) return message.content;
  }
  return {};
}

}  // namespace

/// One completion in the making; lives in complete()'s frame.
struct CompletionService::Work {
  core::RequestContext context;
  core::ChatRequest request;
  CompletionExtension extension;
  std::shared_ptr<core::ChatModel> model;
  bool needs_sources = false;
  int64_t asked_at_ms = 0;
  std::string question;
  Grounds grounds;
  CompletionResult result;
};

CompletionService::CompletionService(ChatParts parts, ChatOptions options)
    : parts_(std::move(parts)), options_(std::move(options)), grounding_(parts_.documents, parts_.retriever) {}

core::Task<base::Result<CompletionResult>> CompletionService::complete(const core::RequestContext& context,
                                                                       core::ChatRequest request,
                                                                       CompletionExtension extension,
                                                                       core::ChatSink* sink) {
  Work work;
  work.context = context;
  work.request = std::move(request);
  work.extension = std::move(extension);
  work.asked_at_ms = parts_.clock.unix_ms();
  TESSERA_CO_CHECK(context.check(parts_.clock));
  if (work.request.messages.empty()) {
    co_return base::fail(Code::invalid, "EMPTY_MESSAGES", "messages is empty; send at least one.", "", "messages");
  }
  if (work.request.model.empty()) {
    work.request.model = parts_.models.default_for(work.context, core::ModelUse::chat);
  }
  TESSERA_CO_TRY(work.model, parts_.models.find(work.request.model));
  const auto info = parts_.models.info(work.request.model);
  work.needs_sources = info && info->needs_sources;
  work.question = last_user_text(work.request.messages);

  TESSERA_CO_CHECK(co_await open(work));
  TESSERA_CO_CHECK(co_await ground(work));

  ModelRelayOptions relay_options;
  relay_options.check_markers = work.grounds.active;
  relay_options.sources = work.grounds.passages.size();
  relay_options.answer_bytes_max = options_.answer_bytes_max;
  ModelRelay relay(relay_options, sink, work.context, parts_.clock);
  const auto call = [&](async::CancelToken token) {
    work.context.cancel = std::move(token);
    return work.model->generate(work.context, work.request, sink != nullptr ? &relay : nullptr);
  };
  auto completion = co_await async::with_deadline(context.deadline, context.cancel, call);
  work.context.cancel = context.cancel;
  TESSERA_CO_CHECK(completion);
  work.result.completion = *std::move(completion);
  auto& answer = work.result.completion.content;
  TESSERA_CO_CHECK(co_await relay.finish(std::move(answer)));
  answer = relay.take_answer();
  work.result.citations_removed = relay.removed();
  if (work.grounds.active) {
    TESSERA_CO_TRY(work.result.sources, co_await grounding_.verify(work.context, std::move(work.grounds.passages),
                                                                   answer, work.result.citations_removed));
    const bool cites = std::ranges::any_of(work.result.sources, &Citation::cited);
    if (cites || work.needs_sources) std::erase_if(work.result.sources, [](const Citation& c) { return !c.cited; });
  }
  if (parts_.citations_removed != nullptr && work.result.citations_removed > 0) {
    parts_.citations_removed->increment(static_cast<uint64_t>(work.result.citations_removed));
  }
  TESSERA_CO_CHECK(co_await save(work));
  co_return std::move(work.result);
}

// The session, and its history before a request that brings none of its own.
core::Task<base::Result<>> CompletionService::open(Work& work) {
  const std::string& id = work.extension.session_id;
  if (id.empty()) co_return base::Result<>{};
  if (!base::valid_client_id(id)) {
    co_return base::fail(Code::invalid, "INVALID_SESSION_ID",
                         "A session_id is 1 to 256 printable ASCII characters without space, quotes, '/', '\\' or '#'.",
                         "", "tessera.session_id");
  }
  work.result.session_id = id;
  work.result.message_id = parts_.ids.next();
  core::Session session;
  session.session_id = id;
  session.user_id = work.context.user_id;
  TESSERA_CO_CHECK(co_await parts_.conversations.open_session(work.context.tenant, std::move(session)));
  auto& messages = work.request.messages;
  const auto spoken = std::ranges::count_if(messages, [](const auto& m) { return m.role != core::Role::system; });
  if (spoken != 1) co_return base::Result<>{};
  const HistoryBounds bounds;
  const auto recent = co_await parts_.conversations.recent_messages(work.context.tenant, id,
                                                                    static_cast<int64_t>(bounds.messages_max * 2 + 4));
  TESSERA_CO_CHECK(recent);
  auto history = history_window(*recent, bounds, parts_.count_tokens);
  const auto at = std::ranges::find_if(messages, [](const auto& m) { return m.role != core::Role::system; });
  messages.insert(at, std::make_move_iterator(history.begin()), std::make_move_iterator(history.end()));
  co_return base::Result<>{};
}

core::Task<base::Result<>> CompletionService::ground(Work& work) {
  const auto& extension = work.extension;
  const bool asked = extension.use_rag.value_or(extension.collection.has_value());
  if (!asked && !work.needs_sources) co_return base::Result<>{};
  GroundingRequest request;
  request.collection = extension.collection.value_or("default");
  request.query = work.question;
  request.top_k = extension.top_k;
  request.required = work.needs_sources;
  // A model that needs sources may find an empty house: that is an answer, not an error.
  request.use_rag = asked && !work.needs_sources ? UseRag::on : UseRag::automatic;
  if (!core::valid_collection_name(request.collection)) {
    co_return base::fail(Code::invalid, "INVALID_COLLECTION",
                         "A collection's name is 1 to 128 letters, digits, '-', '_' or '.', not starting with '.'.", "",
                         "tessera.collection");
  }
  TESSERA_CO_TRY(work.grounds, co_await grounding_.find(work.context, std::move(request)));
  work.request.sources = work.grounds.passages;
  if (work.needs_sources || !work.grounds.active) co_return base::Result<>{};
  core::ChatMessage system;
  system.role = core::Role::system;
  system.content = sources_prompt(work.grounds.passages);
  auto& messages = work.request.messages;
  // After the client's own system messages, which set the role.
  const auto at = std::ranges::find_if(messages, [](const auto& m) { return m.role != core::Role::system; });
  messages.insert(at, std::move(system));
  co_return base::Result<>{};
}

core::Task<base::Result<>> CompletionService::save(Work& work) {
  const auto& result = work.result;
  if (result.session_id.empty()) co_return base::Result<>{};
  std::vector<core::StoredMessage> messages(2);
  for (auto& message : messages) message.session_id = result.session_id;
  messages[0].message_id = parts_.ids.next();
  messages[0].role = core::Role::user;
  messages[0].content = work.question;
  messages[0].created_at_ms = work.asked_at_ms;
  messages[1].message_id = result.message_id;
  messages[1].role = core::Role::assistant;
  messages[1].content = result.completion.content;
  messages[1].model = result.completion.model;
  messages[1].sources_json = sources_to_json(result.sources);
  messages[1].usage = result.completion.usage;
  messages[1].created_at_ms = std::max(work.asked_at_ms, parts_.clock.unix_ms());
  co_return co_await parts_.conversations.append_messages(work.context.tenant, std::move(messages));
}

}  // namespace tessera::chat
