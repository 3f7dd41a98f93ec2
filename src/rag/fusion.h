#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/index.h"
#include "core/retriever.h"

namespace tessera::rag {

/// A chunk of a ranking; scores in [0, 1].
struct Ranked {
  int64_t chunk_key = 0;
  double score = 0;
  int64_t document_key = 0;
};

using core::Fusion;

struct FusionOptions {
  Fusion kind = Fusion::scores;
  double dense_weight = 0.4;  ///< beside 1 for the words; not negative
  double rank_constant = 60;  ///< reciprocal_rank only; not negative
  size_t floor_rank = 100;    ///< scores only: the place of the hit whose cosine is the floor, from 1
};

/// Best-first hits of each engine; none when the engine failed or was not asked (it then has no say in the scale).
struct FusionLists {
  std::optional<std::span<const core::IndexHit>> lexical;
  std::optional<std::span<const core::IndexHit>> dense;
};

/// Every chunk of either list once, best first; ties by cosine, then by key. Scores are divided by the weights of the
/// lists that are there, so 1 is first in all; they compare chunks of one query, not queries. A chunk that a list lacks
/// gets nothing from it. Pure.
///
/// scores: convex combination (Bruch, Gai, Ingber: An Analysis of Fusion Functions for Hybrid Retrieval, 2023).
/// BM25 is divided by the best hit's. The cosine is scaled from 0 at a floor to 1 at the best hit; the floor is the
/// cosine of the hit at floor_rank, so that a deeper list changes nothing for the best, and of a shorter list the last
/// hit's times length / floor_rank: among few chunks even the last may be near. Why and how well:
/// docs/adr/0005-fusion.md.
///
/// reciprocal_rank: Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet, 2009; with a weight.
std::vector<Ranked> fuse(const FusionLists& lists, const FusionOptions& options);

/// One list alone, in its order: s / (s + 5) of the BM25 score s; the cosine, negative as 0.
std::vector<Ranked> rank_lexical(std::span<const core::IndexHit> hits);
std::vector<Ranked> rank_dense(std::span<const core::IndexHit> hits);

}  // namespace tessera::rag
