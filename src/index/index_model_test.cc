#include "index/index_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "index/lexical/analyzer.h"

namespace tessera::index {
namespace {

std::map<std::string, int> chunk_terms(const core::DocumentWrite& write, const core::Chunk& chunk, bool stemming) {
  std::map<std::string, int> terms;
  const auto text = std::string_view(write.document.text)
                        .substr(static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start));
  analyze(text, stemming, [&](std::string_view term) { ++terms[std::string(term)]; });
  const auto count = [&](std::string_view term) { ++terms[std::string(term)]; };
  analyze(chunk.heading_path, stemming, count);
  const std::string& title = write.document.head.title;
  if (!chunk.heading_path.starts_with(title)) analyze(title, stemming, count);
  return terms;
}

double length_of(const std::map<std::string, int>& terms) {
  double length = 0;
  for (const auto& [term, tf] : terms) length += tf;
  return length;
}

bool by_rank(const core::IndexHit& a, const core::IndexHit& b) {
  return a.score != b.score ? a.score > b.score : a.chunk_key < b.chunk_key;
}

}  // namespace

void IndexModel::apply(const core::StoreChange& change) {
  switch (change.kind) {
    case core::StoreChange::Kind::put: {
      Collection& collection = collections_[change.collection_id];
      collection.stemming = change.settings.stemming;
      if (const size_t dimensions = change.document->dimensions;
          !change.document->vectors.empty() && dimensions != collection.dimensions) {
        for (auto& [key, each] : collection.documents) each.forgotten = true;
        collection.dimensions = dimensions;
      }
      Document document{change.document, {}};
      for (const auto& chunk : change.document->chunks) {
        document.terms.push_back(chunk_terms(*change.document, chunk, collection.stemming));
      }
      collection.documents.insert_or_assign(change.document_key, std::move(document));
      break;
    }
    case core::StoreChange::Kind::remove:
      collections_[change.collection_id].documents.erase(change.document_key);
      break;
    case core::StoreChange::Kind::drop_collection:
      collections_.erase(change.collection_id);
      break;
  }
}

std::vector<core::IndexHit> IndexModel::lexical(const core::IndexQuery& query) const {
  std::vector<core::IndexHit> hits;
  const auto found = collections_.find(query.collection_id);
  if (found == collections_.end()) return hits;
  std::map<std::string, int> wanted;
  analyze(query.text, found->second.stemming, [&](std::string_view term) { ++wanted[std::string(term)]; });
  double rows = 0;
  double length = 0;
  std::map<std::string, double> rows_with;
  for (const auto& [key, document] : found->second.documents) {
    for (const auto& terms : document.terms) {
      ++rows;
      length += length_of(terms);
      for (const auto& [term, count] : wanted) rows_with[term] += terms.contains(term) ? 1 : 0;
    }
  }
  const double average = length / rows;
  for (const auto& [key, document] : found->second.documents) {
    if (query.filter != nullptr && !core::matches(*query.filter, document.write->document.head.metadata)) continue;
    for (size_t i = 0; i < document.terms.size(); ++i) {
      double score = 0;
      bool any = false;
      for (const auto& [term, count] : wanted) {
        const auto at = document.terms[i].find(term);
        if (at == document.terms[i].end()) continue;
        any = true;
        const double idf = std::log(1 + (rows - rows_with[term] + 0.5) / (rows_with[term] + 0.5));
        const double norm = 1.2 * (1 - 0.75 + 0.75 * length_of(document.terms[i]) / average);
        score += count * idf * at->second * 2.2 / (at->second + norm);
      }
      if (any) hits.push_back({document.write->chunks[i].key, key, static_cast<float>(score)});
    }
  }
  std::ranges::sort(hits, by_rank);
  return hits;
}

std::vector<core::IndexHit> IndexModel::dense(const core::IndexQuery& query) const {
  std::vector<core::IndexHit> hits;
  const auto found = collections_.find(query.collection_id);
  if (found == collections_.end()) return hits;
  const auto dot = [](std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
    return sum;
  };
  for (const auto& [key, document] : found->second.documents) {
    if (document.forgotten) continue;
    if (query.filter != nullptr && !core::matches(*query.filter, document.write->document.head.metadata)) continue;
    const size_t n = document.write->dimensions;
    for (size_t i = 0; i < document.terms.size(); ++i) {
      const auto row = std::span(document.write->vectors).subspan(i * n, n);
      const double norms = std::sqrt(dot(row, row) * dot(query.vector, query.vector));
      if (!(norms > 0)) continue;
      hits.push_back({document.write->chunks[i].key, key, static_cast<float>(dot(row, query.vector) / norms)});
    }
  }
  std::ranges::sort(hits, by_rank);
  return hits;
}

size_t IndexModel::dimensions(int64_t collection) const {
  const auto found = collections_.find(collection);
  if (found == collections_.end()) return 0;
  const auto directed = [](const auto& each) {
    return !each.second.forgotten && std::ranges::any_of(each.second.write->vectors, [](float x) { return x != 0; });
  };
  return std::ranges::any_of(found->second.documents, directed) ? found->second.dimensions : 0;
}

core::IndexStats IndexModel::stats(int64_t collection) const {
  core::IndexStats stats;
  const auto found = collections_.find(collection);
  if (found == collections_.end()) return stats;
  std::set<std::string> terms;
  for (const auto& [key, document] : found->second.documents) {
    ++stats.documents;
    stats.chunks += static_cast<int64_t>(document.terms.size());
    for (const auto& chunk : document.terms) {
      for (const auto& [term, tf] : chunk) terms.insert(term);
    }
  }
  stats.terms = static_cast<int64_t>(terms.size());
  return stats;
}

