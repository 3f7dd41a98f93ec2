#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/chat_model.h"
#include "llm/providers/provider_client.h"
#include "llm/providers/relay_request.h"

namespace tessera::llm {

/// What an error object that came with status 200 means; `secret` is taken out of what it says.
base::Error relayed_error(std::string_view provider, std::string_view error_json, std::string_view secret);

struct RelayWatch {
  std::string_view provider;
  std::string_view secret;  ///< the provider's key, never passed on
  bool keep_usage = false;  ///< the event that holds nothing but usage is passed on
  RelayForm form = RelayForm::chat;
  bool open_end = false;  ///< the stream may end anywhere: what is asked for may be behind its last word
};

/// Fills a report from a whole `/chat/completions` response, without building it. Errors: upstream BAD_RESPONSE (not
/// JSON, no choices), PROVIDER_FAILED and its kin (an error in the body).
base::Result<> read_relayed_answer(const RelayWatch& watch, std::string_view body, core::RelayReport& report);

/// The same for an answer without choices, such as embeddings or `/responses`.
base::Result<> read_relayed_object(const RelayWatch& watch, std::string_view body, core::RelayReport& report);
/// The usage in a JSON object of whatever kind, if there is one.
void read_usage_of(std::string_view body, core::RelayReport& report);
/// What a response that its provider kept says of itself, as core::StoredResponses tells it.
void read_stored_response(std::string_view body, core::RelayReport& report);

/// The prices that a service tier of this name is charged by.
core::PriceTier price_tier(std::string_view service_tier);

/// Watches a stream of chat completion (or response) events go by: cuts it into whole events, takes the report from
/// them and says what is to be passed on, as bytes of what came. One per stream; not thread-safe. What the watch refers
/// to outlives it.
class RelayStream {
 public:
  static constexpr size_t kEventBytesMax = 16UL * 1024 * 1024;

  RelayStream(RelayWatch watch, core::RelayReport& report) : watch_(watch), report_(report) {}

  /// The whole events that these bytes complete, as they are to be passed on; valid until the next call. After an error
  /// in the stream: those before it, and error() is set.
  std::string_view feed(std::string bytes);
  /// To be called when the provider ended the stream: what is left, and "[DONE]" where a finished answer lacks it. Sets
  /// error() when the answer is not whole.
  std::string_view finish();

  [[nodiscard]] bool done() const { return done_; }
  /// Whether something of the answer (rather than comments) was among what is to be passed on.
  [[nodiscard]] bool answering() const { return answering_; }
  /// Whether the answer is whole: "[DONE]" came, or every choice gave its finish reason.
  [[nodiscard]] bool complete() const { return done_ || (finished_ != 0 && (seen_ & ~finished_) == 0); }
  [[nodiscard]] const std::optional<base::Error>& error() const { return error_; }

 private:
  void take_events();
  bool take_event(std::string_view event);
  bool take_data(std::string_view data);
  void take_choices(std::string_view choices);
  bool take_response_event(std::string_view data);
  void pass(std::string_view event);
  void fail(base::Error error) { error_ = std::move(error); }

  RelayWatch watch_;
  core::RelayReport& report_;
  std::string buffer_;
  size_t used_ = 0;     ///< bytes of buffer_ that belong to events taken
  size_t scanned_ = 0;  ///< no event ends before this
  std::string joined_;  ///< data of an event with several data lines
  std::string_view out_;
  std::string kept_;  ///< what is passed on when it is not one stretch of buffer_
  bool apart_ = false;
  bool first_ = true;
  bool answering_ = false;
  bool done_ = false;
  uint64_t seen_ = 0;      ///< choices by index, up to 63
  uint64_t finished_ = 0;  ///< those with a finish reason
  std::optional<base::Error> error_;
};

/// Who gets the events, and what is known of the call.
struct RelayOutput {
  core::RelaySink* sink;
  core::RelayReport& report;
};

/// Passes a response's events on to their end, each read's in one call. Errors as core::ChatModel::relay.
core::Task<base::Result<>> relay_events(const ProviderClient& client, const core::RequestContext& context,
                                        wire::ClientStream& body, RelayWatch watch, RelayOutput output);

}  // namespace tessera::llm
