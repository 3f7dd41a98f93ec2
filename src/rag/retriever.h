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
#include "rag/rerank.h"
#include "rag/selection.h"
#include "rag/token_cache.h"

namespace tessera::rag {

/// What a request of this kind of reader gets when it does not say.
struct ReaderDefaults {
  core::Duplicates duplicates = core::Duplicates::keep;
  size_t per_document = 0;
  size_t neighbours = 0;
};

struct RetrieverOptions {
  size_t top_k_max = 1000;
  size_t query_bytes_max = 32768;
  size_t candidates_min = 100;    ///< each engine is asked for max(this, 4 x top_k)
  int64_t inline_chunks = 10000;  ///< larger collections are searched on the pool (about 1 ms of scanning and more)
  base::Millis reserve{5};        ///< kept of the deadline for fusing and loading; without more, dense is left out
  FusionOptions fusion;
  bool rerank = true;             ///< hybrid only, and only where the embedding model has token vectors
  size_t rerank_candidates = 50;  ///< of the fused ranking's first
  RerankWeights rerank_weights;
  size_t token_cache_bytes = 64 << 20;  ///< of what was re-ranked lately; 100,000 chunks of 100 words take 40 MB
  ReaderDefaults client;
  ReaderDefaults model{.duplicates = core::Duplicates::near};
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

/// Hybrid retrieval: BM25 and cosine, each best-first, fused (rag/fusion.h), the first of them re-ranked
/// (rag/rerank.h), the best chosen (rag/selection.h). Scores in [0, 1]: hybrid as fused and re-ranked (1 = first in all
/// that answered); dense = cosine, negative as 0; lexical = s / (s + 5) of the BM25 score s. Thread-safe. Stages:
/// embed, lexical, dense, fuse, rerank, load. Errors as core::Retriever; unavailable when the index is not serving.
/// When the time is short, dense search and re-ranking are left out and reported as degraded ("dense_search",
/// "rerank").
class HybridRetriever final : public core::Retriever {
 public:
  explicit HybridRetriever(RetrieverParts parts, RetrieverOptions options = {});
  core::Task<base::Result<core::RetrievalResult>> retrieve(const core::RequestContext& context,
                                                           core::RetrievalRequest request) override;

 private:
  struct Plan;
  base::Result<> check_request(const core::RetrievalRequest& request) const;
  base::Result<> plan_ranking(Plan& plan) const;
  [[nodiscard]] bool is_late(const core::RequestContext& context) const;
  core::Task<base::Result<>> embed_query(const core::RequestContext& context, Plan& plan);
  core::Task<base::Result<>> search(const core::RequestContext& context, Plan& plan);
  base::Result<> search_now(const core::RequestContext& context, Plan& plan);
  base::Result<> search_engines(const core::RequestContext& context, Plan& plan) const;
  core::Task<base::Result<>> rerank_first(const core::RequestContext& context, Plan& plan);
  void find_tokens(Plan& plan);
  void read_tokens(Plan& plan);
  void rerank_now(Plan& plan) const;
  core::Task<base::Result<>> fetch(const core::RequestContext& context, Plan& plan, std::vector<int64_t> keys);
  core::Task<base::Result<std::vector<core::Passage>>> load(const core::RequestContext& context, Plan& plan);
  core::Task<base::Result<std::vector<core::Passage>>> join(const core::RequestContext& context, Selection& selection);
  core::Task<base::Result<std::string>> text_of(const core::RequestContext& context, const core::Passage& passage);

  RetrieverParts parts_;
  RetrieverOptions options_;
  TokenCache tokens_;
};

}  // namespace tessera::rag
