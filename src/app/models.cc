#include "app/models.h"

#include <algorithm>

#include "app/metered.h"
#include "app/model_routes.h"
#include "app/profile_settings.h"
#include "index/embedding/static_embedder.h"
#include "llm/engines/engine_embedder.h"
#include "llm/engines/model_file.h"
#include "llm/extractive/extractive_model.h"
#include "llm/mock/mock_model.h"
#include "llm/model_catalog.h"
#include "llm/providers/openai_embedder.h"
#include "llm/providers/translated_model.h"

namespace tessera::app {
namespace {

using base::Result;

/// The embedder of a provider that the settings ask for, or null: it asks for vectors as any client of this server
/// does, so that what holds for calls of models (routes, budgets, the ledger) holds for its calls. Errors: invalid
/// EMBEDDING_UNSUPPORTED.
Result<std::shared_ptr<core::Embedder>> provider_embedder(const config::Settings& settings, const ModelRoutes& routes,
                                                          const core::ModelCatalog& catalog) {
  const config::EmbeddingSettings& embedding = settings.embedding;
  const auto named = [&](const config::ProviderSettings& each) { return each.name == embedding.provider; };
  const auto provider = std::ranges::find_if(settings.providers, named);
  if (provider == settings.providers.end()) return nullptr;
  llm::OpenAiEmbedderOptions options;
  options.model = embedding.model;
  options.asked_model = routes.name_at(embedding.provider, embedding.model);
  options.dimensions = static_cast<size_t>(embedding.dimensions);
  options.batch_size = static_cast<size_t>(embedding.batch_size);
  options.concurrent_max = static_cast<size_t>(provider->concurrent_max);
  auto port = catalog.ports(options.asked_model).embeddings;
  if (port == nullptr) {
    return base::fail(base::Code::invalid, "EMBEDDING_UNSUPPORTED",
                      "embedding.provider: providers of this type make no embeddings; name another");
  }
  return std::make_shared<llm::OpenAiEmbedder>(std::move(options), std::move(port));
}

/// The embedder of local models that the settings ask for, or null.
std::shared_ptr<core::Embedder> local_embedder(const config::Settings& settings, const llm::LocalEngines* engines) {
  if (engines == nullptr || settings.embedding.provider != llm::kLocalProvider) return nullptr;
  llm::EnginePool* const pool = engines->pool(llm::EngineKind::embedding);
  if (pool == nullptr) return nullptr;
  auto dimensions = static_cast<size_t>(settings.embedding.dimensions);
  if (const auto file = llm::read_model_file(pool->spec().model_path); file && dimensions == 0) {
    dimensions = file->embedding_length;
  }
  return std::make_shared<llm::EngineEmbedder>(*pool, settings.embedding.model, dimensions,
                                               static_cast<size_t>(settings.embedding.batch_size));
}

ModelRoutes::Means route_means(const Models::Means& means) {
  ModelRoutes::Means route{.http = means.http,
                           .metrics = means.metrics,
                           .profiles = *means.profiles,
                           .clock = means.clock,
                           .random = means.random,
                           .decorate = {},
                           .local = {},
                           .counter = means.counter,
                           .note_shared = means.note_shared};
  if (means.account) {
    route.decorate = [account = means.account](std::shared_ptr<core::ChatModel> model, const core::EndpointInfo& info) {
      return account(std::move(model), info.provider);
    };
  }
  // Local models come first: where a provider has one of the same name, the local one answers.
  if (means.engines != nullptr && !means.engines->chat_models().empty()) {
    route.local = {std::string(llm::kLocalProvider), means.engines->chat_models(), means.engines->chat()};
  }
  return route;
}

}  // namespace

Result<std::unique_ptr<Models>> Models::create(const config::Settings& settings, Means means) {
  std::unique_ptr<Models> models(new Models);
  if (means.profiles == nullptr) {
    models->own_profiles_ = std::make_unique<llm::ProfileTable>(profile_changes(settings));
    means.profiles = models->own_profiles_.get();
  }
  ModelRoutes routes(settings, route_means(means));
  TESSERA_TRY(index::StaticEmbedder embedder, index::StaticEmbedder::embedded());
  const auto built_in = std::make_shared<index::StaticEmbedder>(std::move(embedder));

  std::vector<llm::CatalogEntry> entries;
  entries.push_back({.provider = "extractive",
                     .models = {std::string(llm::kExtractiveModelId)},
                     .model = std::make_shared<llm::ExtractiveModel>(built_in, means.clock),
                     .needs_sources = true});
  if (means.engines != nullptr && !means.engines->other_models().empty()) {
    entries.push_back({.provider = std::string(llm::kLocalProvider),
                       .models = means.engines->other_models(),
                       .model = means.engines->chat(),
                       .ports = means.engines->ports()});
  }
  models->provider_models_ = std::make_unique<ProviderModels>(means.clock);
  for (llm::CatalogEntry& entry : routes.others()) {
    const auto silent = [&](const config::ProviderSettings& each) {
      return each.name == entry.provider && each.models.empty();
    };
    if (entry.ports.models != nullptr && std::ranges::any_of(settings.providers, silent)) {
      models->provider_models_->add(entry.provider, entry.ports.models);
    }
    entries.push_back(std::move(entry));
  }
  if (settings.mock.enabled) {
    entries.push_back({.provider = "mock",
                       .models = {"mock/echo", "mock/lorem"},
                       .model = std::make_shared<llm::MockModel>(
                           means.clock, llm::MockOptions{.token_delay = settings.mock.token_delay_ms})});
  }
  std::vector<llm::CatalogRoute> named = routes.named();
  const auto is_auto = [](const llm::CatalogRoute& route) { return route.info.id == "auto"; };
  if (std::ranges::none_of(named, is_auto)) {
    llm::CatalogRoute made;  // nobody else is there
    made.info = {.id = "auto", .provider = entries.front().provider, .needs_sources = true};
    made.info.choices = std::make_shared<const std::vector<std::string>>(entries.front().models);
    made.model = entries.front().model;
    named.push_back(std::move(made));
  }

  TESSERA_TRY(models->plain_catalog_,
              llm::ModelCatalog::create(std::move(entries), settings.chat.default_model, std::move(named)));
  models->catalog_ = std::make_unique<MeteredCatalog>(*models->plain_catalog_, means.metrics, means.clock);

  TESSERA_TRY(auto remote, provider_embedder(settings, routes, *models->catalog_));
  for (const std::shared_ptr<core::Embedder>& each : std::initializer_list<std::shared_ptr<core::Embedder>>{
           local_embedder(settings, means.engines), std::move(remote), built_in}) {
    if (each == nullptr) continue;
    models->embedders_.push_back(std::make_shared<MeteredEmbedder>(each, means.metrics, means.clock));
  }
  std::vector<core::Embedder*> table;
  for (const auto& each : models->embedders_) table.push_back(each.get());
  models->table_ = std::make_unique<rag::EmbedderTable>(std::move(table));
  return models;
}

}  // namespace tessera::app
