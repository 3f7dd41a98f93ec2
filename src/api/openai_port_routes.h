#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"
#include "api/response_owners.h"
#include "core/model_ports.h"

namespace tessera::api {

/// What providers do besides chat, in OpenAI's dialect and passed on as it is: responses, transcriptions, re-ranking.
/// An app gets at its own responses only. Thread-safe; lives in the Api.
class OpenAiPortRoutes {
 public:
  explicit OpenAiPortRoutes(const ApiParts& parts)
      : parts_(parts), owners_(parts.response_owners, parts.clock, parts.log) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

  /// `/v1/embeddings` of a provider's model. The body has been looked at; `port` outlives the task.
  async::Task<base::Result<Reply>> embeddings(Call& call, core::EmbeddingsRelay& port, std::string model);

 private:
  async::Task<base::Result<Reply>> responses(Call& call);
  async::Task<base::Result<Reply>> stored_response(Call& call, core::StoredResponseAsk::Verb verb);
  async::Task<base::Result<Reply>> transcriptions(Call& call);
  async::Task<base::Result<Reply>> rerank(Call& call);

  const ApiParts& parts_;
  ResponseOwners owners_;
};

}  // namespace tessera::api