std::vector<int64_t> IndexModel::documents(int64_t collection) const {
  std::vector<int64_t> keys;
  if (const auto found = collections_.find(collection); found != collections_.end()) {
    for (const auto& [key, document] : found->second.documents) keys.push_back(key);
  }
  return keys;
}

std::string IndexWorld::words(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    const double u = static_cast<double>(below(1 << 20) + 1) / (1 << 20);
    text += fmt::format("w{} ", static_cast<int>(std::pow(5000.0, u)));  // density 1/x
  }
  return text;
}

std::vector<float> IndexWorld::vector() {
  std::vector<float> out(dimensions_);
  if (below(50) == 0) return out;  // no direction
  std::mt19937_64 centre(below(5));
  std::normal_distribution<float> normal;
  double squares = 0;
  for (float& x : out) {
    x = normal(centre) + 0.4F * normal(random_);
    squares += double{x} * x;
  }
  for (float& x : out) x = static_cast<float>(x / std::sqrt(squares));
  return out;
}

core::StoreChange IndexWorld::put(int64_t sequence, int64_t collection, int64_t document, size_t chunks,
                                  size_t words_each) {
  auto write = std::make_shared<core::DocumentWrite>();
  core::DocumentHead& head = write->document.head;
  head.key = document;
  head.collection_id = collection;
  if (below(2) == 0) head.title = words(3);
  head.metadata["colour"] = std::string(below(2) == 0 ? "red" : "blue");
  head.metadata["year"] = static_cast<int64_t>(1990 + below(40));
  head.metadata["rare"] = below(40) == 0;
  head.metadata["rating"] = static_cast<double>(below(10)) / 2;
  if (below(3) == 0) head.metadata["tags"] = std::vector<std::string>{"a", below(2) == 0 ? "b" : "c"};
  for (size_t i = 0; i < chunks; ++i) {
    core::Chunk chunk;
    chunk.key = next_chunk_++;
    chunk.document_key = document;
    chunk.ordinal = static_cast<int64_t>(i);
    chunk.start = static_cast<int64_t>(write->document.text.size());
    write->document.text += words(1 + below(words_each * 2));
    chunk.end = static_cast<int64_t>(write->document.text.size());
    if (below(3) == 0) chunk.heading_path = words(2);
    write->chunks.push_back(std::move(chunk));
    const std::vector<float> row = vector();
    write->vectors.insert(write->vectors.end(), row.begin(), row.end());
  }
  write->dimensions = dimensions_;
  core::StoreChange change;
  change.sequence = sequence;
  change.collection_id = collection;
  change.document_key = document;
  change.document = std::move(write);
  return change;
}

core::StoreChange IndexWorld::remove(int64_t sequence, int64_t collection, int64_t document) {
  core::StoreChange change;
  change.sequence = sequence;
  change.kind = core::StoreChange::Kind::remove;
  change.collection_id = collection;
  change.document_key = document;
  return change;
}

core::StoreChange IndexWorld::drop(int64_t sequence, int64_t collection) {
  core::StoreChange change;
  change.sequence = sequence;
  change.kind = core::StoreChange::Kind::drop_collection;
  change.collection_id = collection;
  return change;
}

core::Filter IndexWorld::filter() {
  const auto leaf = [](core::Filter::Op op, std::string field, core::MetadataValue value) {
    core::Filter filter;
    filter.op = op;
    filter.field = std::move(field);
    filter.values.push_back(std::move(value));
    return filter;
  };
  using Op = core::Filter::Op;
  switch (below(6)) {
    case 0:
      return leaf(Op::eq, "colour", std::string("red"));
    case 1:
      return leaf(Op::gte, "year", static_cast<int64_t>(1990 + below(45)));
    case 2:
      return leaf(Op::eq, "rare", true);
    case 3:
      return leaf(Op::eq, "tags", std::string("b"));
    case 4:
      return leaf(Op::ne, "missing", std::string("x"));
    default: {
      core::Filter both;
      both.children = {leaf(Op::lt, "rating", 3.0), leaf(Op::eq, "colour", std::string("blue"))};
      return both;
    }
  }
}

std::string difference(const std::vector<core::IndexHit>& got, const std::vector<core::IndexHit>& all, size_t k) {
  if (got.size() != std::min(k, all.size())) {
    return fmt::format("{} hits for k {} and {} matches", got.size(), k, all.size());
  }
  std::map<int64_t, core::IndexHit> by_key;
  for (const auto& hit : all) by_key[hit.chunk_key] = hit;
  std::set<int64_t> seen;
  for (size_t i = 0; i < got.size(); ++i) {
    const auto it = by_key.find(got[i].chunk_key);
    if (it == by_key.end()) return fmt::format("chunk {} does not match", got[i].chunk_key);
    if (!seen.insert(got[i].chunk_key).second) return fmt::format("chunk {} comes twice", got[i].chunk_key);
    if (it->second.document_key != got[i].document_key) return "the document is wrong";
    const float tolerance = 1e-4F * std::max(1.0F, std::fabs(all[i].score));
    if (std::fabs(it->second.score - got[i].score) > tolerance) {
      return fmt::format("chunk {} scores {} instead of {}", got[i].chunk_key, got[i].score, it->second.score);
    }
    if (std::fabs(all[i].score - got[i].score) > tolerance) {
      return fmt::format("place {} scores {} instead of {}", i, got[i].score, all[i].score);
    }
    if (i > 0 && by_rank(got[i], got[i - 1])) return fmt::format("places {} and {} are out of order", i - 1, i);
  }
  return {};
}

}  // namespace tessera::index
