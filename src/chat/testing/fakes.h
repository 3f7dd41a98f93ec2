#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/event.h"
#include "async/run_blocking.h"
#include "base/random.h"
#include "chat/chat_service.h"
#include "chat/completion_service.h"
#include "store/memory/memory_store.h"

namespace tessera::chat::testing {

/// Says its pieces; keeps what it was asked.
class FakeModel final : public core::ChatModel {
 public:
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override {
    asked.push_back(request);
    core::ChatCompletion completion;
    completion.model = "fake-1";
    completion.finish_reason = "stop";
    completion.usage.prompt_tokens = 7;
    for (const auto& piece : pieces) {
      if (before_piece) before_piece();
      if (hangs) {
        async::WaitBounds bounds;
        bounds.token = context.cancel;
        std::ignore = co_await never.wait(bounds);
      }
      if (context.cancel.cancelled()) co_return base::fail(base::Code::cancelled, "CANCELLED", "Cancelled.");
      completion.content += piece;
      if (sink != nullptr) TESSERA_CO_CHECK(co_await sink->on_delta({.text = piece, .extra_json = ""}));
    }
    if (error) co_return std::unexpected(*error);
    co_return completion;
  }

  std::vector<std::string> pieces{"Herons ", "wait [1]."};
  std::optional<base::Error> error;
  std::function<void()> before_piece;
  bool hangs = false;  // until it is cancelled
  async::Event never;
  std::vector<core::ChatRequest> asked;
};

class FakeCatalog final : public core::ModelCatalog {
 public:
  [[nodiscard]] base::Result<std::shared_ptr<core::ChatModel>> find(std::string_view id) const override {
    if (id == "fake") return model;
    if (id == "quoting") return model;
    return base::fail(base::Code::not_found, "MODEL_NOT_FOUND", "There is no such model.");
  }
  [[nodiscard]] std::optional<core::ModelInfo> info(std::string_view id) const override {
    return core::ModelInfo{std::string(id), "fake", id == "quoting"};
  }
  [[nodiscard]] std::vector<core::ModelInfo> list() const override { return {}; }
  [[nodiscard]] std::string default_model() const override { return "fake"; }
  std::shared_ptr<FakeModel> model = std::make_shared<FakeModel>();
};

/// Finds every chunk of the collection.
class FakeRetriever final : public core::Retriever {
 public:
  explicit FakeRetriever(core::DocumentStore& store) : store_(store) {}
  core::Task<base::Result<core::RetrievalResult>> retrieve(const core::RequestContext& context,
                                                           core::RetrievalRequest request) override {
    ++calls;
    if (error) co_return std::unexpected(*error);
    TESSERA_CO_CHECK(co_await store_.find_collection(request.collection));
    core::RetrievalResult result;
    std::vector<int64_t> keys;
    for (int64_t key = 1; key < 100; ++key) keys.push_back(key);
    TESSERA_CO_TRY(result.passages, co_await store_.load_passages(context.tenant, std::move(keys)));
    if (result.passages.size() > request.top_k) result.passages.resize(request.top_k);
    co_return result;
  }
  int calls = 0;
  std::optional<base::Error> error;

 private:
  core::DocumentStore& store_;
};

class Recorder final : public ChatEventSink {
 public:
  core::Task<base::Result<>> on_event(ChatEvent event) override {
    if (on) on(event);
    events.push_back(std::move(event));
    if (gone_after > 0 && events.size() >= gone_after)
      co_return base::fail(base::Code::cancelled, "GONE", "The reader left.");
    co_return base::Result<>{};
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& event : events) {
      const std::string name(event_name(event));
      if (out.empty() || out.back() != name) out.push_back(name);
    }
    return out;
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& event : events) {
      if (const auto* token = std::get_if<Token>(&event)) out += token->text;
    }
    return out;
  }
  std::vector<ChatEvent> events;
  std::function<void(const ChatEvent&)> on;
  size_t gone_after = 0;
};

struct ChatWorld {
  base::ManualClock clock;
  base::SeededRandom random{5};
  base::IdSource ids{clock, random};
  std::unique_ptr<base::Logger> log = base::silent_logger();
  store::MemoryStore stores{clock};
  FakeCatalog models;
  FakeRetriever retriever{stores.documents()};
  ChatService chat{parts()};
  CompletionService completions{parts()};
  core::RequestContext context;

  ChatWorld() {
    context.tenant = {"app"};
    context.user_id = "ann";
  }
  ChatParts parts() {
    return {stores.conversations(), stores.documents(), retriever, models, clock, ids, *log, [](std::string_view text) {
              return text.size() / 4;
            }};
  }
  void store(const std::string& id, const std::string& text) {
    core::DocumentWrite write;
    write.collection = {context.tenant, "default"};
    write.document.head.document_id = id;
    write.document.head.title = "Title of " + id;
    write.document.head.content_hash = text;
    write.document.text = text;
    core::Chunk chunk;
    chunk.end = static_cast<int64_t>(text.size());
    write.chunks.push_back(chunk);
    write.dimensions = 1;
    write.vectors = {1};
    ASSERT_TRUE(async::sync_wait(stores.documents().put_document(std::move(write))));
  }
  base::Result<ChatResponse> ask(ChatTurn turn, ChatEventSink* sink = nullptr) {
    return async::sync_wait(chat.run(context, std::move(turn), sink));
  }
  static ChatTurn turn(std::string message, std::string session = "") {
    ChatTurn turn;
    turn.message = std::move(message);
    turn.session_id = std::move(session);
    return turn;
  }
  std::vector<core::StoredMessage> messages(const std::string& session) {
    auto found = async::sync_wait(stores.conversations().recent_messages(context.tenant, session, 100));
    return found ? *found : std::vector<core::StoredMessage>{};
  }
};

}  // namespace tessera::chat::testing
