#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat_model.h"
#include "core/context.h"

namespace tessera::core {

// What a provider may do besides chat, one small port each. All are thread-safe, take requests in OpenAI's dialect, put
// the provider's name for the model into them and give answers back as the provider gave them. Errors as ChatModel;
// reports are filled as far as things went. What is passed by reference outlives the task.

/// `/v1/embeddings`, whatever the request says of dimensions, encoding and batches.
class EmbeddingsRelay {
 public:
  virtual ~EmbeddingsRelay() = default;
  virtual Task<base::Result<std::string>> embeddings(const RequestContext& context, const RelayRequest& request,
                                                     RelayReport& report) = 0;
};

/// `/v1/rerank`: {"model", "query", "documents", "top_n"} -> {"results":[{"index", "relevance_score"}]}.
class RerankRelay {
 public:
  virtual ~RerankRelay() = default;
  virtual Task<base::Result<std::string>> rerank(const RequestContext& context, const RelayRequest& request,
                                                 RelayReport& report) = 0;
};

/// `/v1/responses`, streamed or whole. A stream's last event is the one that says so ("response.completed" or
/// "response.incomplete"); an answer that failed is an error.
class ResponsesRelay {
 public:
  virtual ~ResponsesRelay() = default;
  virtual Task<base::Result<std::string>> respond(const RequestContext& context, const RelayRequest& request,
                                                  RelaySink* sink, RelayReport& report) = 0;
};

/// What is asked of a response that a provider keeps. `query` is what stands behind the "?", or empty.
struct StoredResponseAsk {
  enum class Verb : uint8_t { get, list_items, cancel, remove };
  Verb verb = Verb::get;
  std::string response_id;  ///< letters, digits, "-" and "_"
  std::string query = {};
  std::string endpoint = {};  ///< where the response was made (RelayReport::endpoint); empty: the first
};

/// `/v1/responses/{id}`. Errors: as ResponsesRelay; not_found RESPONSE_NOT_FOUND.
class StoredResponses {
 public:
  virtual ~StoredResponses() = default;
  /// Whether that endpoint keeps responses.
  [[nodiscard]] virtual bool keeps(std::string_view endpoint) const = 0;
  /// `report` says of a response that was asked for or cancelled what it used, or that it is still being made
  /// (background_id); finish_reason is the status it has. Nothing is said of other objects.
  virtual Task<base::Result<std::string>> ask_stored(const RequestContext& context, StoredResponseAsk ask,
                                                     RelayReport& report) = 0;
  /// The events of a response, or of the rest of one, as they come (`query` says which). May be none at all.
  virtual Task<base::Result<>> stream_stored(const RequestContext& context, StoredResponseAsk ask, RelaySink& sink,
                                             RelayReport& report) = 0;
};

/// `/v1/audio/transcriptions`: a form in, JSON, plain text, SRT or VTT out as the form asked for
/// (RelayReport::content_type), or events. A stream's last event is the one that says so ("transcript.text.done").
class TranscriptionRelay {
 public:
  virtual ~TranscriptionRelay() = default;
  virtual Task<base::Result<std::string>> transcribe(const RequestContext& context, const RelayRequest& request,
                                                     RelaySink* sink, RelayReport& report) = 0;
};

/// `/v1/models`: names as the provider knows them.
class ModelLister {
 public:
  virtual ~ModelLister() = default;
  virtual Task<base::Result<std::vector<std::string>>> list_models(const RequestContext& context) = 0;
};

/// The further ports of one provider; null where it has no such thing. The ports live as long as this is held.
struct ModelPorts {
  std::shared_ptr<EmbeddingsRelay> embeddings;
  std::shared_ptr<RerankRelay> rerank;
  std::shared_ptr<ResponsesRelay> responses;
  std::shared_ptr<TranscriptionRelay> transcription;
  std::shared_ptr<ModelLister> models;
  std::shared_ptr<StoredResponses> stored_responses;
};

/// Puts a ChatModel (accounting, keys, metrics) around another.
using ModelWrap = std::function<std::shared_ptr<ChatModel>(std::shared_ptr<ChatModel>)>;

/// The ports that are calls of a model.
enum class PortKind : uint8_t { embeddings, rerank, responses, transcription };
inline constexpr PortKind kPortKinds[] = {PortKind::embeddings, PortKind::rerank, PortKind::responses,
                                          PortKind::transcription};

/// A port as a model whose relay() is the port's call, so that what holds for every call of a model can be put around
/// it; null where there is no such port.
std::shared_ptr<ChatModel> port_model(const ModelPorts& ports, PortKind kind);
/// The other way round: a port whose calls are the model's relay(). Null takes the port away.
void set_port(ModelPorts& ports, PortKind kind, std::shared_ptr<ChatModel> model);

/// The same ports, each with `wrap` around it. Lists of models and responses that are kept stay as they are.
ModelPorts wrap_ports(ModelPorts ports, const ModelWrap& wrap);

}  // namespace tessera::core
