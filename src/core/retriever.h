#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/documents.h"
#include "core/metadata.h"

namespace tessera::core {

enum class SearchMode { hybrid, dense, lexical };

/// How two rankings become one.
enum class Fusion {
  scores,           ///< a weighted sum of normalised scores
  reciprocal_rank,  ///< a weighted sum of 1 / (constant + rank)
};

/// Which passages are left out because a better one says the same.
enum class Duplicates {
  keep,  ///< none
  same,  ///< those with the same words in the same order
  near,  ///< those with nearly the same words, too; never where numbers or negations differ
};

/// What becomes of a ranking; what is absent is as configured. `dense_weight` is beside 1 for the words (0 to 1000),
/// `rank_constant` is for reciprocal ranks (0 to 1000), `per_document` is the most passages of one document (0: any
/// number), `neighbours` is the most chunks that a passage may take in on each side (0: none; at most 8).
struct RankingChoice {
  std::optional<Fusion> fusion;
  std::optional<double> dense_weight;
  std::optional<double> rank_constant;
  std::optional<bool> rerank;
  std::optional<Duplicates> duplicates;
  std::optional<size_t> per_document;
  std::optional<size_t> neighbours;
};

/// How a query's text is read.
enum class QuerySyntax {
  plain,  ///< all of it is words
  marks,  ///< "a phrase", +required, -excluded, prefix*: only passages that match the words so are results
};

/// Who reads the passages; each has defaults of its own.
enum class Reader {
  client,  ///< a program that asked for results: gets every match as it stands
  model,   ///< a language model: better few passages that say much
};

/// A question to one collection. `min_score` is compared with the passages' score in the mode used. `recall` (0.5 to 1)
/// is the share of the true nearest that the dense engine is to find, `ef` (1 to 10,000) what it takes instead: the
/// candidates of its walk; one of them at most, and without either as configured. Marks need the lexical engine, the
/// others the dense one.
struct RetrievalRequest {
  CollectionName collection;
  std::string query;
  size_t top_k = 5;
  SearchMode mode = SearchMode::hybrid;
  QuerySyntax syntax = QuerySyntax::plain;
  std::optional<double> recall;
  std::optional<size_t> ef;
  std::optional<Filter> filter;
  std::optional<double> min_score;
  Reader reader = Reader::client;
  RankingChoice ranking;
};

/// Best first; exactly min(top_k, matches), where a chunk that is left out as a duplicate, over its document's share or
/// inside another passage is no match of its own: the next best follows. `took_ms` is the server's own time.
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
