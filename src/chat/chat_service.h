#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "chat/events.h"
#include "chat/grounding.h"
#include "core/chat_model.h"
#include "core/conversations.h"
#include "core/documents.h"
#include "core/retriever.h"
#include "observe/cells.h"

namespace tessera::chat {

struct ChatConfig {
  size_t top_k = 5;
  std::optional<double> temperature;  ///< nothing: the model's profile, else `otherwise`
  std::optional<int64_t> max_tokens;  ///< likewise
  core::ChatDefaults otherwise{.temperature = 0.3, .max_tokens = {}};
  UseRag use_rag = UseRag::automatic;
  size_t max_history_messages = 10;
  size_t max_history_tokens = 8000;
  std::optional<int64_t> deadline_ms;  ///< from the start of the turn; the tighter of this and the context's wins
};

/// One turn of a conversation. Without session_id a new session begins; an unknown one is created.
struct ChatTurn {
  std::string session_id;
  std::string message;
  std::string collection = "default";
  std::string model;  ///< empty: the server's default
  ChatConfig config;
};

struct ChatOptions {
  size_t message_bytes_max = 256 * 1024;
  size_t answer_bytes_max = 4ULL << 20U;
  std::string system_prompt;  ///< replaces the built-in role text; the rules for sources are always added
};

/// What a turn needs; all outlive the service. `count_tokens` is fast and thread-safe.
struct ChatParts {
  core::ConversationStore& conversations;
  core::DocumentStore& documents;
  core::Retriever& retriever;
  const core::ModelCatalog& models;
  const base::Clock& clock;
  const base::IdSource& ids;
  base::Logger& log;
  std::function<size_t(std::string_view)> count_tokens;
  observe::Counter* citations_removed = nullptr;  ///< counts markers without a source, if given
};

/// Answers a message: history -> retrieval -> prompt -> model -> citation check -> store. Thread-safe. The person is
/// context.user_id. Question and answer are stored together, durably, before Done; a turn that fails or is cancelled is
/// stored with that state. Errors: invalid (EMPTY_MESSAGE, MESSAGE_TOO_LARGE, INVALID_SESSION_ID), not_found
/// (SESSION_NOT_FOUND, MODEL_NOT_FOUND, COLLECTION_NOT_FOUND when use_rag is on), the model's; deadline; cancelled.
/// Failing retrieval is an error when use_rag is on or the model needs sources, else "retrieval" is degraded.
class ChatService {
 public:
  explicit ChatService(ChatParts parts, ChatOptions options = {});

  /// With a sink the turn is streamed to it and ends there with Done or Failed; the result is the same without.
  /// `context` and `sink` outlive the task.
  core::Task<base::Result<ChatResponse>> run(const core::RequestContext& context, ChatTurn turn, ChatEventSink* sink);

 private:
  struct Work;
  core::Task<base::Result<>> answer(Work& work);
  base::Result<> check_turn(const ChatTurn& turn) const;
  core::Task<base::Result<>> open(Work& work);
  core::Task<base::Result<>> load_history(Work& work);
  core::Task<base::Result<>> retrieve(Work& work);
  core::Task<base::Result<>> generate(Work& work);
  core::Task<base::Result<>> save(Work& work, std::string state);
  core::Task<base::Result<>> conclude(Work& work);
  core::Task<base::Result<>> tell(Work& work, ChatEvent event);

  ChatParts parts_;
  ChatOptions options_;
  Grounding grounding_;
};

}  // namespace tessera::chat
