#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "api/api.h"
#include "api/call.h"
#include "core/chat_model.h"

namespace tessera::api {

/// What the gateway reads of a request that it may pass on: its top level, no tree of the messages. `body` of the
/// request is not filled in.
struct CompletionAsk {
  core::RelayRequest request;     ///< an empty model: the default
  std::string user;               ///< "user", else "safety_identifier", which succeeds it
  std::string previous_response;  ///< of a response that goes on where another ended
  bool conversation = false;      ///< a response that belongs to a conversation kept by the provider
  bool store = true;              ///< the provider may keep the response
  int64_t choices = 1;
  bool extended = false;    ///< has a "tessera" object: the answer is ours to make
  bool background = false;  ///< service_tier "flex"
};

/// chat: must have messages. other: whatever the provider makes of it.
enum class RelayedForm { chat, other };

/// Errors: invalid INVALID_JSON, INVALID_FIELD, MISSING_FIELD, naming the field.
base::Result<CompletionAsk> read_ask(std::string_view body, RelayedForm form);

/// What a relayed call does once its deadline runs: `sink` is null when the answer is wanted whole.
using RelayRun = std::function<async::Task<base::Result<std::string>>(const core::RequestContext&, core::RelaySink*)>;

/// Runs it within the call's deadline and writes what comes: the whole, or event for event when `stream`. The head goes
/// out with the first event, so that a failure before it is a plain error; a failure after it is an event that holds an
/// error object. What does not stream although it was asked to gives its whole answer, which is written as that.
async::Task<base::Result<Reply>> write_relayed(const ApiParts& parts, Call& call, bool stream, RelayRun run);

/// Passes the call's body on to `model` and its answer back, event for event when streamed. The head goes out with the
/// first event, so that a failure before it is a plain error; a failure after it is an event that holds an error
/// object.
async::Task<base::Result<Reply>> relay_completion(const ApiParts& parts, Call& call, core::ChatModel& model,
                                                  core::RelayRequest request);

}  // namespace tessera::api
