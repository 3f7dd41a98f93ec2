#include "app/metered.h"

namespace tessera::app {
namespace {

double seconds_since(base::SteadyTime start, const base::Clock& clock) {
  return std::chrono::duration<double>(clock.now() - start).count();
}

// Notes when the first piece of an answer comes by; passes the rest without a frame of its own.
class FirstPiece final : public core::ChatSink, public core::RelaySink {
 public:
  FirstPiece(observe::Histogram& histogram, base::SteadyTime start, const base::Clock& clock)
      : histogram_(histogram), start_(start), clock_(clock) {}
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    note();
    return deltas->on_delta(std::move(delta));
  }
  core::Task<base::Result<>> on_events(std::string_view bytes) override {
    note();
    return events->on_events(bytes);
  }
  core::ChatSink* deltas = nullptr;
  core::RelaySink* events = nullptr;

 private:
  void note() {
    if (!std::exchange(seen_, true)) histogram_.observe(seconds_since(start_, clock_));
  }
  observe::Histogram& histogram_;
  base::SteadyTime start_;
  const base::Clock& clock_;
  bool seen_ = false;
};

// Finds its series once; a call costs a few relaxed additions.
class MeteredModel final : public core::ChatModel {
 public:
  MeteredModel(std::shared_ptr<core::ChatModel> inner, core::ModelInfo info, observe::Metrics& metrics,
               const base::Clock& clock)
      : inner_(std::move(inner)),
        info_(std::move(info)),
        metrics_(metrics),
        clock_(clock),
        ok_(metrics.llm_requests.with({info_.provider, "ok"})),
        complete_(metrics.chat_turns.with({info_.id, "complete"})),
        provider_time_(metrics.llm_duration.with(info_.provider)),
        model_time_(metrics.chat_duration.with(info_.id)),
        first_token_(metrics.chat_first_token.with(info_.id)),
        prompt_tokens_(metrics.prompt_tokens.with(info_.id)),
        completion_tokens_(metrics.completion_tokens.with(info_.id)),
        cost_(metrics.cost_usd.with(info_.id)) {}

  [[nodiscard]] bool relays() const override { return inner_->relays(); }

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override {
    const base::SteadyTime start = clock_.now();
    FirstPiece first(first_token_, start, clock_);
    first.events = sink;
    auto result = co_await inner_->relay(context, request, sink == nullptr ? nullptr : &first, report);
    note(start, result ? nullptr : &result.error());
    note(report.usage);  // also of a call that broke in the middle
    co_return result;
  }

  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override {
    const base::SteadyTime start = clock_.now();
    FirstPiece first(first_token_, start, clock_);
    first.deltas = sink;
    auto result = co_await inner_->generate(context, request, sink == nullptr ? nullptr : &first);
    note(start, result ? nullptr : &result.error());
    if (result) note(result->usage);
    co_return result;
  }

 private:
  void note(base::SteadyTime start, const base::Error* error) {
    const double seconds = seconds_since(start, clock_);
    provider_time_.observe(seconds);
    model_time_.observe(seconds);
    if (error == nullptr) {
      ok_.increment();
      complete_.increment();
      return;
    }
    metrics_.llm_requests.with({info_.provider, base::to_string(error->code)}).increment();
    const bool cancelled = error->code == base::Code::cancelled;
    metrics_.chat_turns.with({info_.id, cancelled ? "cancelled" : "failed"}).increment();
  }
  void note(const core::Usage& usage) {
    prompt_tokens_.increment(static_cast<uint64_t>(std::max<int64_t>(0, usage.prompt_tokens)));
    completion_tokens_.increment(static_cast<uint64_t>(std::max<int64_t>(0, usage.completion_tokens)));
    cost_.add(usage.cost.usd());
  }

  std::shared_ptr<core::ChatModel> inner_;
  core::ModelInfo info_;
  observe::Metrics& metrics_;
  const base::Clock& clock_;
  observe::Counter& ok_;
  observe::Counter& complete_;
  observe::Histogram& provider_time_;
  observe::Histogram& model_time_;
  observe::Histogram& first_token_;
  observe::Counter& prompt_tokens_;
  observe::Counter& completion_tokens_;
  observe::Sum& cost_;
};

}  // namespace

