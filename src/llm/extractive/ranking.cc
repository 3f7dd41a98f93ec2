#include "llm/extractive/ranking.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>

namespace tessera::llm::extractive {
namespace {

// How much a question term counts when not the unit itself but something around it speaks of it.
constexpr double kByHeading = 0.5;
constexpr double kEchoPenalty = 1.0;       // as much as a whole answer is worth
constexpr double kByHeadingOfSteps = 0.9;  // a command says little of itself; its heading asks the question
constexpr double kByPrevious = 0.4;
constexpr double kByPreviousOfPronoun = 0.7;
constexpr double kByNext = 0.15;
constexpr double kByPassage = 0.25;
constexpr double kByTail = 0.8;

// Rarity among a handful of units says little: fewer are taken for this many.
constexpr size_t kRarityUnitsMin = 24;

// What each sign adds to a score whose largest part, coverage, runs from 0 to 1.
constexpr double kMeaningWeight = 0.5;
constexpr double kContextMeaningWeight = 0.25;
constexpr double kNeighboursWeight = 0.1;
constexpr double kKindWeight = 0.1;
constexpr double kRankWeight = 0.12;

std::vector<std::string> heading_stems(const core::Passage& passage) {
  std::vector<std::string> stems;
  for (const std::string_view text : {std::string_view(passage.title), std::string_view(passage.heading_path)}) {
    for (Term& term : terms_of(text)) {
      if (!is_stop_word(term.text)) stems.push_back(std::move(term.stem));
    }
  }
  return stems;
}

// Per question term, how far each distinct stem of the sources speaks of it.
class Likeness {
 public:
  explicit Likeness(const Question& question) : question_(question) {}

  const std::vector<double>& of(const std::string& stem) {
    const auto [at, fresh] = known_.try_emplace(stem);
    if (fresh) {
      at->second.reserve(question_.terms.size());
      for (const QuestionTerm& term : question_.terms) at->second.push_back(stem_likeness(term.stem, stem));
    }
    return at->second;
  }

  void raise(std::vector<double>& into, const std::string& stem, double factor) {
    const std::vector<double>& likeness = of(stem);
    for (size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], likeness[i] * factor);
  }

 private:
  const Question& question_;
  std::unordered_map<std::string, std::vector<double>> known_;
};

void raise_all(std::vector<double>& into, const std::vector<double>& from, double factor) {
  for (size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], from[i] * factor);
}

// Per unit and question term, how far the unit itself (its tail included) speaks of it.
std::vector<std::vector<double>> own_coverage(const Evidence& evidence, Likeness& likeness) {
  std::vector<std::vector<double>> own;
  own.reserve(evidence.units.size());
  for (const Unit& unit : evidence.units) {
    std::vector<double> covered(evidence.question.terms.size(), 0);
    for (const Term& term : unit.terms) likeness.raise(covered, term.stem, 1);
    for (const Term& term : unit.tail_terms) likeness.raise(covered, term.stem, kByTail);
    own.push_back(std::move(covered));
  }
  return own;
}

