#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/index.h"
#include "index/filter/row_filter.h"
#include "index/lexical/bm25.h"
#include "index/lexical/dictionary.h"
#include "index/lexical/postings.h"
#include "index/row_table.h"
#include "index/top_k.h"

namespace tessera::index {

/// The terms of a collection and the rows that have them. A value; guarded by its collection's Access.
struct LexicalIndex {
  Dictionary dictionary;
  std::vector<PostingList> lists;  ///< by term number
  uint64_t live_terms = 0;         ///< with at least one live row

  [[nodiscard]] size_t memory_bytes() const;
};

/// The terms of one row of a document being put: numbers and frequencies, each term once.
using RowTerms = std::vector<std::pair<uint32_t, uint32_t>>;

/// A query's term, ready to score.
struct QueryTerm {
  const PostingList* list = nullptr;
  uint32_t number = 0;
  float weight = 0;  ///< idf * (k1 + 1) * occurrences in the query
};

/// The known terms of a query, heaviest first, at most kQueryTermsMax.
std::vector<QueryTerm> query_terms(const LexicalIndex& index, const RowTable& rows, std::string_view text,
                                   bool stemming);

/// The best k rows with at least one of the terms, best first. With pruning (MAXSCORE over windows of rows, bounded by
/// block maxima; Turtle and Flood 1995, Ding and Suel 2011) the hits and their scores are the same bits as without.
std::vector<core::IndexHit> score_terms(const RowTable& rows, std::span<const QueryTerm> terms, size_t k,
                                        RowFilter& filter, Pruning pruning);

}  // namespace tessera::index
