#pragma once

#include <memory>
#include <string>

#include "account/spending.h"
#include "base/clock.h"
#include "base/id.h"
#include "core/chat_model.h"
#include "core/model_profile.h"
#include "text/bpe.h"

namespace tessera::account {

/// What accounting works with; all outlives the models.
struct AccountingParts {
  Spending& spending;
  const core::ModelProfiles& profiles;
  const text::BpeCounter& counter;
  const base::Clock& clock;
  const base::IdSource& ids;
  observe::Metrics& metrics;
  bool unpriced_is_free = true;  ///< else a model of unknown price is not asked where a hard budget counts
};

/// One provider's models with every call accounted for: reserved before, settled by the provider's own usage after, and
/// entered in the ledger however it ended, with one entry for each call. A call that began to answer and then broke, or
/// that its client left, costs what passed by our count (`estimated`); one that never answered costs nothing; a
/// response that its provider goes on with in the background stays held (BackgroundCalls). The price is that of the
/// service tier that the answer names. Sets Usage::cost. Thread-safe. Errors: those of the model; those of
/// Spending::reserve and admit_unpriced, before the provider is asked.
class AccountedModel final : public core::ChatModel {
 public:
  AccountedModel(std::shared_ptr<core::ChatModel> inner, std::string provider, AccountingParts parts);

  [[nodiscard]] bool relays() const override { return inner_->relays(); }
  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override;
  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override;

 private:
  class OpenCall;

  std::shared_ptr<core::ChatModel> inner_;
  std::string provider_;
  AccountingParts parts_;
};

/// Enters an answer that no provider was asked for, since it was kept from before. Errors: as Spending::note.
base::Result<> note_cached_answer(const AccountingParts& parts, const core::RequestContext& context,
                                  std::string_view provider, std::string_view model, const core::Usage& usage);

}  // namespace tessera::account
