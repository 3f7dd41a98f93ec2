#include <algorithm>
#include <string>

#include "llm/extractive/ranking.h"

namespace tessera::llm::extractive {
namespace {

// Words and meaning together decide whether an answer is about the question: each runs from 0 to 1, and what one lacks
// the other can make up. Without an embedder words decide alone.
constexpr double kRelevanceMin = 0.72;
constexpr double kCoverageMinAlone = 0.4;

// When a further unit is worth its words.
constexpr double kNearTie = 0.1;
constexpr double kGainMin = 0.1;
constexpr double kGainScoreShare = 0.7;

bool about_the_question(const Evidence& evidence, const UnitScore& best) {
  if (evidence.meaning.empty()) return best.coverage >= kCoverageMinAlone;
  return best.coverage + best.meaning >= kRelevanceMin;
}

size_t words_of(const Unit& unit) {
  return unit.terms.size() + unit.tail_terms.size();
}

bool same_words(const Unit& a, const Unit& b) {
  return std::ranges::equal(a.terms, b.terms, {}, &Term::text, &Term::text);
}

bool overlaps(const Unit& a, const Unit& b) {
  return a.source == b.source && a.start < b.tail_end && b.start < a.tail_end;
}

double gain_of(const std::vector<double>& weights, const std::vector<double>& covered, const UnitScore& more) {
  double gain = 0;
  for (size_t i = 0; i < weights.size(); ++i) gain += weights[i] * std::max(0.0, more.covered[i] - covered[i]);
  return gain;
}

}  // namespace

std::vector<size_t> choose_units(const Evidence& evidence, const Ranking& ranking, const ChoiceLimits& limits) {
  if (ranking.best_first.empty() || !about_the_question(evidence, ranking.best_first.front())) return {};
  const double best = ranking.best_first.front().score;
  std::vector<size_t> chosen;
  std::vector<double> covered(ranking.weights.size(), 0);
  size_t words = 0;
  for (const UnitScore& score : ranking.best_first) {
    if (chosen.size() >= limits.units_max || score.score < best * kGainScoreShare) break;
    const Unit& unit = evidence.units[score.unit];
    const bool first = chosen.empty();
    const bool repeats = std::ranges::any_of(chosen, [&](size_t other) {
      return overlaps(evidence.units[other], unit) || same_words(evidence.units[other], unit);
    });
    if (repeats || (!first && !about_the_question(evidence, score))) continue;
    const bool near_tie = score.score >= best - kNearTie;
    const bool adds = gain_of(ranking.weights, covered, score) >= kGainMin;
    if (!first && !near_tie && !adds) continue;
    if (!first && words + words_of(unit) > limits.words_max) continue;
    chosen.push_back(score.unit);
    words += words_of(unit);
    for (size_t i = 0; i < covered.size(); ++i) covered[i] = std::max(covered[i], score.covered[i]);
  }
  // Sources in the order of their best unit, units of one source in the order of its text.
  std::vector<size_t> sources;
  for (const size_t unit : chosen) {
    const size_t source = evidence.units[unit].source;
    if (std::ranges::find(sources, source) == sources.end()) sources.push_back(source);
  }
  const auto place = [&](size_t unit) {
    return std::pair(std::ranges::find(sources, evidence.units[unit].source) - sources.begin(),
                     evidence.units[unit].start);
  };
  std::ranges::sort(chosen, {}, place);
  return chosen;
}

}  // namespace tessera::llm::extractive
