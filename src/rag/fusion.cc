#include "rag/fusion.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace tessera::rag {
namespace {

using core::IndexHit;
using Hits = std::span<const IndexHit>;

constexpr double kLexicalHalf = 5;  // the BM25 score that maps to 0.5

struct Sum {
  double score = 0;
  int64_t document_key = 0;
  double cosine = -std::numeric_limits<double>::infinity();
};

/// Scores of one list in [0, 1]: 0 at `floor` and below, 1 at the best hit.
class Scale {
 public:
  Scale(Hits hits, double floor) : floor_(floor), range_(hits.empty() ? 0 : hits.front().score - floor) {}
  [[nodiscard]] double operator()(const IndexHit& hit) const {
    return range_ > 0 ? std::clamp((hit.score - floor_) / range_, 0.0, 1.0) : 1.0;
  }

 private:
  double floor_;
  double range_;
};

double cosine_floor(Hits hits, size_t rank) {
  if (hits.empty()) return 0;
  const size_t depth = std::clamp<size_t>(rank, 1, hits.size());
  const double last = hits[depth - 1].score;
  const double share = static_cast<double>(depth) / static_cast<double>(std::max<size_t>(1, rank));
  return std::min(last, last * share);  // never above the last, also when that is negative
}

template <class Score>
std::vector<Ranked> rank_alone(Hits hits, Score score) {
  std::vector<Ranked> ranked;
  ranked.reserve(hits.size());
  for (const auto& hit : hits) {
    const double raw = std::max(0.0, static_cast<double>(hit.score));
    ranked.push_back({hit.chunk_key, score(raw), hit.document_key});
  }
  return ranked;
}

double by_rank(size_t place, double constant) {
  return (constant + 1) / (constant + static_cast<double>(place) + 1);
}

}  // namespace

std::vector<Ranked> fuse(const FusionLists& lists, const FusionOptions& options) {
  const Hits lexical = lists.lexical.value_or(Hits{});
  const Hits dense = lists.dense.value_or(Hits{});
  const bool ranks = options.kind == Fusion::reciprocal_rank;
  // A single list keeps its order even where the weight is nothing.
  const double weight = lists.lexical ? options.dense_weight : 1;
  const double whole = (lists.lexical ? 1 : 0) + (lists.dense ? weight : 0);

  std::unordered_map<int64_t, Sum> sums;
  sums.reserve(lexical.size() + dense.size());
  const Scale words(lexical, 0);
  for (size_t i = 0; i < lexical.size(); ++i) {
    Sum& sum = sums[lexical[i].chunk_key];
    sum.score += ranks ? by_rank(i, options.rank_constant) : words(lexical[i]);
    sum.document_key = lexical[i].document_key;
  }
  const Scale meaning(dense, cosine_floor(dense, options.floor_rank));
  for (size_t i = 0; i < dense.size(); ++i) {
    Sum& sum = sums[dense[i].chunk_key];
    sum.score += weight * (ranks ? by_rank(i, options.rank_constant) : meaning(dense[i]));
    sum.cosine = dense[i].score;
    sum.document_key = dense[i].document_key;
  }

  struct Entry {
    Ranked ranked;
    double cosine;
  };
  std::vector<Entry> entries;
  entries.reserve(sums.size());
  for (const auto& [key, sum] : sums) {
    entries.push_back({{key, std::min(1.0, sum.score / whole), sum.document_key}, sum.cosine});
  }
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    if (a.ranked.score != b.ranked.score) return a.ranked.score > b.ranked.score;
    return a.cosine != b.cosine ? a.cosine > b.cosine : a.ranked.chunk_key < b.ranked.chunk_key;
  });
  std::vector<Ranked> ranked;
  ranked.reserve(entries.size());
  for (const Entry& entry : entries) ranked.push_back(entry.ranked);
  return ranked;
}

std::vector<Ranked> rank_lexical(std::span<const core::IndexHit> hits) {
  return rank_alone(hits, [](double raw) { return raw / (raw + kLexicalHalf); });
}

std::vector<Ranked> rank_dense(std::span<const core::IndexHit> hits) {
  return rank_alone(hits, [](double raw) { return std::min(1.0, raw); });
}

}  // namespace tessera::rag
