#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"

namespace tessera::rag {

/// The embedding models of this server by name; the first is the default. A value over embedders that outlive it;
/// immutable, hence thread-safe.
class EmbedderTable {
 public:
  explicit EmbedderTable(std::vector<core::Embedder*> embedders);
  /// Errors: unavailable EMBEDDING_MODEL_UNAVAILABLE, saying which exist.
  [[nodiscard]] base::Result<core::Embedder*> find(std::string_view model) const;
  /// "a, b"
  [[nodiscard]] std::string names() const;
  [[nodiscard]] core::Embedder& fallback() const { return *embedders_.front(); }

 private:
  std::vector<core::Embedder*> embedders_;
};

}  // namespace tessera::rag
