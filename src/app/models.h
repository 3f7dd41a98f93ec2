#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "config/settings.h"
#include "core/chat_model.h"
#include "core/embedder.h"
#include "observe/metrics.h"
#include "rag/embedder_table.h"
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
  };
  /// What `means` refers to outlives the models. Errors: MODEL_NOT_FOUND (chat.default_model names nothing).
  static base::Result<std::unique_ptr<Models>> create(const config::Settings& settings, Means means);

  [[nodiscard]] core::ModelCatalog& catalog() { return *catalog_; }
  [[nodiscard]] rag::EmbedderTable& embedders() { return *table_; }

 private:
  Models() = default;
  std::vector<std::shared_ptr<core::Embedder>> embedders_;
  std::unique_ptr<rag::EmbedderTable> table_;
  std::unique_ptr<core::ModelCatalog> plain_catalog_;
  std::unique_ptr<core::ModelCatalog> catalog_;
};

}  // namespace tessera::app
