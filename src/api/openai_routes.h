#pragma once

#include <array>

#include "api/api.h"
#include "api/call.h"
#include "api/openai_port_routes.h"

namespace tessera::chat {
struct CompletionExtension;
}
namespace tessera::core {
struct ChatRequest;
}

namespace tessera::api {

class Body;

/// OpenAI's dialect: existing clients work unchanged. Fields this server does not know go to the provider untouched.
/// Thread-safe; lives in the Api.
class OpenAiRoutes {
 public:
  OpenAiRoutes(const ApiParts& parts, const ApiOptions& options)
      : parts_(parts), options_(options), port_routes_(parts) {}
  void bind(std::array<RouteHandler, kRouteCount>& handlers);

 private:
  async::Task<base::Result<Reply>> chat_completions(Call& call);
  async::Task<base::Result<Reply>> own_completion(Call& call);
  async::Task<base::Result<Reply>> embeddings(Call& call);
  async::Task<base::Result<Reply>> list_models(Call& call);
  async::Task<base::Result<Reply>> get_model(Call& call);
  async::Task<base::Result<Reply>> stream_completion(Call& call, core::ChatRequest request,
                                                     chat::CompletionExtension extension, bool include_usage);

  const ApiParts& parts_;
  const ApiOptions& options_;
  OpenAiPortRoutes port_routes_;
};

}  // namespace tessera::api
