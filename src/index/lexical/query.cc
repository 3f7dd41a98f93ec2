#include "index/lexical/query.h"

#include <unordered_map>

#include "index/lexical/analyzer.h"
#include "index/lexical/bm25.h"
#include "text/query_marks.h"

namespace tessera::index {
namespace {

/// Gathers words, each once.
class WordList {
 public:
  explicit WordList(LexicalQuery& query) : query_(query) {}

  void add(std::string_view term, bool prefix = false) {
    std::string key(term);
    if (prefix) key += '*';
    const auto [at, fresh] = places_.try_emplace(std::move(key), query_.words.size());
    if (fresh) {
      query_.words.push_back({std::string(term), 1, prefix});
    } else {
      ++query_.words[at->second].count;
    }
  }

 private:
  LexicalQuery& query_;
  std::unordered_map<std::string, size_t> places_;
};

std::vector<std::string> terms_of(std::string_view text, bool stemming) {
  std::vector<std::string> terms;
  analyze(text, stemming, [&](std::string_view term) { terms.emplace_back(term); });
  return terms;
}

/// One term, perhaps a prefix, or several as a phrase.
void add_clause(LexicalQuery& query, std::vector<std::string> terms, const text::MarkedText& item) {
  if (terms.empty() || query.clauses.size() >= kQueryClausesMax) return;
  if (terms.size() > kPhraseWordsMax) terms.resize(kPhraseWordsMax);
  LexicalQuery::Clause& clause = query.clauses.emplace_back();
  clause.excluded = item.mark == text::MarkedText::Mark::excluded;
  for (std::string& term : terms) clause.words.push_back({std::move(term), 1, item.prefix && terms.size() == 1});
}

}  // namespace

LexicalQuery parse_query(std::string_view query_text, bool stemming) {
  LexicalQuery query;
  WordList words(query);
  text::QueryMarks marks(query_text.substr(0, kQueryBytesMax));
  for (text::MarkedText item; marks.next(item);) {
    std::vector<std::string> terms = terms_of(item.text, stemming && !item.prefix);
    if (item.phrase || item.mark != text::MarkedText::Mark::none) {
      add_clause(query, std::move(terms), item);
      continue;
    }
    for (size_t i = 0; i < terms.size(); ++i) words.add(terms[i], item.prefix && i + 1 == terms.size());
  }
  return query;
}

LexicalQuery plain_query(std::string_view text, bool stemming) {
  LexicalQuery query;
  WordList words(query);
  analyze(text.substr(0, kQueryBytesMax), stemming, [&](std::string_view term) { words.add(term); });
  return query;
}

}  // namespace tessera::index
