#include "index/lexical/query_plan.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "index/lexical/bm25.h"
#include "index/lexical/term_key.h"

namespace tessera::index {
namespace {

/// Of one dictionary, a prefix looks at this many terms.
constexpr size_t kPrefixLooksMax = 65536;

class Planner {
 public:
  Planner(std::span<const Part> parts, CorpusCounts counts) : parts_(parts), counts_(counts) {}

  QueryPlan plan(const LexicalQuery& query) {
    for (const LexicalQuery::Word& word : query.words) words(word, true);
    for (const LexicalQuery::Clause& clause : query.clauses) add(clause);
    find_terms();
    std::vector<uint32_t> order = rank();
    return build(order);
  }

 private:
  /// The terms a word stands for, by number in terms_.
  std::vector<uint32_t> words(const LexicalQuery::Word& word, bool scores) {
    if (!word.prefix) return {term(word.term, scores ? word.count : 0)};
    std::vector<uint32_t> out;
    for (const std::string& full : expand(word.term)) out.push_back(term(full, scores ? word.count : 0));
    return out;
  }

  uint32_t term(const std::string& text, uint32_t count) {
    const auto [at, fresh] = by_text_.try_emplace(text, static_cast<uint32_t>(terms_.size()));
    if (fresh) terms_.push_back({text, 0, 0, 0});
    terms_[at->second].count += count;
    return at->second;
  }

  void add(const LexicalQuery::Clause& clause) {
    std::vector<uint32_t> sequence;
    for (const LexicalQuery::Word& word : clause.words) {
      const std::vector<uint32_t> any = words(word, !clause.excluded);
      if (clause.words.size() == 1) {
        if (clause.excluded) {
          plan_.excluded.insert(plan_.excluded.end(), any.begin(), any.end());
        } else {
          plan_.required.push_back(any);
        }
        return;
      }
      if (any.size() != 1) return;
      sequence.push_back(any[0]);
      if (!clause.excluded) plan_.required.push_back(any);
    }
    if (sequence.size() > 1) plan_.phrases.push_back({sequence, clause.excluded});
  }

  /// The most frequent terms that begin with `prefix`, by text among equals.
  [[nodiscard]] std::vector<std::string> expand(const std::string& prefix) const {
    std::unordered_map<std::string, uint64_t> found;
    for (const Part& part : parts_) {
      if (part.live) {
        expand_live(part, prefix, found);
      } else {
        expand_file(part, prefix, found);
      }
    }
    std::vector<std::pair<std::string, uint64_t>> all(found.begin(), found.end());
    const auto better = [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    };
    const size_t kept = std::min(all.size(), kPrefixTermsMax);
    std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(kept), all.end(), better);
    std::vector<std::string> out;
    for (size_t i = 0; i < kept; ++i) out.push_back(std::move(all[i].first));
    return out;
  }

  static void expand_live(const Part& part, std::string_view prefix, std::unordered_map<std::string, uint64_t>& found) {
    for (uint32_t number = 0; number < part.live->terms(); ++number) {
      if (!part.live->term(number).starts_with(prefix)) continue;
      const uint32_t df = part.rows_with(number);
      if (df > 0) found[std::string(part.live->term(number))] += df;
    }
  }

  static void expand_file(const Part& part, std::string_view prefix, std::unordered_map<std::string, uint64_t>& found) {
    if (part.file->terms() == 0) return;
    uint32_t place = part.file->group_before(prefix);
    TermWalk terms = part.file->walk(place);
    for (size_t looks = 0; looks < kPrefixLooksMax && place < part.file->terms() && terms.next(); ++looks, ++place) {
      if (terms.term().starts_with(prefix)) {
        const uint32_t number = part.file->number_at(place);
        const uint32_t df = number == Segment::kNone ? 0 : part.rows_with(number);
        if (df > 0) found[std::string(terms.term())] += df;
      } else if (terms.term() > prefix) {
        return;
      }
    }
  }

