#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "core/documents.h"
#include "core/index.h"
#include "index/embedding/static_embedder.h"
#include "text/structure.h"

namespace tessera::bench {

/// Best-first hits of each engine (chunk keys are chunk numbers + 1) and the chunk numbers of their fusion.
struct Found {
  std::vector<core::IndexHit> lexical;
  std::vector<core::IndexHit> dense;
  std::vector<size_t> hybrid;
};

struct CorpusOptions {
  bool stemming = false;
  size_t candidates = 100;  ///< hits asked of each engine
};

/// Documents cut into chunks, embedded and indexed in memory as the product does it (default chunk sizes), without a
/// store.
class Corpus {
 public:
  explicit Corpus(std::shared_ptr<index::StaticEmbedder> embedder, CorpusOptions options = {});
  /// Returns the document's number.
  size_t add(std::string title, std::string text, const text::Structure& structure = {});
  [[nodiscard]] Found search(std::string_view query) const { return search(query, query); }
  /// `words` go to the lexical engine, `query` to the dense one.
  [[nodiscard]] Found search(std::string_view query, std::string_view words) const;
  [[nodiscard]] const core::Passage& passage(size_t chunk) const { return passages_[chunk]; }
  [[nodiscard]] size_t document_of(size_t chunk) const { return documents_of_[chunk]; }
  [[nodiscard]] size_t chunks() const { return passages_.size(); }

 private:
  std::shared_ptr<index::StaticEmbedder> embedder_;
  CorpusOptions options_;
  std::unique_ptr<base::Logger> logger_;
  std::unique_ptr<core::RetrievalIndex> index_;
  std::vector<core::Passage> passages_;
  std::vector<size_t> documents_of_;
  size_t documents_ = 0;
};

}  // namespace tessera::bench
