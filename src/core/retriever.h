#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/documents.h"
#include "core/metadata.h"

namespace tessera::core {

enum class SearchMode { hybrid, dense, lexical };

/// A question to one collection. `min_score` is compared with the passages' score in the mode used.
struct RetrievalRequest {
  CollectionName collection;
  std::string query;
  size_t top_k = 5;
  SearchMode mode = SearchMode::hybrid;
  std::optional<Filter> filter;
  std::optional<double> min_score;
};

/// Best first; exactly min(top_k, matches). `took_ms` is the server's own time.
struct RetrievalResult {
  std::vector<Passage> passages;
  double took_ms = 0;
};

/// Finds the passages that answer a question. Thread-safe. Errors: not_found (COLLECTION_NOT_FOUND), invalid, deadline.
/// A part that fails in hybrid mode is reported through the trace as degraded ("dense_search", "lexical_search"); when
/// all fail the error is returned: an outage never looks like "no result".
class Retriever {
 public:
  virtual ~Retriever() = default;
  virtual Task<base::Result<RetrievalResult>> retrieve(const RequestContext& context, RetrievalRequest request) = 0;
};

}  // namespace tessera::core
