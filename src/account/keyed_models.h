#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "account/keys.h"
#include "base/clock.h"
#include "core/chat_model.h"
#include "core/model_ports.h"

namespace tessera::account {

/// A catalog whose models ask the key of each call first: whether it may use the model (forbidden MODEL_NOT_ALLOWED;
/// a name that chooses among models, such as `auto`, when it may use one of those, and then only those answer; the
/// same of fallbacks) and has tokens left (exhausted TOKENS_LIMITED). Tokens are counted by a guess from the prompt's
/// length until the call has ended, then by what the provider said, also when it failed half-way. The same of the
/// models' other ports. Calls without a key pass. Thread-safe; `models`, `ring` and `clock` outlive it.
class KeyedModels final : public core::ModelCatalog {
 public:
  KeyedModels(core::ModelCatalog& models, const KeyRing& ring, const base::Clock& clock)
      : models_(models), ring_(ring), clock_(clock) {}

  [[nodiscard]] base::Result<std::shared_ptr<core::ChatModel>> find(std::string_view id) const override;
  [[nodiscard]] std::optional<core::ModelInfo> info(std::string_view id) const override { return models_.info(id); }
  [[nodiscard]] std::vector<core::ModelInfo> list() const override { return models_.list(); }
  [[nodiscard]] std::string default_model() const override { return models_.default_model(); }
  /// The default if the key may use it or some of what it chooses from; else the first of the key's models that exists
  /// and does what is wanted; else the default, which is then refused.
  [[nodiscard]] std::string default_for(const core::RequestContext& context, core::ModelUse use) const override;
  [[nodiscard]] core::ModelPorts ports(std::string_view id) const override;

 private:
  core::ModelCatalog& models_;
  const KeyRing& ring_;
  const base::Clock& clock_;
};

/// Whether the key may use the model, or one of those among which it chooses.
bool may_use(const KeyGrant& grant, const core::ModelInfo& model);

}  // namespace tessera::account
