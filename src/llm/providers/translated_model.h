#pragma once

#include <memory>
#include <string>

#include "llm/providers/provider_client.h"
#include "llm/providers/relayed_model.h"

namespace tessera::llm {

/// The chat models of a provider that does not speak OpenAI's dialect: requests are translated into its own (which one,
/// its kind says), answers and events back as they come. Thread-safe. Cancelling and errors as OpenAiModel; invalid
/// PARAMETER_UNSUPPORTED for what cannot be carried.
class TranslatedModel final : public RelayedModel {
 public:
  explicit TranslatedModel(std::shared_ptr<ProviderClient> client);

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;

 private:
  struct Call;
  core::Task<base::Result<>> stream(const core::RequestContext& context, const Call& call, core::RelaySink& sink);
  std::shared_ptr<ProviderClient> client_;
};

/// The model for a client's kind of provider.
std::shared_ptr<core::ChatModel> make_provider_model(std::shared_ptr<ProviderClient> client);

}  // namespace tessera::llm
