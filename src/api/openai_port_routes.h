#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"

namespace tessera::core {
class EmbeddingsRelay;
}

namespace tessera::api {

/// What providers do besides chat, in OpenAI's dialect and passed on as it is: responses, transcriptions, re-ranking.
/// Thread-safe; lives in the Api.
class OpenAiPortRoutes {
 public:
  explicit OpenAiPortRoutes(const ApiParts& parts) : parts_(parts) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

  /// `/v1/embeddings` of a provider's model. The body has been looked at; `port` outlives the task.
  async::Task<base::Result<Reply>> embeddings(Call& call, core::EmbeddingsRelay& port, std::string model);

 private:
  async::Task<base::Result<Reply>> responses(Call& call);
  async::Task<base::Result<Reply>> transcriptions(Call& call);
  async::Task<base::Result<Reply>> rerank(Call& call);

  const ApiParts& parts_;
};

}  // namespace tessera::api
