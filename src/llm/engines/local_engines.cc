#include "llm/engines/local_engines.h"

#include <fmt/format.h>

#include <utility>

#include "llm/engines/engine_model.h"
#include "llm/engines/engine_ports.h"

namespace tessera::llm {
namespace {

/// Finds the pool that a request's model names.
class LocalChat final : public RelayedModel {
 public:
  explicit LocalChat(std::vector<std::pair<std::string, std::unique_ptr<EngineModel>>> models)
      : models_(std::move(models)) {}

  core::Task<base::Result<std::string>> relay(const core::RequestContext& context, const core::RelayRequest& request,
                                              core::RelaySink* sink, core::RelayReport& report) override {
    std::string_view name = request.model;
    if (name.starts_with(kLocalProvider) && name.substr(kLocalProvider.size()).starts_with('/')) {
      name.remove_prefix(kLocalProvider.size() + 1);
    }
    for (const auto& [model_name, model] : models_) {
      if (model_name == name) co_return co_await model->relay(context, request, sink, report);
    }
    co_return base::fail(base::Code::not_found, "MODEL_NOT_FOUND", "this server has no local chat model of this name");
  }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<EngineModel>>> models_;
};

}  // namespace

LocalEngines::LocalEngines(LocalEnginesOptions options, Means means) : memory_(options.memory_bytes_max) {
  std::vector<std::pair<std::string, std::unique_ptr<EngineModel>>> models;
  for (EnginePoolOptions& pool : options.pools) {
    pools_.push_back(std::make_unique<EnginePool>(
        std::move(pool),
        EngineMeans{children_, memory_, means.http, means.clock, means.random, means.log, means.executor}));
    const EngineSpec& spec = pools_.back()->spec();
    if (spec.kind == EngineKind::chat) models.emplace_back(spec.name, std::make_unique<EngineModel>(*pools_.back()));
  }
  chat_ = std::make_shared<LocalChat>(std::move(models));
}

LocalEngines::~LocalEngines() {
  stop();
}

std::vector<std::string> LocalEngines::chat_models() const {
  std::vector<std::string> names;
  for (const auto& pool : pools_) {
    if (pool->spec().kind == EngineKind::chat) names.push_back(pool->spec().name);
  }
  return names;
}

std::vector<std::string> LocalEngines::other_models() const {
  std::vector<std::string> names;
  for (const auto& pool : pools_) {
    if (pool->spec().kind != EngineKind::chat) names.push_back(pool->spec().name);
  }
  return names;
}

core::ModelPorts LocalEngines::ports() const {
  return engine_ports({.embedding = pool(EngineKind::embedding),
                       .rerank = pool(EngineKind::rerank),
                       .transcription = pool(EngineKind::transcription)});
}

EnginePool* LocalEngines::pool(EngineKind kind) const {
  for (const auto& pool : pools_) {
    if (pool->spec().kind == kind) return pool.get();
  }
  return nullptr;
}

std::vector<EngineStats> LocalEngines::stats() const {
  std::vector<EngineStats> all;
  for (const auto& pool : pools_) all.push_back(pool->stats());
  return all;
}

void LocalEngines::stop() {
  for (const auto& pool : pools_) pool->stop();
}

}  // namespace tessera::llm
