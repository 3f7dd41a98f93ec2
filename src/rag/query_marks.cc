#include "rag/query_marks.h"

#include <algorithm>
#include <unordered_set>

#include "text/query_marks.h"

namespace tessera::rag {
namespace {

using base::Code;
using core::SearchMode;

constexpr double kRecallMin = 0.5;
constexpr size_t kEfMax = 10'000;

/// Letters and digits; what is not ASCII counts as a letter.
bool is_word(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    return static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
  });
}

base::Result<> refuse(const char* field, std::string message) {
  return base::fail(Code::invalid, "INVALID_FIELD", std::move(message), "", field);
}

}  // namespace

std::string words_of_marked(std::string_view query) {
  std::string words;
  text::QueryMarks marks(query);
  for (text::MarkedText item; marks.next(item);) {
    if (item.mark == text::MarkedText::Mark::excluded || item.text.empty()) continue;
    if (!words.empty()) words += ' ';
    words += item.text;
  }
  return words;
}

base::Result<> check_engine_choice(const core::RetrievalRequest& request) {
  if (request.syntax == core::QuerySyntax::marks) {
    if (request.mode == SearchMode::dense) {
      return refuse("syntax",
                    "Phrases and marks are for words; ask for the mode hybrid or lexical, or leave out syntax.");
    }
    if (!is_word(words_of_marked(request.query))) {
      return base::fail(Code::invalid, "NOTHING_TO_LOOK_FOR",
                        "The query says what to leave out, but not what to look for; add a word without '-'.", "",
                        "query");
    }
  }
  const char* dense_only = request.recall ? "recall" : request.ef ? "ef_search" : nullptr;
  if (dense_only == nullptr) return {};
  if (request.mode == SearchMode::lexical) {
    return refuse(dense_only,
                  std::string(dense_only) +
                      " is for vectors, and lexical search has none; leave it out or ask for another mode.");
  }
  if (request.recall && request.ef) {
    return refuse("ef_search", "recall chooses ef_search; give one of the two.");
  }
  if (request.recall && !(*request.recall >= kRecallMin && *request.recall <= 1)) {
    return refuse("recall", "recall is a number from 0.5 to 1.");
  }
  if (request.ef && (*request.ef == 0 || *request.ef > kEfMax)) {
    return refuse("ef_search", "ef_search is a number from 1 to 10000.");
  }
  return {};
}

void keep_matches(std::vector<Ranked>& ranked, const std::vector<core::IndexHit>& lexical) {
  std::unordered_set<int64_t> matches;
  matches.reserve(lexical.size());
  for (const core::IndexHit& hit : lexical) matches.insert(hit.chunk_key);
  std::erase_if(ranked, [&](const Ranked& each) { return !matches.contains(each.chunk_key); });
}

}  // namespace tessera::rag
