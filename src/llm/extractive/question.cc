#include "llm/extractive/question.h"

#include <algorithm>
#include <array>

namespace tessera::llm::extractive {
namespace {

constexpr size_t kQuestionBytesMax = 2'000;
constexpr size_t kQuestionTermsMax = 48;

bool any_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

Asks asked_by_how(std::string_view next) {
  if (any_of(next, {"many", "much", "large", "big", "tall", "far", "fast", "high", "deep", "heavy", "small", "wide"})) {
    return Asks::quantity;
  }
  if (any_of(next, {"old", "long", "often", "soon"})) return Asks::quantity;
  return Asks::manner;
}

Asks asked_by_what(const std::vector<Term>& words, size_t at) {
  const auto word = [&](size_t i) { return i < words.size() ? std::string_view(words[i].text) : std::string_view(); };
  for (size_t i = at + 1; i < std::min(words.size(), at + 4); ++i) {
    if (any_of(word(i), {"year", "date", "day", "month", "century", "decade", "time", "era", "period"})) {
      return Asks::time;
    }
    if (any_of(word(i), {"number", "percentage", "percent", "amount", "size", "population", "price", "cost", "rate",
                         "length", "height", "distance", "limit", "port", "share"})) {
      return Asks::quantity;
    }
    if (any_of(word(i), {"city", "country", "state", "place", "location", "area", "region", "continent", "river"})) {
      return Asks::place;
    }
    if (any_of(word(i), {"person", "man", "woman", "president", "actor", "singer", "king", "queen", "author", "player",
                         "scientist", "leader"})) {
      return Asks::person;
    }
  }
  if (any_of(word(at + 1), {"is", "are", "was", "were", "does", "s"})) {
    size_t telling = 0;
    for (size_t i = at + 2; i < words.size(); ++i) telling += is_stop_word(words[i].text) ? 0 : 1;
    if (telling > 0 && telling <= 3) return Asks::definition;
  }
  return Asks::thing;
}

Asks asked_by(const std::vector<Term>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i].text;
    const std::string_view next = i + 1 < words.size() ? std::string_view(words[i + 1].text) : std::string_view();
    if (any_of(word, {"who", "whom", "whose"})) return Asks::person;
    if (word == "when") return Asks::time;
    if (word == "where") return Asks::place;
    if (word == "why") return Asks::reason;
    if (word == "how") return asked_by_how(next);
    if (any_of(word, {"what", "which"})) return asked_by_what(words, i);
    if (any_of(word, {"define", "explain", "describe"})) return Asks::definition;
  }
  return Asks::thing;
}

// The noun after "what" or "which" names the kind of the answer and seldom stands beside it.
bool names_answer_kind(const std::vector<Term>& words, size_t at) {
  return at > 0 && any_of(words[at - 1].text, {"what", "which", "whose"});
}

}  // namespace

Question analyse_question(std::string_view text) {
  Question question;
  text = text.substr(0, kQuestionBytesMax);
  question.text = std::string(text);
  const std::vector<Term> words = terms_of(text);
  question.asks = asked_by(words);
  std::ptrdiff_t last = -1;
  size_t last_at = 0;
  for (size_t i = 0; i < words.size() && question.terms.size() < kQuestionTermsMax; ++i) {
    const Term& word = words[i];
    if (is_stop_word(word.text) || (word.text.size() < 2 && !word.digit)) continue;
    QuestionTerm term{word.text, word.stem, 1};
    if (is_weak_word(word.text))
      term.prior = 0.35;
    else if (word.digit || (word.capital && i > 0))
      term.prior = 1.25;
    if (names_answer_kind(words, i)) term.prior *= 0.6;
    auto found = std::ranges::find(question.terms, term.stem, &QuestionTerm::stem);
    const auto index = found - question.terms.begin();
    if (found == question.terms.end()) question.terms.push_back(std::move(term));
    if (last >= 0 && last != index && i - last_at <= 2) {
      question.neighbours.emplace_back(static_cast<size_t>(last), static_cast<size_t>(index));
    }
    last = index;
    last_at = i;
  }
  return question;
}

Question question_of(const std::vector<core::ChatMessage>& messages) {
  Question question;
  bool have_last = false;
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    if (message->role != core::Role::user) continue;
    if (!have_last) {
      question = analyse_question(message->content);
      have_last = true;
      if (std::ranges::any_of(question.terms, [](const QuestionTerm& term) { return term.prior >= 0.6; })) break;
      continue;
    }
    for (QuestionTerm& term : analyse_question(message->content).terms) {
      if (std::ranges::find(question.terms, term.stem, &QuestionTerm::stem) != question.terms.end()) continue;
      term.prior *= 0.5;
      question.terms.push_back(std::move(term));
    }
    question.text = message->content.substr(0, kQuestionBytesMax) + " " + question.text;
    break;
  }
  return question;
}

}  // namespace tessera::llm::extractive