MeteredRetriever::MeteredRetriever(core::Retriever& inner, observe::Metrics& metrics, const base::Clock& clock)
    : inner_(inner),
      metrics_(metrics),
      clock_(clock),
      by_mode_{&metrics.search_duration.with("hybrid"), &metrics.search_duration.with("dense"),
               &metrics.search_duration.with("lexical")} {}

core::Task<base::Result<core::RetrievalResult>> MeteredRetriever::retrieve(const core::RequestContext& context,
                                                                           core::RetrievalRequest request) {
  observe::Histogram& histogram = *by_mode_.at(static_cast<size_t>(request.mode));
  const size_t degraded_before = context.trace == nullptr ? 0 : context.trace->degraded().size();
  const base::SteadyTime start = clock_.now();
  auto result = co_await inner_.retrieve(context, std::move(request));
  histogram.observe(seconds_since(start, clock_));
  if (context.trace != nullptr) {
    const auto degraded = context.trace->degraded();
    for (size_t i = degraded_before; i < degraded.size(); ++i) metrics_.search_degraded.with(degraded[i]).increment();
  }
  co_return result;
}

MeteredEmbedder::MeteredEmbedder(std::shared_ptr<core::Embedder> inner, observe::Metrics& metrics,
                                 const base::Clock& clock)
    : inner_(std::move(inner)), duration_(metrics.embedding_duration.with(inner_->model())), clock_(clock) {}

core::Task<base::Result<core::Embeddings>> MeteredEmbedder::embed(const core::RequestContext& context,
                                                                  std::span<const std::string_view> texts) {
  const base::SteadyTime start = clock_.now();
  auto result = co_await inner_->embed(context, texts);
  duration_.observe(seconds_since(start, clock_));
  co_return result;
}

namespace {

/// Measures what it makes vectors of, as the embedder does its batches.
class MeteredReader final : public core::TokenReader {
 public:
  MeteredReader(std::unique_ptr<core::TokenReader> inner, observe::Histogram& duration, const base::Clock& clock)
      : inner_(std::move(inner)), duration_(duration), clock_(clock) {}
  size_t read(std::string_view text, std::vector<uint16_t>& tokens) override { return inner_->read(text, tokens); }
  void embed(std::span<const uint16_t> tokens, std::span<const size_t> ends, std::span<float> vectors) override {
    const base::SteadyTime start = clock_.now();
    inner_->embed(tokens, ends, vectors);
    duration_.observe(seconds_since(start, clock_));
  }

 private:
  std::unique_ptr<core::TokenReader> inner_;
  observe::Histogram& duration_;
  const base::Clock& clock_;
};

}  // namespace

std::unique_ptr<core::TokenReader> MeteredEmbedder::token_reader() const {
  auto reader = inner_->token_reader();
  if (reader == nullptr) return nullptr;
  return std::make_unique<MeteredReader>(std::move(reader), duration_, clock_);
}

MeteredCatalog::MeteredCatalog(const core::ModelCatalog& inner, observe::Metrics& metrics, const base::Clock& clock)
    : inner_(inner), metrics_(metrics), clock_(clock) {}
MeteredCatalog::~MeteredCatalog() = default;

base::Result<std::shared_ptr<core::ChatModel>> MeteredCatalog::find(std::string_view id) const {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = known_.find(id); found != known_.end()) return found->second;
  }
  TESSERA_TRY(std::shared_ptr<core::ChatModel> model, inner_.find(id));
  auto info = inner_.info(id);
  if (!info) return model;
  auto metered = std::make_shared<MeteredModel>(std::move(model), *std::move(info), metrics_, clock_);
  const std::unique_lock lock(mutex_);
  // A client can make up names where a provider takes any; those beyond the bound are measured all the same.
  if (known_.size() >= kKnownMax) return metered;
  return known_.try_emplace(std::string(id), std::move(metered)).first->second;
}

core::ModelPorts MeteredCatalog::ports(std::string_view id) const {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = known_ports_.find(id); found != known_ports_.end()) return found->second;
  }
  auto info = inner_.info(id);
  if (!info) return inner_.ports(id);
  core::ModelPorts ports =
      core::wrap_ports(inner_.ports(id), [info = *std::move(info), &metrics = metrics_, &clock = clock_](auto model) {
        return std::make_shared<MeteredModel>(std::move(model), info, metrics, clock);
      });
  const std::unique_lock lock(mutex_);
  if (known_ports_.size() >= kKnownMax) return ports;
  return known_ports_.try_emplace(std::string(id), std::move(ports)).first->second;
}

}  // namespace tessera::app
