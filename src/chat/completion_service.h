#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "chat/chat_service.h"

namespace tessera::chat {

/// The "tessera" object of a /v1/chat/completions request.
struct CompletionExtension {
  std::optional<std::string> collection;  ///< naming one means use_rag
  std::string session_id;
  std::optional<bool> use_rag;
  size_t top_k = 5;
};

/// A completion and what belongs to its "tessera" object.
struct CompletionResult {
  core::ChatCompletion completion;
  std::vector<Citation> sources;
  std::string session_id;
  std::string message_id;
  int64_t citations_removed = 0;
};

/// OpenAI-style completions, with knowledge when asked for. Models that need sources always get them (collection
/// "default" unless named); others only by the extension; without, requests go to the model as they are. With a
/// session_id the last user message and the answer are stored, and a request of a single user message is preceded by
/// the session's history. Thread-safe; errors as ChatService.
class CompletionService {
 public:
  explicit CompletionService(ChatParts parts, ChatOptions options = {});
  /// An empty request.model is the default. `context` and `sink` outlive the task.
  core::Task<base::Result<CompletionResult>> complete(const core::RequestContext& context, core::ChatRequest request,
                                                      CompletionExtension extension, core::ChatSink* sink);

 private:
  struct Work;
  core::Task<base::Result<>> open(Work& work);
  core::Task<base::Result<>> ground(Work& work);
  core::Task<base::Result<>> save(Work& work);

  ChatParts parts_;
  ChatOptions options_;
  Grounding grounding_;
};

}  // namespace tessera::chat
