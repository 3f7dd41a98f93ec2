#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "index/lexical/part.h"
#include "index/lexical/query.h"

namespace tessera::index {

/// A query against certain parts: its known terms with their weights, and what the clauses ask of them.
struct QueryPlan {
  static constexpr uint32_t kNoTerm = 0xFFFFFFFF;
  struct Term {
    std::string text;
    uint64_t df = 0;
    uint32_t count = 0;  ///< times in the query; 0: only excludes
    float weight = 0;    ///< idf * (k1 + 1) * count
  };
  struct Phrase {
    std::vector<uint32_t> terms;
    bool excluded = false;
  };
  std::vector<Term> terms;                      ///< those with a weight first, heaviest first: the order of all sums
  std::vector<uint32_t> numbers;                ///< [part * terms.size() + term]: its number there, or kNoTerm
  std::vector<std::vector<uint32_t>> required;  ///< a row has one of each
  std::vector<uint32_t> excluded;               ///< a row has none
  std::vector<Phrase> phrases;
  bool impossible = false;  ///< something required does not occur
};

struct CorpusCounts {
  uint64_t rows = 0;
  double average_length = 1;
};

QueryPlan plan_query(const LexicalQuery& query, std::span<const Part> parts, CorpusCounts counts);

}  // namespace tessera::index
