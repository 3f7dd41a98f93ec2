#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/chat_model.h"
#include "llm/extractive/words.h"

namespace tessera::llm::extractive {

/// What kind of thing would answer.
enum class Asks { thing, person, time, quantity, place, reason, manner, definition };

/// A word of the question that a good answer speaks of. `prior` says how telling it is before any document is seen.
struct QuestionTerm {
  std::string text;
  std::string stem;
  double prior = 1;
};

/// A question taken apart: its telling words, once each, neighbours among them, and what it asks for.
struct Question {
  std::string text;
  std::vector<QuestionTerm> terms;
  std::vector<std::pair<size_t, size_t>> neighbours;  ///< indices into terms that stand side by side
  Asks asks = Asks::thing;
};

/// Takes a question apart. Pure.
Question analyse_question(std::string_view text);

/// The last user message of a conversation; when it names nothing itself ("And why?"), the words of the one before
/// help with half their weight.
Question question_of(const std::vector<core::ChatMessage>& messages);

}  // namespace tessera::llm::extractive
