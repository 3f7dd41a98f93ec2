#include "account/keyed_models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace tessera::account {
namespace {

/// English has about four bytes a token; what the provider says replaces the guess.
constexpr size_t kBytesPerToken = 4;

/// Holds a key's tokens for one call. Settles when it goes, so that a call that is destroyed half-way is settled, too.
class HeldTokens {
 public:
  static base::Result<HeldTokens> take(std::shared_ptr<KeyMeter> meter, size_t prompt_bytes, const base::Clock& clock) {
    HeldTokens held(clock);
    if (meter == nullptr) return held;
    TESSERA_TRY(held.hold_, meter->hold_tokens(static_cast<int64_t>(prompt_bytes / kBytesPerToken), clock.now()));
    held.used_ = held.hold_.tokens;
    held.meter_ = std::move(meter);
    return held;
  }
  ~HeldTokens() {
    if (meter_ != nullptr) meter_->settle_tokens(hold_, used_, clock_.now());
  }
  HeldTokens(HeldTokens&& other) noexcept
      : clock_(other.clock_), meter_(std::move(other.meter_)), hold_(other.hold_), used_(other.used_) {}
  HeldTokens& operator=(HeldTokens&&) = delete;

  void used(const core::Usage& usage) { used_ = usage.prompt_tokens + usage.completion_tokens; }
  /// Nothing was counted for us: the prompt by the guess, and what came of the answer.
  void answered(int64_t bytes) { used_ = hold_.tokens + bytes / static_cast<int64_t>(kBytesPerToken); }
  void nothing() { used_ = 0; }

 private:
  explicit HeldTokens(const base::Clock& clock) : clock_(clock) {}

  const base::Clock& clock_;
  std::shared_ptr<KeyMeter> meter_;
  TokenHold hold_;
  int64_t used_ = 0;
};

size_t prompt_bytes(const core::ChatRequest& request) {
  size_t bytes = 0;
  for (const core::ChatMessage& message : request.messages) bytes += message.content.size();
  return bytes;
}

struct KeyMeans {
  const core::ModelCatalog& models;
  const KeyRing& ring;
  const base::Clock& clock;
};

class KeyedModel final : public core::ChatModel {
 public:
  KeyedModel(std::string id, std::shared_ptr<core::ChatModel> model, KeyMeans means)
      : id_(std::move(id)), model_(std::move(model)), means_(means) {}

  [[nodiscard]] bool relays() const override { return model_->relays(); }

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override {
    std::optional<core::RequestContext> limited;
    TESSERA_CO_TRY(HeldTokens held, admit(context, request.body.size(), limited));
    auto answer = co_await model_->relay(limited ? *limited : context, request, sink, report);
    if (report.usage_reported) {
      held.used(report.usage);
    } else if (answer || report.started) {
      held.answered(report.answer_bytes);
    } else {
      held.nothing();
    }
    co_return answer;
  }

  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override {
    std::optional<core::RequestContext> limited;
    TESSERA_CO_TRY(HeldTokens held, admit(context, prompt_bytes(request), limited));
    auto answer = co_await model_->generate(limited ? *limited : context, request, sink);
    if (answer) held.used(answer->usage);
    co_return answer;
  }

 private:
  /// `limited` is the context to go on with when the key is limited to some models.
  base::Result<HeldTokens> admit(const core::RequestContext& context, size_t bytes,
                                 std::optional<core::RequestContext>& limited) const {
    const Grant grant = means_.ring.find(context.key_id);
    if (grant == nullptr) return HeldTokens::take(nullptr, 0, means_.clock);
    if (!grant->key.models.empty()) {
      TESSERA_CHECK(check_model(*grant));
      limited = context;
      limited->only_models = std::shared_ptr<const std::vector<std::string>>(grant, &grant->key.models);
    }
    return HeldTokens::take(grant->meter, bytes, means_.clock);
  }

  /// Errors: forbidden MODEL_NOT_ALLOWED, naming the ones that the key may use.
  [[nodiscard]] base::Result<> check_model(const KeyGrant& grant) const {
    if (grant.allows_model(id_)) return {};
    if (const auto info = means_.models.info(id_); info && may_use(grant, *info)) return {};
    return base::fail(base::Code::forbidden, "MODEL_NOT_ALLOWED",
                      fmt::format("This key may use {} only.", fmt::join(grant.key.models, ", ")), std::string(),
                      "model");
  }

  const std::string id_;
  const std::shared_ptr<core::ChatModel> model_;
  const KeyMeans means_;
};

}  // namespace

bool may_use(const KeyGrant& grant, const core::ModelInfo& model) {
  if (grant.allows_model(model.id)) return true;
  return model.choices != nullptr &&
         std::ranges::any_of(*model.choices, [&](const std::string& name) { return grant.allows_model(name); });
}

base::Result<std::shared_ptr<core::ChatModel>> KeyedModels::find(std::string_view id) const {
  TESSERA_TRY(auto model, models_.find(id));
  return std::make_shared<KeyedModel>(id.empty() ? models_.default_model() : std::string(id), std::move(model),
                                      KeyMeans{models_, ring_, clock_});
}

std::string KeyedModels::default_for(const core::RequestContext& context, core::ModelUse use) const {
  std::string usual = models_.default_for(context, use);
  const Grant grant = ring_.find(context.key_id);
  if (grant == nullptr || grant->allows_model(usual)) return usual;
  if (const auto info = models_.info(usual); info && may_use(*grant, *info)) return usual;
  for (const std::string& name : grant->key.models) {
    if (use == core::ModelUse::responses ? models_.ports(name).responses != nullptr : models_.info(name).has_value()) {
      return name;
    }
  }
  return usual;
}

core::ModelPorts KeyedModels::ports(std::string_view id) const {
  return core::wrap_ports(models_.ports(id), [id = std::string(id), means = KeyMeans{models_, ring_, clock_}](
                                                 std::shared_ptr<core::ChatModel> port) {
    return std::make_shared<KeyedModel>(id, std::move(port), means);
  });
}

}  // namespace tessera::account
