#include "rag/embedder_table.h"

#include <fmt/core.h>

#include <string>
#include <utility>

#include "base/assert.h"

namespace tessera::rag {

EmbedderTable::EmbedderTable(std::vector<core::Embedder*> embedders) : embedders_(std::move(embedders)) {
  TESSERA_ASSERT(!embedders_.empty());
}

base::Result<core::Embedder*> EmbedderTable::find(std::string_view model) const {
  for (auto* embedder : embedders_) {
    if (embedder->model() == model) return embedder;
  }
  return base::fail(base::Code::unavailable, "EMBEDDING_MODEL_UNAVAILABLE",
                    fmt::format("The collection's embedding model is not available on this server; it has: {}. "
                                "Configure the model again, or make a collection with one of these.",
                                names()));
}

std::string EmbedderTable::names() const {
  std::string known;
  for (auto* embedder : embedders_) {
    if (!known.empty()) known += ", ";
    known += embedder->model();
  }
  return known;
}

}  // namespace tessera::rag
