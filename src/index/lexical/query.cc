#include "index/lexical/query.h"

#include <algorithm>
#include <unordered_map>

#include "index/lexical/analyzer.h"
#include "index/lexical/bm25.h"

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

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Reads a query from front to back.
class QueryParser {
 public:
  QueryParser(std::string_view text, bool stemming) : text_(text), stemming_(stemming), words_(query_) {}

  LexicalQuery parse() {
    while (true) {
      while (pos_ < text_.size() && is_space(text_[pos_])) ++pos_;
      if (pos_ == text_.size()) return std::move(query_);
      read_item();
    }
  }

 private:
  enum class Mark { none, plus, minus };

  void read_item() {
    Mark mark = Mark::none;
    const size_t next = pos_ + 1;
    if ((text_[pos_] == '+' || text_[pos_] == '-') && next < text_.size() && !is_space(text_[next])) {
      mark = text_[pos_] == '+' ? Mark::plus : Mark::minus;
      ++pos_;
    }
    if (text_[pos_] == '"') {
      const size_t close = no_more_quotes_ ? std::string_view::npos : text_.find('"', pos_ + 1);
      if (close != std::string_view::npos) {
        const std::string_view inside = text_.substr(pos_ + 1, close - pos_ - 1);
        pos_ = close + 1;
        add_clause(terms_of(inside, stemming_), mark == Mark::minus, false);
        return;
      }
      no_more_quotes_ = true;  // an open quote is a mark without meaning
      ++pos_;
    }
    const size_t start = pos_;
    while (pos_ < text_.size() && !is_space(text_[pos_]) && (text_[pos_] != '"' || no_more_quotes_)) ++pos_;
    add_word(text_.substr(start, pos_ - start), mark);
  }

  void add_word(std::string_view word, Mark mark) {
    const bool prefix = word.size() > 1 && word.ends_with('*');
    if (prefix) word.remove_suffix(1);
    std::vector<std::string> terms = terms_of(word, stemming_ && !prefix);
    if (mark == Mark::none) {
      for (size_t i = 0; i < terms.size(); ++i) words_.add(terms[i], prefix && i + 1 == terms.size());
      return;
    }
    add_clause(std::move(terms), mark == Mark::minus, prefix);
  }

  /// One term, perhaps a prefix, or several as a phrase.
  void add_clause(std::vector<std::string> terms, bool excluded, bool prefix) {
    if (terms.empty()) return;
    if (query_.clauses.size() >= kQueryClausesMax) return;
    if (terms.size() > kPhraseWordsMax) terms.resize(kPhraseWordsMax);
    LexicalQuery::Clause& clause = query_.clauses.emplace_back();
    clause.excluded = excluded;
    for (std::string& term : terms) clause.words.push_back({std::move(term), 1, prefix && terms.size() == 1});
  }

  static std::vector<std::string> terms_of(std::string_view text, bool stemming) {
    std::vector<std::string> terms;
    analyze(text, stemming, [&](std::string_view term) { terms.emplace_back(term); });
    return terms;
  }

  std::string_view text_;
  bool stemming_;
  size_t pos_ = 0;
  bool no_more_quotes_ = false;
  LexicalQuery query_;
  WordList words_;
};

}  // namespace

LexicalQuery parse_query(std::string_view text, bool stemming) {
  return QueryParser(text.substr(0, kQueryBytesMax), stemming).parse();
}

LexicalQuery plain_query(std::string_view text, bool stemming) {
  LexicalQuery query;
  WordList words(query);
  analyze(text.substr(0, kQueryBytesMax), stemming, [&](std::string_view term) { words.add(term); });
  return query;
}

}  // namespace tessera::index
