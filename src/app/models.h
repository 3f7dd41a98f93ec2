#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/provider_models.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "config/settings.h"
#include "core/chat_model.h"
#include "core/embedder.h"
#include "llm/engines/local_engines.h"
#include "llm/profiles/profile_table.h"
#include "llm/routing/single_flight.h"
#include "observe/metrics.h"
#include "rag/embedder_table.h"
#include "text/bpe.h"
#include "wire/http_client.h"

namespace tessera::app {

/// The chat and embedding models that the settings ask for: the built-in ones, the mock if enabled, and those of the
/// providers. Names concrete drivers so that nobody else has to. Immutable once created; thread-safe.
class Models {
 public:
  struct Means {
    std::shared_ptr<wire::HttpClient> http;
    observe::Metrics& metrics;
    const base::Clock& clock;
    base::Random& random;
    llm::LocalEngines* engines = nullptr;  ///< null: no local models
    /// Puts accounting around a provider's models; empty: nothing is accounted for.
    std::function<std::shared_ptr<core::ChatModel>(std::shared_ptr<core::ChatModel>, std::string provider)> account =
        {};
    /// Enters answers that requests got without a call of their own; empty: likewise.
    llm::SingleFlight::OnShared note_shared = {};
    const llm::ProfileTable* profiles = nullptr;  ///< null: made from the settings
    const text::BpeCounter* counter = nullptr;    ///< null: nobody checks whether conversations fit their models
  };
  /// What `means` refers to outlives the models. Errors: MODEL_NOT_FOUND (chat.default_model names nothing).
  static base::Result<std::unique_ptr<Models>> create(const config::Settings& settings, Means means);

  [[nodiscard]] core::ModelCatalog& catalog() { return *catalog_; }
  [[nodiscard]] rag::EmbedderTable& embedders() { return *table_; }
  /// What providers offer beyond what the settings name.
  [[nodiscard]] core::ModelLister& provider_models() { return *provider_models_; }

 private:
  Models() = default;
  std::unique_ptr<llm::ProfileTable> own_profiles_;
  std::vector<std::shared_ptr<core::Embedder>> embedders_;
  std::unique_ptr<rag::EmbedderTable> table_;
  std::unique_ptr<core::ModelCatalog> plain_catalog_;
  std::unique_ptr<core::ModelCatalog> catalog_;
  std::unique_ptr<ProviderModels> provider_models_;
};

}  // namespace tessera::app
