#pragma once

#include <memory>
#include <string>

#include "core/chat_model.h"

namespace tessera::llm {

/// A model that is asked under one name, whatever a request calls it: what stands below it (accounting, a provider)
/// sees that name. A request that says it already, or says it with the provider's name before it, passes as it is; any
/// other is copied. Thread-safe. Errors as the model.
class RenamedModel final : public core::ChatModel {
 public:
  RenamedModel(std::shared_ptr<core::ChatModel> inner, std::string provider, std::string name);
  [[nodiscard]] bool relays() const override { return inner_->relays(); }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

 private:
  core::Task<base::Result<std::string>> relay_copy(const core::RequestContext& context,
                                                   const core::RelayRequest& request, core::RelaySink* sink,
                                                   core::RelayReport& report);
  core::Task<base::Result<core::ChatCompletion>> generate_copy(const core::RequestContext& context,
                                                               const core::ChatRequest& request, core::ChatSink* sink);
  [[nodiscard]] bool named_right(const std::string& model) const { return model == name_ || model == full_name_; }

  std::shared_ptr<core::ChatModel> inner_;
  std::string name_;
  std::string full_name_;
};

}  // namespace tessera::llm
