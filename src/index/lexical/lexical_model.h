#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "index/lexical/bm25.h"
#include "index/lexical/segmented_index.h"
#include "text/words.h"

namespace tessera::index {

/// The plainest possible lexical index, for tests: keeps every row's terms and scores all of them in double precision.
class LexicalModel {
 public:
  struct ModelRow {
    std::vector<std::vector<std::string>> parts;
    std::map<std::string, uint32_t> tfs;
    uint32_t length = 0;
    bool live = false;
    bool gone = false;
  };
  std::vector<ModelRow> rows;

  void append(const RowText& text) {
    ModelRow row;
    for (const std::string_view part : text.parts) {
      auto& words = row.parts.emplace_back();
      text::for_each_word(part, [&](const text::Word& word) {
        words.emplace_back(word.term);
        ++row.tfs[words.back()];
        ++row.length;
      });
    }
    rows.push_back(std::move(row));
  }
  [[nodiscard]] uint64_t rows_with(const std::string& term) const {
    return static_cast<uint64_t>(
        std::ranges::count_if(rows, [&](const ModelRow& r) { return r.live && r.tfs.contains(term); }));
  }
  /// All matches among the rows of `allowed`, best first.
  template <class Allowed>
  std::vector<std::pair<Row, double>> search(const LexicalQuery& query, Allowed&& allowed) const {
    std::map<std::string, uint32_t> scoring;
    for (const auto& word : query.words) {
      for (const auto& term : expand(word)) scoring[term] += word.count;
    }
    for (const auto& clause : query.clauses) {
      for (const auto& word : clause.words) {
        if (clause.excluded) continue;
        for (const auto& term : expand(word)) scoring[term] += word.count;
      }
    }
    double live = 0;
    double length = 0;
    for (const ModelRow& row : rows) {
      live += row.live ? 1 : 0;
      length += row.live ? row.length : 0;
    }
    std::map<std::string, double> idf;
    for (const auto& [term, count] : scoring) idf[term] = Bm25::idf(live, static_cast<double>(rows_with(term)));
    std::vector<std::vector<std::string>> any;
    for (const auto& clause : query.clauses)
      any.push_back(clause.words.size() == 1 ? expand(clause.words[0]) : std::vector<std::string>());
    std::vector<std::pair<Row, double>> out;
    for (Row r = 0; r < rows.size(); ++r) {
      const ModelRow& row = rows[r];
      if (!row.live || !allowed(r) || !satisfies(row, query, any)) continue;
      double score = 0;
      for (const auto& [term, count] : scoring) {
        const auto found = row.tfs.find(term);
        if (found == row.tfs.end()) continue;
        const double tf = found->second;
        score += count * idf[term] * tf * (Bm25::kK1 + 1) /
                 (tf + Bm25::kK1 * (1 - Bm25::kB + Bm25::kB * row.length / (length / live)));
      }
      if (score > 0) out.emplace_back(r, score);
    }
    std::ranges::sort(out,
                      [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a < b; });
    return out;
  }

 private:
  [[nodiscard]] std::vector<std::string> expand(const LexicalQuery::Word& word) const {
    if (!word.prefix) return {word.term};
    std::map<std::string, uint64_t> found;
    for (const ModelRow& row : rows) {
      for (auto at = row.tfs.lower_bound(word.term);
           row.live && at != row.tfs.end() && at->first.starts_with(word.term); ++at) {
        ++found[at->first];
      }
    }
    std::vector<std::pair<std::string, uint64_t>> all(found.begin(), found.end());
    std::ranges::sort(all,
                      [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a < b; });
    std::vector<std::string> out;
    for (size_t i = 0; i < std::min(all.size(), kPrefixTermsMax); ++i) out.push_back(all[i].first);
    return out;
  }
  static bool satisfies(const ModelRow& row, const LexicalQuery& query,
                        const std::vector<std::vector<std::string>>& any) {
    for (size_t i = 0; i < query.clauses.size(); ++i) {
      const LexicalQuery::Clause& clause = query.clauses[i];
      bool has = false;
      for (const auto& term : any[i]) has = has || row.tfs.contains(term);
      if (clause.words.size() > 1) {
        std::vector<std::string> phrase;
        for (const auto& word : clause.words) phrase.push_back(word.term);
        for (const auto& part : row.parts) has = has || !std::ranges::search(part, phrase).empty();
      }
      if (has == clause.excluded) return false;
    }
    return true;
  }
};

/// Random rows and queries over words by Zipf's law.
class LexicalWorld {
 public:
  explicit LexicalWorld(uint64_t seed, double vocabulary = 3000) : random(seed), vocabulary_(vocabulary) {}
  std::mt19937_64 random;

  uint64_t below(uint64_t bound) { return random() % bound; }
  std::string word() {
    const double u = static_cast<double>(below(1 << 20)) / (1 << 20);
    const auto number = static_cast<uint64_t>(std::pow(vocabulary_, u));
    return number % 5 == 0 ? fmt::format("longerword{}", number) : fmt::format("w{}", number);
  }
  std::string words(size_t count) {
    std::string out;
    for (size_t i = 0; i < count; ++i) out += word() + " ";
    return out;
  }
  /// A query in the language of parse_query.
  std::string query() {
    std::string out;
    for (size_t n = 1 + below(6); n > 0; --n) {
      const uint64_t kind = below(12);
      if (kind < 6) out += word();
      if (kind == 6) out += "+" + word();
      if (kind == 7) out += "-" + word();
      if (kind == 8) out += "\"" + word() + " " + word() + "\"";
      if (kind == 9) out += "w" + std::to_string(below(30)) + "*";
      if (kind == 10) out += "+w" + std::to_string(below(30)) + "*";
      if (kind == 11) out += "-\"" + word() + " " + word() + "\"";
      out += " ";
    }
    return out;
  }

 private:
  double vocabulary_;
};

}  // namespace tessera::index
