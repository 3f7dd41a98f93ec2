#pragma once

#include <string>

#include "app/backend.h"

namespace tessera::app {

/// Results for people: rank, title, score, the passage shortened.
std::string search_text(const SearchAnswer& answer, const Terminal& terminal);
/// As POST /api/search answers.
std::string search_json(const SearchAnswer& answer);

/// An answer with its sources and where the time went; without the answer itself when it was `printed` already.
std::string answer_text(const Answer& answer, const Terminal& terminal, bool printed);
std::string answer_json(const Answer& answer);

}  // namespace tessera::app
