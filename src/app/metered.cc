#include "app/metered.h"

namespace tessera::app {
namespace {

double seconds_since(base::SteadyTime start, const base::Clock& clock) {
  return std::chrono::duration<double>(clock.now() - start).count();
}

std::string_view outcome_of(const base::Result<core::ChatCompletion>& result) {
  return result ? "ok" : base::to_string(result.error().code);
}

// Notes when the first piece of an answer comes by.
class FirstDelta final : public core::ChatSink {
 public:
  FirstDelta(core::ChatSink& inner, observe::Histogram& histogram, base::SteadyTime start, const base::Clock& clock)
      : inner_(inner), histogram_(histogram), start_(start), clock_(clock) {}
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    if (!std::exchange(seen_, true)) histogram_.observe(seconds_since(start_, clock_));
    return inner_.on_delta(std::move(delta));
  }

 private:
  core::ChatSink& inner_;
  observe::Histogram& histogram_;
  base::SteadyTime start_;
  const base::Clock& clock_;
  bool seen_ = false;
};

class MeteredModel final : public core::ChatModel {
 public:
  MeteredModel(std::shared_ptr<core::ChatModel> inner, core::ModelInfo info, observe::Metrics& metrics,
               const base::Clock& clock)
      : inner_(std::move(inner)), info_(std::move(info)), metrics_(metrics), clock_(clock) {}

  core::Task<base::Result<core::ChatCompletion>> generate(const core::RequestContext& context,
                                                          const core::ChatRequest& request,
                                                          core::ChatSink* sink) override {
    const base::SteadyTime start = clock_.now();
    std::optional<FirstDelta> first;
    if (sink != nullptr) first.emplace(*sink, metrics_.chat_first_token.with(info_.id), start, clock_);
    auto result = co_await inner_->generate(context, request, first ? &*first : nullptr);
    const double seconds = seconds_since(start, clock_);
    metrics_.llm_requests.with({info_.provider, outcome_of(result)}).increment();
    metrics_.llm_duration.with(info_.provider).observe(seconds);
    metrics_.chat_duration.with(info_.id).observe(seconds);
    const std::string_view turn = result                                         ? "complete"
                                  : result.error().code == base::Code::cancelled ? "cancelled"
                                                                                 : "failed";
    metrics_.chat_turns.with({info_.id, turn}).increment();
    if (result) {
      metrics_.prompt_tokens.with(info_.id).increment(
          static_cast<uint64_t>(std::max<int64_t>(0, result->usage.prompt_tokens)));
      metrics_.completion_tokens.with(info_.id).increment(
          static_cast<uint64_t>(std::max<int64_t>(0, result->usage.completion_tokens)));
      metrics_.cost_usd.with(info_.id).add(result->usage.cost.usd());
    }
    co_return result;
  }

 private:
  std::shared_ptr<core::ChatModel> inner_;
  core::ModelInfo info_;
  observe::Metrics& metrics_;
  const base::Clock& clock_;
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
  TESSERA_TRY(std::shared_ptr<core::ChatModel> model, inner_.find(id));
  auto info = inner_.info(id);
  if (!info) return model;
  return std::make_shared<MeteredModel>(std::move(model), *std::move(info), metrics_, clock_);
}

}  // namespace tessera::app
