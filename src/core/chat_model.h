#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/documents.h"
#include "core/model_profile.h"
#include "core/money.h"

namespace tessera::core {

enum class Role { system, user, assistant, tool };
std::string_view to_string(Role role);
std::optional<Role> parse_role(std::string_view text);

/// One message of a conversation as models see it. `extra_json` carries a provider's other fields (tool calls, images)
/// as a JSON object's text, or nothing.
struct ChatMessage {
  Role role = Role::user;
  std::string content;
  std::string extra_json;
};

struct Usage {
  int64_t prompt_tokens = 0;  ///< those from the provider's cache included
  int64_t completion_tokens = 0;
  int64_t cached_prompt_tokens = 0;
  int64_t cache_write_tokens = 0;       ///< of the prompt, not cached ones: put into the provider's cache
  int64_t cache_write_long_tokens = 0;  ///< of these: for an hour rather than some minutes
  PriceTier tier = PriceTier::standard;
  Money cost;
};

/// What counts where neither the request nor the profile of the model that answers says anything.
struct ChatDefaults {
  std::optional<double> temperature;
  std::optional<int64_t> max_tokens;
};

/// A question to a model. `sources` are the retrieved passages, numbered from 1 in this order; providers that read text
/// only get them through the messages (the chat pipeline writes them there), the extractive model reads them here.
/// `parameters_json` is an object of further parameters for the provider, untouched, or empty.
struct ChatRequest {
  std::string model;
  std::vector<ChatMessage> messages;
  std::vector<Passage> sources;
  std::optional<double> temperature;
  std::optional<int64_t> max_tokens;
  std::string parameters_json;
  ChatDefaults otherwise = {};
};

struct ChatCompletion {
  std::string model;  ///< as the provider names it
  std::string content;
  std::string finish_reason;  ///< "stop", "length", "tool_calls", "content_filter"
  std::string extra_json;     ///< further fields of the message (tool calls), an object's text, or empty
  Usage usage;
};

/// A piece of an answer in the making. `extra_json`: further delta fields as an object's text, or empty.
struct ChatDelta {
  std::string text;
  std::string extra_json;
};

/// Receives deltas in order; awaiting it is the back-pressure. An error stops the generation (the reader is gone).
class ChatSink {
 public:
  virtual ~ChatSink() = default;
  virtual Task<base::Result<>> on_delta(ChatDelta delta) = 0;
};

/// A part of a form; the bytes belong to whoever made it.
struct FormPart {
  std::string name;
  std::string file_name;  ///< empty: a plain field
  std::string content_type;
  std::string_view body;
};

/// A request in OpenAI's dialect that is to reach a provider as its client wrote it.
struct RelayRequest {
  std::string model;  ///< as asked for; stands in the provider's request under the name that the provider knows
  std::string body;   ///< the JSON object; what it says of "model" and "stream" counts less than the members here
  bool stream = false;
  bool include_usage = false;       ///< the client wants the usage event; the provider is always asked for it
  std::string endpoint = {};        ///< who alone may answer, since what this goes on from is kept there; empty: any
  std::vector<FormPart> form = {};  ///< what is sent instead of the body, where a route takes forms
};

/// What is known of one relayed call, also when it failed half-way. `usage` is the provider's own when
/// `usage_reported`, else 0.
struct RelayReport {
  std::string provider;
  std::string model;  ///< as the provider names it
  Usage usage;
  bool usage_reported = false;
  bool started = false;       ///< something of the answer has reached the sink
  int64_t answer_bytes = 0;   ///< of text and tool arguments, of all choices
  std::string finish_reason;  ///< of the first choice
  /// Of a response that its provider goes on making when the call has ended; empty: there is none.
  std::string background_id = {};
  std::string endpoint;      ///< who of a router's endpoints answers; known before the sink gets anything
  std::string content_type;  ///< of a whole answer that need not be JSON; else empty
};

/// Receives a relayed stream; awaiting it is the back-pressure. An error stops the call (the reader is gone).
class RelaySink {
 public:
  virtual ~RelaySink() = default;
  /// One or more whole server-sent events as they are to stand on the wire, each ending in an empty line; "[DONE]" is
  /// among them. The bytes live until the task is done.
  virtual Task<base::Result<>> on_events(std::string_view events) = 0;
};

/// A language model behind some provider. Thread-safe. Cancelled by the context's token, all the way to the provider.
/// Errors: upstream, unavailable, exhausted, deadline, cancelled, invalid (the provider refused the request: name and
/// message from it).
class ChatModel {
 public:
  virtual ~ChatModel() = default;
  /// Whether relay() works; else generate() is to be used.
  [[nodiscard]] virtual bool relays() const { return false; }
  /// Passes a request on in OpenAI's dialect and gives back the whole response body, or, with a sink, the events as
  /// they come (then the result is empty). Everything arrives as the provider gave it, or translated where it speaks
  /// another dialect; nothing of an event is held back. `report` is filled as far as things went, whatever the result.
  /// What is passed by reference outlives the task. Errors as generate(); internal RELAY_UNSUPPORTED.
  virtual Task<base::Result<std::string>> relay(const RequestContext& context, const RelayRequest& request,
                                                RelaySink* sink, RelayReport& report);
  /// With a sink the answer is streamed to it; the whole is returned in both cases. `request` and `sink` outlive the
  /// task.
  virtual Task<base::Result<ChatCompletion>> generate(const RequestContext& context, const ChatRequest& request,
                                                      ChatSink* sink) = 0;
};

struct ModelInfo {
  std::string id;                         ///< "tessera/extractive", "gpt-4o-mini"
  std::string provider;                   ///< "extractive", "mock", "openai", ...
  bool needs_sources = false;             ///< answers from retrieved passages only
  const ModelProfile* profile = nullptr;  ///< null: nothing is known; valid as long as the catalogue
  /// Of a name that stands for a choice ("auto"): names of the models among which it chooses; else null.
  std::shared_ptr<const std::vector<std::string>> choices = {};
};

struct ModelPorts;

/// What a model is wanted for.
enum class ModelUse : uint8_t { chat, responses };

/// The models of this server by name. Thread-safe.
class ModelCatalog {
 public:
  virtual ~ModelCatalog() = default;
  /// Errors: not_found (MODEL_NOT_FOUND, saying which names exist).
  [[nodiscard]] virtual base::Result<std::shared_ptr<ChatModel>> find(std::string_view id) const = 0;
  [[nodiscard]] virtual std::optional<ModelInfo> info(std::string_view id) const = 0;
  [[nodiscard]] virtual std::vector<ModelInfo> list() const = 0;
  [[nodiscard]] virtual std::string default_model() const = 0;
  /// Who answers a request that names no model: default_model(), or what its caller may use instead.
  [[nodiscard]] virtual std::string default_for(const RequestContext& context, ModelUse use) const;
  /// What the provider of that model does besides chat (model_ports.h); nothing when there is no such model.
  [[nodiscard]] virtual ModelPorts ports(std::string_view id) const;
};

}  // namespace tessera::core