std::vector<double> term_weights(const Question& question, const std::vector<std::vector<double>>& own) {
  const auto units = static_cast<double>(std::max(own.size(), kRarityUnitsMin));
  std::vector<double> weights;
  double sum = 0;
  for (size_t i = 0; i < question.terms.size(); ++i) {
    double holders = 0;
    for (const std::vector<double>& covered : own) holders += covered[i] >= 0.7 ? 1 : 0;
    const double idf = std::log(1 + (units - holders + 0.5) / (holders + 0.5));
    weights.push_back(question.terms[i].prior * idf);
    sum += weights.back();
  }
  if (sum > 0) {
    for (double& weight : weights) weight /= sum;
  }
  return weights;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

bool starts_with_reference(const Unit& unit) {
  if (unit.terms.empty()) return false;
  const std::string_view first = unit.terms.front().text;
  constexpr std::string_view kReferences[] = {"it",    "its",  "he",    "his",  "she",   "her", "they",
                                              "their", "this", "these", "that", "those", "such"};
  return std::ranges::find(kReferences, first) != std::end(kReferences);
}

bool shows_steps(const Unit& unit) {
  return unit.tail_end > unit.end || unit.kind == UnitKind::code;
}

bool in_question(const Question& question, const Term& term) {
  return std::ranges::any_of(question.terms,
                             [&](const QuestionTerm& asked) { return stem_likeness(asked.stem, term.stem) > 0; });
}

bool is_preposition_of_place(std::string_view word) {
  constexpr std::string_view kPlace[] = {"in", "at", "near", "from", "to", "on", "outside", "inside", "of"};
  return std::ranges::find(kPlace, word) != std::end(kPlace);
}

// Whether the unit holds something new of the kind asked for: 1 yes, 0 no, 0.5 when the kind leaves no trace in words;
// more when its form is the very answer (commands for "how do I", "X is ..." for "what is X").
double kind_sign(const Question& question, const Unit& unit) {
  const auto some = [&](auto&& test) {
    for (size_t i = 0; i < unit.terms.size(); ++i) {
      if (test(i, unit.terms[i]) && !in_question(question, unit.terms[i])) return 1.0;
    }
    return 0.0;
  };
  const auto name = [&](size_t i, const Term& term) { return i > 0 && term.capital && !is_stop_word(term.text); };
  switch (question.asks) {
    case Asks::person:
      return some(name);
    case Asks::time:
      return some([](size_t, const Term& term) { return term.digit || is_time_word(term.text); });
    case Asks::quantity:
      return some([](size_t, const Term& term) { return term.digit || is_number_word(term.text); });
    case Asks::place:
      return some([&](size_t i, const Term& term) {
        return i > 0 && term.capital && (is_preposition_of_place(unit.terms[i - 1].text) || name(i, term));
      });
    case Asks::reason:
      return some([](size_t, const Term& term) {
        return term.text == "because" || term.text == "due" || term.text == "since" || term.text == "reason" ||
               term.text == "therefore" || term.text == "so" || term.text == "cause" || term.text == "caused";
      });
    case Asks::manner:
      return unit.tail_end > unit.end || unit.kind == UnitKind::code ? 1.0 : 0.5;
    case Asks::definition: {
      // "X is ...": the subject comes first.
      for (size_t i = 1; i < std::min<size_t>(unit.terms.size(), 8); ++i) {
        const std::string_view word = unit.terms[i].text;
        const bool defines = word == "is" || word == "are" || word == "was" || word == "means" || word == "refers";
        if (defines && in_question(question, unit.terms[i - 1])) return 2.5;
      }
      return 0.5;
    }
    case Asks::thing:
      return 0.5;
  }
  return 0.5;
}

// The share of the question's neighbouring word pairs that stand close together in the unit.
double neighbours_kept(const Question& question, const Unit& unit, Likeness& likeness) {
  if (question.neighbours.empty()) return 0;
  size_t kept = 0;
  for (const auto& [a, b] : question.neighbours) {
    std::ptrdiff_t seen_a = -10;
    std::ptrdiff_t seen_b = -10;
    for (size_t i = 0; i < unit.terms.size(); ++i) {
      const std::vector<double>& like = likeness.of(unit.terms[i].stem);
      if (like[a] >= 0.7) seen_a = static_cast<std::ptrdiff_t>(i);
      if (like[b] >= 0.7) seen_b = static_cast<std::ptrdiff_t>(i);
      if (seen_a >= 0 && seen_b >= 0 && std::abs(seen_a - seen_b) <= 2) {
        ++kept;
        break;
      }
    }
  }
  return static_cast<double>(kept) / static_cast<double>(question.neighbours.size());
}

// Whether the words hold the whole question, word for word: a text that asks it (an FAQ's heading, an example) does not
// answer it.
bool echoes(const std::vector<Term>& asked, const std::vector<Term>& words) {
  constexpr size_t kWordsMin = 3;  // shorter ones are names and phrases that an answer may well hold
  return asked.size() >= kWordsMin && !std::ranges::search(words, asked, {}, &Term::text, &Term::text).empty();
}

// What makes a unit a poor quotation whatever it speaks of.
double form_penalty(const Question& question, const Unit& unit, std::string_view text) {
  double penalty = 0;
  if (!text.empty() && text[unit.end - 1] == '?') penalty += 0.3;
  if (unit.tail_end == unit.end && unit.end > 0 && text[unit.end - 1] == ':') penalty += 0.2;
  size_t fresh = 0;
  for (const Term& term : unit.terms) fresh += is_stop_word(term.text) || in_question(question, term) ? 0 : 1;
  for (const Term& term : unit.tail_terms) fresh += is_stop_word(term.text) ? 0 : 1;
  if (fresh == 0) penalty += 0.4;
  if (fresh == 1) penalty += 0.05;
  if (unit.terms.size() < 4 && unit.kind == UnitKind::sentence) penalty += 0.1;
  if (unit.terms.size() > 50) penalty += 0.1;
  return penalty;
}

}  // namespace

