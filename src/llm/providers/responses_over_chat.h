#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "core/model_ports.h"

namespace tessera::llm {

/// `/v1/responses` for models that only know chat completions: requests are translated one way, answers and events the
/// other, as they come. Nothing is stored: what needs the provider's memory (previous_response_id, conversation,
/// background, prompt) and tools that only OpenAI has are refused. Errors as the model's; invalid BAD_JSON,
/// BAD_PARAMETERS, PARAMETER_UNSUPPORTED. `clock` outlives the port.
std::shared_ptr<core::ResponsesRelay> make_responses_over_chat(std::shared_ptr<core::ChatModel> model,
                                                               const base::Clock& clock);

/// A `/responses` body as one of `/chat/completions`. Errors as above.
base::Result<std::string> responses_to_chat(std::string_view body);
/// A whole `/chat/completions` answer as a response object. Errors: upstream BAD_RESPONSE.
base::Result<std::string> chat_to_response(std::string_view answer, int64_t created);

/// Turns the events of a chat completion into those of a response. One per answer; not thread-safe.
class ResponseEvents {
 public:
  explicit ResponseEvents(int64_t created);
  ~ResponseEvents();
  ResponseEvents(const ResponseEvents&) = delete;
  ResponseEvents& operator=(const ResponseEvents&) = delete;
  /// Appends to `out` what the data of a chat event means; "[DONE]" ends the response. Errors: upstream BAD_RESPONSE.
  base::Result<> feed(std::string_view data, std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::llm
