#include "account/accounted_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "account/estimate.h"

namespace tessera::account {
namespace {

using core::CallOutcome;
using core::LedgerEntry;
using core::Task;
using core::Usage;

constexpr size_t kModelNameMax = 200;

CallOwner owner_of(const core::RequestContext& context) {
  return {.app_id = context.tenant.app_id,
          .key_id = context.key_id,
          .user_id = context.user_id,
          .workflow = context.workflow};
}

LedgerEntry entry_of(const core::RequestContext& context) {
  LedgerEntry entry;
  entry.request_id = context.request_id;
  entry.tenant = context.tenant;
  entry.key_id = context.key_id;
  entry.user_id = context.user_id;
  entry.workflow = context.workflow;
  return entry;
}

// Counts the bytes of an answer on its way.
class CountedSink final : public core::ChatSink {
 public:
  explicit CountedSink(core::ChatSink& inner) : inner_(inner) {}
  Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    bytes_ += static_cast<int64_t>(delta.text.size() + delta.extra_json.size());
    return inner_.on_delta(std::move(delta));
  }
  [[nodiscard]] int64_t bytes() const { return bytes_; }

 private:
  core::ChatSink& inner_;
  int64_t bytes_ = 0;
};

}  // namespace

/// A call from its reservation to its entry. One that is destroyed before it is closed counts as cancelled.
class AccountedModel::OpenCall {
 public:
  OpenCall(const AccountedModel& model, const core::RequestContext& context, std::string_view name)
      : model_(model), parts_(model.parts_), context_(context) {
    profile_ = parts_.profiles.find(model.provider_, name);
    name_ = profile_ != nullptr ? std::string_view(profile_->id) : name.substr(0, kModelNameMax);
    priced_ = profile_ != nullptr && profile_->price_known;
    if (priced_) price_ = profile_->price;
  }
  ~OpenCall() {
    if (open_) close(CallOutcome::cancelled, {}, false);
  }
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

  /// Takes what its request asks for at a higher price into account for the reservation.
  void look_into(std::string_view request) {
    if (!priced_) return;
    if (profile_->priority_price != core::Price{} && request.contains("\"priority\"")) {
      price_ = profile_->priority_price;
    }
    if (price_.cache_write > price_.prompt && request.contains("cache_control")) {
      const bool lasting = price_.cache_write_long > price_.cache_write && request.contains("\"1h\"");
      price_.prompt = lasting ? price_.cache_write_long : price_.cache_write;
    }
  }

  /// `estimate` makes a CallEstimate; asked for only when a budget wants to know, and only where a bound that is
  /// cheaper and higher, which `bound` may give, does not fit many times over.
  template <class F, class G>
  base::Result<> begin(F estimate, G bound) {
    const CallOwner owner = owner_of(context_);
    if (!priced_ && !parts_.unpriced_is_free) TESSERA_CHECK(parts_.spending.admit_unpriced(owner, name_));
    const bool budgeted = price_ != core::Price{} && parts_.spending.has_budgets(owner.app_id);
    core::Money amount;
    if (budgeted) {
      if (const std::optional<CallEstimate> high = bound(profile_)) {
        if (auto hold = parts_.spending.reserve_amply(owner, cost_of(*high))) {
          hold_ = *std::move(hold);
          open_ = true;
          return {};
        }
      }
      estimate_ = estimate(profile_);
      amount = cost_of(*estimate_);
    }
    TESSERA_TRY(hold_, parts_.spending.reserve(owner, amount));
    if (context_.trace != nullptr) {
      for (const std::string& budget : hold_.warns) context_.trace->add_passed_budget(budget);
    }
    open_ = true;
    return {};
  }

  /// `usage` is what is to be paid, and gets its cost.
  void close(CallOutcome outcome, Usage& usage, bool estimated) {
    open_ = false;
    usage.cost = charge(profile_, usage);
    LedgerEntry entry = new_entry();
    entry.outcome = outcome;
    entry.estimated = estimated;
    fill_usage(entry, usage);
    entry.cost = usage.cost;
    if (!priced_ && entry.prompt_tokens + entry.completion_tokens > 0) parts_.metrics.unpriced_calls.increment();
    parts_.spending.settle(std::move(hold_), std::move(entry));
  }

  /// The provider goes on in the background: what is held stays held until somebody learns what the response used.
  template <class F>
  void keep_held(const std::string& response_id, F estimate) {
    open_ = false;
    if (!estimate_) estimate_ = estimate(profile_);
    LedgerEntry entry = new_entry();
    entry.estimated = true;
    entry.response_id = response_id;
    fill_usage(entry, most_of(*estimate_));
    entry.cost = cost_of(*estimate_);
    parts_.spending.keep_held(std::move(hold_), std::move(entry));
  }