std::vector<Unit> units_of(std::span<const core::Passage> sources) {
  std::vector<Unit> units;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::vector<Unit> more = cut_units(sources[i].text, i, heading_stems(sources[i]), units.size());
    units.insert(units.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  return units;
}

Ranking rank_units(const Evidence& evidence, std::span<const core::Passage> sources) {
  const Question& question = evidence.question;
  const std::vector<Term> asked = terms_of(question.text);
  Likeness likeness(question);
  const std::vector<std::vector<double>> own = own_coverage(evidence, likeness);
  Ranking ranking;
  ranking.weights = term_weights(question, own);

  std::vector<std::vector<double>> by_source(sources.size(), std::vector<double>(question.terms.size(), 0));
  for (size_t i = 0; i < own.size(); ++i) raise_all(by_source[evidence.units[i].source], own[i], 1);

  for (size_t i = 0; i < evidence.units.size(); ++i) {
    const Unit& unit = evidence.units[i];
    std::vector<double> covered = own[i];
    const bool steps = question.asks == Asks::manner && shows_steps(unit);
    for (const std::string& stem : unit.context) likeness.raise(covered, stem, steps ? kByHeadingOfSteps : kByHeading);
    if (unit.previous >= 0) {
      raise_all(covered, own[static_cast<size_t>(unit.previous)],
                starts_with_reference(unit) ? kByPreviousOfPronoun : kByPrevious);
    }
    if (unit.next >= 0) raise_all(covered, own[static_cast<size_t>(unit.next)], kByNext);
    raise_all(covered, by_source[unit.source], kByPassage);

    UnitScore score;
    score.unit = i;
    score.coverage = dot(ranking.weights, covered);
    const double alone = evidence.meaning.empty() ? 0 : evidence.meaning[i];
    const double in_context = evidence.meaning_in_context.empty() ? 0 : evidence.meaning_in_context[i];
    score.meaning = std::max(alone, in_context);
    const double rank = 1.0 / (1.0 + static_cast<double>(unit.source));
    score.score = score.coverage + kMeaningWeight * alone + kContextMeaningWeight * in_context +
                  kNeighboursWeight * neighbours_kept(question, unit, likeness) +
                  kKindWeight * kind_sign(question, unit) + kRankWeight * rank -
                  form_penalty(question, unit, sources[unit.source].text);
    if (echoes(asked, unit.terms) || echoes(asked, unit.tail_terms)) score.score -= kEchoPenalty;
    score.covered = own[i];
    ranking.best_first.push_back(std::move(score));
  }
  std::ranges::sort(ranking.best_first, [](const UnitScore& x, const UnitScore& y) {
    return x.score != y.score ? x.score > y.score : x.unit < y.unit;
  });
  return ranking;
}

}  // namespace tessera::llm::extractive
