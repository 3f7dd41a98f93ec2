#include "rag/rerank.h"

#include <algorithm>
#include <utility>

namespace tessera::rag {

std::string read_for_ranking(const core::Passage& passage) {
  std::string text;
  text.reserve(passage.title.size() + passage.heading_path.size() + passage.text.size() + 2);
  if (!passage.heading_path.starts_with(passage.title)) text.append(passage.title).append("\n");
  if (!passage.heading_path.empty()) text.append(passage.heading_path).append("\n");
  text.append(passage.text);
  return text;
}

std::vector<Ranked> rerank(std::vector<Ranked> ranked, std::span<const core::TokenMatch> matches,
                           const RerankWeights& weights) {
  const size_t count = std::min(ranked.size(), matches.size());
  if (count == 0) return ranked;
  const auto [least, best] = std::ranges::minmax(matches.first(count), {}, &core::TokenMatch::likeness);
  const double range = best.likeness - least.likeness;
  const double whole = 1 + weights.likeness + weights.near;
  // No sign is below 0, and what was not looked at has none: it stays below without being sorted in.
  for (size_t i = 0; i < ranked.size(); ++i) {
    double sum = ranked[i].score;
    if (i < count) {
      sum += weights.likeness * (range > 0 ? (matches[i].likeness - least.likeness) / range : 1);
      sum += weights.near * matches[i].near;
    }
    ranked[i].score = std::min(1.0, sum / whole);
  }
  // Equals keep their order: places as the last key, because std::stable_sort allocates through a deprecated function.
  std::vector<std::pair<Ranked, size_t>> order;
  order.reserve(count);
  for (size_t i = 0; i < count; ++i) order.emplace_back(ranked[i], i);
  std::ranges::sort(order, [](const auto& a, const auto& b) {
    return a.first.score != b.first.score ? a.first.score > b.first.score : a.second < b.second;
  });
  for (size_t i = 0; i < count; ++i) ranked[i] = order[i].first;
  return ranked;
}

}  // namespace tessera::rag
