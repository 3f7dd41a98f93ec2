#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat_model.h"
#include "llm/providers/provider_client.h"

namespace tessera::llm {

/// The chat models of one OpenAI-compatible provider; `request.model` says which ("gpt-4o-mini", or with the provider's
/// name before it). Parameters, tool calls and usage pass through as they are. Thread-safe. Cancelling the context, or
/// an error of the sink, closes the connection to the provider. Errors as ProviderClient; upstream STREAM_BROKEN when a
/// stream ends before its answer does, BAD_RESPONSE; invalid BAD_PARAMETERS, CHOICES_UNSUPPORTED.
class OpenAiModel final : public core::ChatModel {
 public:
  explicit OpenAiModel(std::shared_ptr<ProviderClient> client);

  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

  /// What the provider's `/models` lists.
  core::Task<base::Result<std::vector<std::string>>> list_models(const core::RequestContext& context);

 private:
  core::Task<base::Result<core::ChatCompletion>> stream(const core::RequestContext& context, std::string body,
                                                        core::ChatSink& sink);
  std::shared_ptr<ProviderClient> client_;
};

}  // namespace tessera::llm
