#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/chat_model.h"

namespace tessera::llm {

/// The body of a `/chat/completions` request: `parameters_json` as it is, then model, messages, temperature and
/// max_tokens (where the parameters do not say them) and, for streams, the wish for usage. A message's `extra_json`
/// fields stand beside role and content and win. Errors: invalid BAD_PARAMETERS, CHOICES_UNSUPPORTED (n above 1).
base::Result<std::string> render_chat_request(const core::ChatRequest& request, std::string_view model, bool stream);

/// A whole `/chat/completions` response. `extra_json` keeps the message's other fields that are not null (tool calls,
/// refusal, reasoning) and the choice's logprobs. Errors: upstream BAD_RESPONSE, PROVIDER_FAILED (an error in the
/// body).
base::Result<core::ChatCompletion> parse_chat_response(std::string_view provider, std::string_view body);

/// Puts a streamed answer together from its events. One per answer; not thread-safe. Feed it each event's data; it
/// gives the delta to pass on and keeps the whole: texts joined, tool calls merged by index, the last usage seen.
class ChatAssembly {
 public:
  explicit ChatAssembly(std::string provider);
  ~ChatAssembly();
  ChatAssembly(const ChatAssembly&) = delete;
  ChatAssembly& operator=(const ChatAssembly&) = delete;

  /// `delta` is empty when the event held nothing for the reader. Errors: upstream BAD_RESPONSE (not JSON),
  /// PROVIDER_FAILED (the provider reported an error in the stream), too_large ANSWER_TOO_LARGE.
  base::Result<> feed(std::string_view data, core::ChatDelta& delta);
  /// Whether "[DONE]" came.
  [[nodiscard]] bool done() const;
  /// Whether the answer is whole: done, or a finish reason came.
  [[nodiscard]] bool complete() const;
  [[nodiscard]] core::ChatCompletion finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The body of an `/embeddings` request. `dimensions` 0: the model's own.
std::string render_embedding_request(std::string_view model, const std::vector<std::string_view>& texts,
                                     size_t dimensions, bool base64);

/// Vectors of an `/embeddings` response, row by row by `index`, floats or base64; each L2-normalised. Errors: upstream
/// BAD_RESPONSE (naming what is wrong).
struct EmbeddingRows {
  size_t dimensions = 0;
  std::vector<float> values;
};
base::Result<EmbeddingRows> parse_embedding_response(std::string_view provider, std::string_view body, size_t rows);

/// Ids of a `/models` response.
base::Result<std::vector<std::string>> parse_model_list(std::string_view provider, std::string_view body);

}  // namespace tessera::llm
