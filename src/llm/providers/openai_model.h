#pragma once

#include <memory>
#include <string>
#include <vector>

#include "llm/providers/provider_client.h"
#include "llm/providers/relayed_model.h"

namespace tessera::llm {

/// The chat models of one OpenAI-compatible provider; `request.model` says which ("gpt-4o-mini", or with the provider's
/// name before it). Requests, answers and events pass through as bytes; only the model's name, the wish for usage and
/// what the provider's kind calls by another name are changed. Thread-safe. Cancelling the context, or an error of the
/// sink, closes the connection to the provider. Errors as ProviderClient; upstream STREAM_BROKEN when a stream ends
/// before its answer does, BAD_RESPONSE; invalid BAD_JSON, BAD_PARAMETERS, CHOICES_UNSUPPORTED.
class OpenAiModel final : public RelayedModel {
 public:
  explicit OpenAiModel(std::shared_ptr<ProviderClient> client);

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;

  /// What the provider's `/models` lists.
  core::Task<base::Result<std::vector<std::string>>> list_models(const core::RequestContext& context);

 private:
  core::Task<base::Result<>> stream(const core::RequestContext& context, const core::RelayRequest& request,
                                    core::RelaySink& sink, core::RelayReport& report);
  std::shared_ptr<ProviderClient> client_;
};

}  // namespace tessera::llm
