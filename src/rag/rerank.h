#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/documents.h"
#include "core/token_matcher.h"
#include "rag/fusion.h"

namespace tessera::rag {

/// How much each sign of a good passage counts, where the fused score counts 1. Learnt on half of SQuAD's questions,
/// checked on the other half and on sets of other kinds (docs/adr/0006-rerank.md). Not negative.
struct RerankWeights {
  double likeness = 0.6;
  double near = 0.6;
};

/// What of a passage is compared with the query: the title unless the headings begin with it, the headings, the text.
std::string read_for_ranking(const core::Passage& passage);

/// Orders the first matches.size() of `ranked` anew, best first; the others follow in their order. `matches` says what
/// each has of the query. The likeness is scaled from 0 at the least to 1 at the best of them (1 if all are equal).
/// Scores stay in [0, 1] on a scale of their own, 1 is best by every sign, and fall from first to last. Pure.
std::vector<Ranked> rerank(std::vector<Ranked> ranked, std::span<const core::TokenMatch> matches,
                           const RerankWeights& weights = {});

}  // namespace tessera::rag
