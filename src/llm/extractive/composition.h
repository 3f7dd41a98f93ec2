#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/documents.h"
#include "llm/extractive/units.h"

namespace tessera::llm::extractive {

/// The answer as Markdown: the chosen units verbatim, neighbours merged, each quotation followed by its marker "[n]".
/// Bracketed numbers of the documents themselves are left out, so that every marker outside of code is ours.
std::string compose_answer(std::span<const core::Passage> sources, const std::vector<Unit>& units,
                           const std::vector<size_t>& chosen);

/// Cuts an answer into pieces of a few words for streaming; together they are the answer. Never inside a character.
std::vector<std::string_view> stream_pieces(std::string_view answer);

}  // namespace tessera::llm::extractive
