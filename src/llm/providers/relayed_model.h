#pragma once

#include <string>
#include <string_view>

#include "core/chat_model.h"

namespace tessera::llm {

/// A model whose generate() is made of its relay(): a provider writes the relay only. Thread-safe as its relay is.
/// Errors as relay(); invalid BAD_PARAMETERS, CHOICES_UNSUPPORTED.
class RelayedModel : public core::ChatModel {
 public:
  [[nodiscard]] bool relays() const override { return true; }
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;
};

/// generate() over any model that relays;
core::Task<base::Result<core::ChatCompletion>> generate_by_relay(core::ChatModel& model,
                                                                 const core::RequestContext& context,
                                                                 const core::ChatRequest& request,
                                                                 core::ChatSink* sink);

}  // namespace tessera::llm
