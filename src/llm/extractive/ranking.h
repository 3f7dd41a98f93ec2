#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/documents.h"
#include "llm/extractive/question.h"
#include "llm/extractive/units.h"

namespace tessera::llm::extractive {

/// Everything the choice of an answer rests on. `meaning` and `meaning_in_context` are the cosines of the question with
/// each unit alone and with the unit before it; empty when no embedder answered.
struct Evidence {
  Question question;
  std::vector<Unit> units;
  std::vector<float> meaning;
  std::vector<float> meaning_in_context;
};

/// How well a unit answers. `covered` has, per question term, how far the unit itself speaks of it (0 to 1);
/// `coverage` is the share of the question's weight that the unit, its neighbours and its headings speak of.
struct UnitScore {
  size_t unit = 0;
  double score = 0;
  double coverage = 0;
  double meaning = 0;
  std::vector<double> covered;
};

/// The ranking's view of the question terms: what each weighs among these sources.
struct Ranking {
  std::vector<UnitScore> best_first;
  std::vector<double> weights;  ///< per question term; sums to 1, absent terms included
};

/// The units of all passages (title and heading path are their context).
std::vector<Unit> units_of(std::span<const core::Passage> sources);

/// Scores every unit: term coverage weighted by rarity among the units (after Sparck Jones' idf), likeness of meaning,
/// signs of the kind of answer asked for, neighbouring terms kept together, and a mild trust in the retrieval order.
Ranking rank_units(const Evidence& evidence, std::span<const core::Passage> sources);

struct ChoiceLimits {
  size_t units_max = 3;
  size_t words_max = 90;
};

/// The units to quote, in reading order; empty when none is about the question.
std::vector<size_t> choose_units(const Evidence& evidence, const Ranking& ranking, const ChoiceLimits& limits);

}  // namespace tessera::llm::extractive
