#pragma once

#include <cstdint>
#include <vector>

#include "async/blocking_pool.h"
#include "base/clock.h"
#include "core/documents.h"
#include "core/index.h"
#include "core/retriever.h"
#include "rag/embedder_table.h"
#include "rag/fusion.h"
#include "rag/index_feed.h"

namespace tessera::rag {

struct RetrieverOptions {
  size_t top_k_max = 1000;
  size_t query_bytes_max = 32768;
  size_t candidates_min = 100;    ///< each engine is asked for max(this, 4 x top_k)
  int64_t inline_chunks = 10000;  ///< larger collections are searched on the pool (about 1 ms of scanning and more)
  base::Millis reserve{5};        ///< kept of the deadline for fusing and loading; without more, dense is left out
  FusionOptions fusion;
};

/// What retrieval is made of; all outlive it. `pool` is for searches only.
struct RetrieverParts {
  core::DocumentStore& store;
  const core::RetrievalIndex& index;
  const IndexFeed& feed;
  const EmbedderTable& embedders;
  async::BlockingPool& pool;
  const base::Clock& clock;
};

/// Hybrid retrieval: BM25 and cosine, each best-first, fused (rag/fusion.h). Scores in [0, 1]: hybrid as fused (1 =
/// first in all engines that answered); dense = cosine, negative as 0; lexical = s / (s + 5) of the BM25 score s.
/// Thread-safe. Stages: embed, lexical, dense, fuse, load. Errors as core::Retriever; unavailable when the index is not
/// serving.
class HybridRetriever final : public core::Retriever {
 public:
  explicit HybridRetriever(RetrieverParts parts, RetrieverOptions options = {});
  core::Task<base::Result<core::RetrievalResult>> retrieve(const core::RequestContext& context,
                                                           core::RetrievalRequest request) override;

 private:
  struct Plan;
  base::Result<> check_request(const core::RetrievalRequest& request) const;
  core::Task<base::Result<>> embed_query(const core::RequestContext& context, Plan& plan);
  core::Task<base::Result<>> search(const core::RequestContext& context, Plan& plan);
  base::Result<> search_now(const core::RequestContext& context, Plan& plan) const;
  core::Task<base::Result<std::vector<core::Passage>>> load(const core::RequestContext& context, const Plan& plan);

  RetrieverParts parts_;
  RetrieverOptions options_;
};

}  // namespace tessera::rag
