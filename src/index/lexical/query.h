#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::index {

/// What a search looks for. A row matches if it has at least one of the words or required clauses, all required clauses
/// and none of the excluded ones; each word of `words` and of required clauses adds its BM25 score. A value.
struct LexicalQuery {
  struct Word {
    std::string term;
    uint32_t count = 1;   ///< times in the query
    bool prefix = false;  ///< stands for the terms that begin so: the 64 most frequent ones, each scored as itself
  };
  struct Clause {
    std::vector<Word>
        words;  ///< several: a phrase, adjacent and in this order within one part of a row; no prefixes then
    bool excluded = false;  ///< else required
  };
  std::vector<Word> words;
  std::vector<Clause> clauses;

  [[nodiscard]] bool empty() const { return words.empty() && clauses.empty(); }
};

/// Terms a prefix stands for.
inline constexpr size_t kPrefixTermsMax = 64;
/// Required and excluded clauses a query keeps, and words a phrase keeps; further ones are dropped.
inline constexpr size_t kQueryClausesMax = 64;
inline constexpr size_t kPhraseWordsMax = 64;

/// Reads a user's query with marks (text/query_marks.h): a phrase is required unless excluded; words without a mark are
/// not. A marked word that is several terms ("+e-mail") is a phrase. The first MiB counts. Never fails; linear.
LexicalQuery parse_query(std::string_view text, bool stemming);

/// All of the text as plain words.
LexicalQuery plain_query(std::string_view text, bool stemming);

}  // namespace tessera::index