  /// What an answer of so many bytes is taken for, when the provider did not say.
  template <class F>
  [[nodiscard]] Usage guess(int64_t answer_bytes, F estimate) {
    if (!estimate_) estimate_ = estimate(profile_);
    Usage usage;
    usage.prompt_tokens = estimate_->prompt;
    usage.completion_tokens = tokens_of_bytes(answer_bytes);
    return usage;
  }

 private:
  [[nodiscard]] LedgerEntry new_entry() const {
    LedgerEntry entry = entry_of(context_);
    entry.call_id = parts_.ids.next();
    entry.provider = model_.provider_;
    entry.model = name_;
    return entry;
  }
  static Usage most_of(const CallEstimate& estimate) {
    return {.prompt_tokens = estimate.prompt_bound, .completion_tokens = estimate.completion_bound, .cost = {}};
  }
  [[nodiscard]] core::Money cost_of(const CallEstimate& estimate) const { return charge(price_, most_of(estimate)); }
  void close(CallOutcome outcome, Usage&& usage, bool estimated) { close(outcome, usage, estimated); }

  const AccountedModel& model_;
  const AccountingParts& parts_;
  const core::RequestContext& context_;
  const core::ModelProfile* profile_ = nullptr;
  std::string_view name_;  // of the profile or the request
  core::Price price_;      // the highest that it may be charged by
  bool priced_ = false;
  std::optional<CallEstimate> estimate_;
  BudgetHold hold_;
  bool open_ = false;
};

namespace {

CallOutcome outcome_of(const base::Error* error) {
  if (error == nullptr) return CallOutcome::complete;
  return error->code == base::Code::cancelled ? CallOutcome::cancelled : CallOutcome::failed;
}

}  // namespace

AccountedModel::AccountedModel(std::shared_ptr<core::ChatModel> inner, std::string provider, AccountingParts parts)
    : inner_(std::move(inner)), provider_(std::move(provider)), parts_(parts) {}

Task<base::Result<std::string>> AccountedModel::relay(const core::RequestContext& context,
                                                      const core::RelayRequest& request, core::RelaySink* sink,
                                                      core::RelayReport& report) {
  const auto estimate = [&](const core::ModelProfile* profile) {
    return estimate_relay(request.body, parts_.counter, profile);
  };
  const auto bound = [&](const core::ModelProfile* profile) { return bound_relay(request.body, profile); };
  OpenCall call(*this, context, request.model);
  call.look_into(request.body);
  TESSERA_CO_CHECK(call.begin(estimate, bound));
  auto result = co_await inner_->relay(context, request, sink, report);
  if (!report.background_id.empty() && !report.usage_reported) {
    call.keep_held(report.background_id, estimate);
    co_return result;
  }
  const bool answered = result.has_value() || report.started || report.answer_bytes > 0;
  const bool estimated = !report.usage_reported && answered;
  Usage usage = report.usage_reported ? report.usage : Usage{};
  if (estimated) usage = call.guess(report.answer_bytes, estimate);
  usage.tier = report.usage.tier;
  call.close(outcome_of(result ? nullptr : &result.error()), usage, estimated);
  report.usage = usage;
  co_return result;
}

Task<base::Result<core::ChatCompletion>> AccountedModel::generate(const core::RequestContext& context,
                                                                  const core::ChatRequest& request,
                                                                  core::ChatSink* sink) {
  const auto estimate = [&](const core::ModelProfile* profile) {
    return estimate_chat(request, parts_.counter, profile);
  };
  OpenCall call(*this, context, request.model);
  call.look_into(request.parameters_json);
  TESSERA_CO_CHECK(call.begin(estimate, [](const core::ModelProfile*) { return std::optional<CallEstimate>(); }));
  std::optional<CountedSink> counted;
  if (sink != nullptr) counted.emplace(*sink);
  auto result = co_await inner_->generate(context, request, counted ? &*counted : nullptr);
  const bool reported = result && (result->usage.prompt_tokens > 0 || result->usage.completion_tokens > 0);
  int64_t bytes = counted ? counted->bytes() : 0;
  if (result) bytes = std::max(bytes, static_cast<int64_t>(result->content.size() + result->extra_json.size()));
  const bool estimated = !reported && (result.has_value() || bytes > 0);
  Usage usage = reported ? result->usage : Usage{};
  if (estimated) usage = call.guess(bytes, estimate);
  call.close(outcome_of(result ? nullptr : &result.error()), usage, estimated);
  if (result) result->usage = usage;
  co_return result;
}

base::Result<> note_cached_answer(const AccountingParts& parts, const core::RequestContext& context,
                                  std::string_view provider, std::string_view model, const Usage& usage) {
  LedgerEntry entry = entry_of(context);
  const core::ModelProfile* const profile = parts.profiles.find(provider, model);
  entry.call_id = parts.ids.next();
  entry.provider = provider;
  entry.model = profile != nullptr ? std::string_view(profile->id) : model.substr(0, kModelNameMax);
  entry.outcome = CallOutcome::cached;
  fill_usage(entry, usage);
  return parts.spending.note(std::move(entry));
}

}  // namespace tessera::account