  void find_terms() {
    numbers_.assign(parts_.size() * terms_.size(), QueryPlan::kNoTerm);
    std::vector<uint32_t> hashes;
    hashes.reserve(terms_.size());
    for (const QueryPlan::Term& term : terms_) hashes.push_back(term_hash(term.text));
    for (const Part& part : parts_) {
      for (size_t t = 0; part.file && t < terms_.size(); ++t) part.file->prefetch(hashes[t]);
    }
    for (size_t p = 0; p < parts_.size(); ++p) {
      for (size_t t = 0; t < terms_.size(); ++t) {
        const uint32_t number = parts_[p].find(terms_[t].text, hashes[t]);
        if (number == QueryPlan::kNoTerm) continue;
        const uint32_t df = parts_[p].rows_with(number);
        if (df == 0) continue;
        terms_[t].df += df;
        numbers_[p * terms_.size() + t] = number;
      }
    }
  }

  /// The terms to keep: all that clauses name, and the rarest of the others; those with a weight first, heaviest first.
  std::vector<uint32_t> rank() {
    std::vector<uint32_t> kept;
    for (uint32_t t = 0; t < terms_.size(); ++t) {
      QueryPlan::Term& term = terms_[t];
      if (term.df == 0) continue;
      const double df = static_cast<double>(std::min(term.df, counts_.rows));
      term.weight = static_cast<float>(Bm25::idf(static_cast<double>(counts_.rows), df) * (Bm25::kK1 + 1) * term.count);
      kept.push_back(t);
    }
    if (kept.size() > kQueryTermsMax) {
      std::vector<bool> named(terms_.size());
      for (const auto& group : plan_.required) {
        for (const uint32_t t : group) named[t] = true;
      }
      for (const uint32_t t : plan_.excluded) named[t] = true;
      for (const QueryPlan::Phrase& phrase : plan_.phrases) {
        for (const uint32_t t : phrase.terms) named[t] = true;
      }
      std::ranges::sort(kept, [&](uint32_t a, uint32_t b) {
        if (named[a] != named[b]) return bool{named[a]};
        return terms_[a].df != terms_[b].df ? terms_[a].df < terms_[b].df : terms_[a].text < terms_[b].text;
      });
      while (kept.size() > kQueryTermsMax && !named[kept.back()]) kept.pop_back();
    }
    std::ranges::sort(kept, [&](uint32_t a, uint32_t b) {
      return terms_[a].weight != terms_[b].weight ? terms_[a].weight > terms_[b].weight
                                                  : terms_[a].text < terms_[b].text;
    });
    return kept;
  }

  /// Renumbers everything by `order`.
  QueryPlan build(const std::vector<uint32_t>& order) {
    std::vector<uint32_t> places(terms_.size(), QueryPlan::kNoTerm);
    plan_.numbers.reserve(parts_.size() * order.size());
    for (size_t p = 0; p < parts_.size(); ++p) {
      for (const uint32_t t : order) plan_.numbers.push_back(numbers_[p * terms_.size() + t]);
    }
    for (const uint32_t t : order) {
      places[t] = static_cast<uint32_t>(plan_.terms.size());
      plan_.terms.push_back(std::move(terms_[t]));
    }
    const auto renumber = [&](std::vector<uint32_t>& group) {
      for (uint32_t& t : group) t = places[t];
      return std::erase(group, QueryPlan::kNoTerm) == 0;
    };
    for (auto& group : plan_.required) {
      renumber(group);
      if (group.empty()) plan_.impossible = true;
    }
    renumber(plan_.excluded);
    std::erase_if(plan_.phrases, [&](QueryPlan::Phrase& phrase) {
      if (renumber(phrase.terms)) return false;
      if (!phrase.excluded) plan_.impossible = true;
      return true;
    });
    return std::move(plan_);
  }

  std::span<const Part> parts_;
  CorpusCounts counts_;
  QueryPlan plan_;
  std::vector<QueryPlan::Term> terms_;
  std::vector<uint32_t> numbers_;
  std::unordered_map<std::string, uint32_t> by_text_;
};

}  // namespace

QueryPlan plan_query(const LexicalQuery& query, std::span<const Part> parts, CorpusCounts counts) {
  return Planner(parts, counts).plan(query);
}

}  // namespace tessera::index
