#include "index/lexical/lexical_index.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "index/lexical/analyzer.h"

namespace tessera::index {

size_t LexicalIndex::memory_bytes() const {
  size_t bytes = dictionary.memory_bytes() + lists.capacity() * sizeof(PostingList);
  for (const PostingList& list : lists) bytes += list.memory_bytes();
  return bytes;
}

std::vector<QueryTerm> query_terms(const LexicalIndex& index, const RowTable& rows, std::string_view text,
                                   bool stemming) {
  std::unordered_map<uint32_t, uint32_t> counts;
  analyze(text.substr(0, kQueryBytesMax), stemming, [&](std::string_view term) {
    const uint32_t id = index.dictionary.find(term);
    if (id != Dictionary::kNone && index.lists[id].live > 0) ++counts[id];
  });
  std::vector<std::pair<uint32_t, uint32_t>> kept(counts.begin(), counts.end());
  std::ranges::sort(kept, [&](const auto& a, const auto& b) {
    const uint32_t x = index.lists[a.first].live;
    const uint32_t y = index.lists[b.first].live;
    return x != y ? x < y : index.dictionary.term(a.first) < index.dictionary.term(b.first);
  });
  if (kept.size() > kQueryTermsMax) kept.resize(kQueryTermsMax);
  std::vector<QueryTerm> terms;
  terms.reserve(kept.size());
  for (const auto& [id, count] : kept) {
    const double idf = Bm25::idf(static_cast<double>(rows.live_rows), index.lists[id].live);
    terms.push_back({&index.lists[id], id, static_cast<float>(idf * (Bm25::kK1 + 1) * count)});
  }
  std::ranges::sort(terms, [](const QueryTerm& a, const QueryTerm& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.number < b.number;
  });
  return terms;
}

}  // namespace tessera::index
