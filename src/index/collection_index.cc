#include "index/collection_index.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "index/lexical/analyzer.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

constexpr size_t kSliceChunks = 128;
constexpr Row kRowsMax = 0x7FFFFFFF;
/// Of a title or a heading path, this much is indexed with each chunk.
constexpr size_t kHeadingBytesMax = 1024;

std::string_view chunk_text(const core::DocumentWrite& write, const core::Chunk& chunk) {
  const std::string_view text = write.document.text;
  const auto start = static_cast<size_t>(std::clamp<int64_t>(chunk.start, 0, static_cast<int64_t>(text.size())));
  const auto end = static_cast<size_t>(std::clamp<int64_t>(chunk.end, 0, static_cast<int64_t>(text.size())));
  return start < end ? text.substr(start, end - start) : std::string_view();
}

}  // namespace

/// Some chunks of a document, ready to be appended. New terms are numbered on from the dictionary's size.
struct CollectionIndex::Slice {
  std::vector<int64_t> chunk_keys;
  std::vector<uint32_t> lengths;
  std::vector<RowTerms> terms;
  Dictionary new_terms;
  EncodedVectors vectors;
};

base::Result<size_t> CollectionIndex::prepare_vectors(const core::DocumentWrite& write) {
  const size_t given = write.dimensions;
  if (given == 0 || write.vectors.empty()) return size_t{0};
  if (given > kDimensionsMax || write.vectors.size() != write.chunks.size() * given) {
    return base::fail(base::Code::invalid, "VECTOR_SHAPE",
                      fmt::format("{} numbers do not make {} vectors of {} dimensions (at most {}).",
                                  write.vectors.size(), write.chunks.size(), given, kDimensionsMax));
  }
  if (vectors_.dimensions() == given) return given;
  if (vectors_.dimensions() != 0 && live_vectors_ > 0) {
    return base::fail(base::Code::invalid, "DIMENSION_MISMATCH",
                      fmt::format("The vectors have {} dimensions, the collection {}. Embed with the collection's "
                                  "model, or reindex it with the new one.",
                                  given, vectors_.dimensions()));
  }
  const auto lock = access_.write();
  vectors_.start(given, rows_.size());
  return given;
}

base::Result<> CollectionIndex::put(int64_t document_key, const core::DocumentWrite& write) {
  if (write.chunks.size() > kRowsMax - rows_.size()) {
    const auto lock = access_.write();
    retire(document_key);
    return base::fail(base::Code::exhausted, "COLLECTION_INDEX_FULL",
                      "This collection holds as many chunks as it can. Delete documents or use another collection.");
  }
  const base::Result<size_t> dimensions = prepare_vectors(write);
  const auto document = static_cast<uint32_t>(rows_.slots.size());
  {
    const auto lock = access_.write();
    DocumentSlot& slot = rows_.slots.emplace_back();
    slot.key = document_key;
    slot.first_row = rows_.size();
    slot.rows = static_cast<uint32_t>(write.chunks.size());
    slot.metadata = write.document.head.metadata;
  }
  for (size_t first = 0; first < write.chunks.size(); first += kSliceChunks) {
    const size_t count = std::min(kSliceChunks, write.chunks.size() - first);
    Slice slice;
    make_slice(write, first, count, slice);
    if (dimensions && *dimensions > 0) {
      slice.vectors =
          encode_vectors(std::span(write.vectors).subspan(first * *dimensions, count * *dimensions), *dimensions);
    } else if (vectors_.dimensions() > 0) {
      slice.vectors = encode_nothing(count, vectors_.dimensions());
    }
    const auto lock = access_.write();
    append_slice(slice, document);
  }
  {
    const auto lock = access_.write();
    retire(document_key);
    activate(document_key, document);
  }
  TESSERA_CHECK(dimensions);
  return {};
}

uint32_t CollectionIndex::number_of(std::string_view term, Slice& slice) const {
  const uint32_t known = lexical_.dictionary.find(term);
  if (known != Dictionary::kNone) return known;
  if (!lexical_.dictionary.has_room(slice.new_terms.term_bytes() + term.size())) return Dictionary::kNone;
  const uint32_t fresh = slice.new_terms.insert(term);
  return fresh == Dictionary::kNone ? fresh : lexical_.dictionary.size() + fresh;
}

void CollectionIndex::count_terms(std::string_view text, Slice& slice, RowTerms& terms) {
  analyze(text, stemming_, [&](std::string_view term) {
    const uint32_t id = number_of(term, slice);
    if (id == Dictionary::kNone) return;
    if (id >= row_counts_.size()) {
      row_counts_.resize(id + id / 4 + 64);
      document_counts_.resize(row_counts_.size());
    }
    if (row_counts_[id] == 0) {
      terms.emplace_back(id, 0);
      if (document_counts_[id]++ == 0) document_terms_.push_back(id);
    }
    ++row_counts_[id];
  });
}

void CollectionIndex::make_slice(const core::DocumentWrite& write, size_t first, size_t count, Slice& slice) {
  const std::string_view title = std::string_view(write.document.head.title).substr(0, kHeadingBytesMax);
  for (const core::Chunk& chunk : std::span(write.chunks).subspan(first, count)) {
    RowTerms& terms = slice.terms.emplace_back();
    count_terms(chunk_text(write, chunk), slice, terms);
    count_terms(std::string_view(chunk.heading_path).substr(0, kHeadingBytesMax), slice, terms);
    if (!title.empty() && !chunk.heading_path.starts_with(title)) count_terms(title, slice, terms);
    uint32_t length = 0;
    for (auto& [id, tf] : terms) {
      tf = row_counts_[id];
      row_counts_[id] = 0;
      length += tf;
    }
    slice.chunk_keys.push_back(chunk.key);
    slice.lengths.push_back(length);
  }
}

void CollectionIndex::append_slice(const Slice& slice, uint32_t document) {
  for (uint32_t id = 0; id < slice.new_terms.size(); ++id) lexical_.dictionary.insert(slice.new_terms.term(id));
  lexical_.lists.resize(lexical_.dictionary.size());
  for (size_t i = 0; i < slice.chunk_keys.size(); ++i) {
    const Row row = rows_.size();
    rows_.append(slice.chunk_keys[i], document, slice.lengths[i]);
    for (const auto& [id, tf] : slice.terms[i]) lexical_.lists[id].append(row, tf, slice.lengths[i]);
  }
  if (vectors_.dimensions() > 0) vectors_.append(slice.vectors);
}

void CollectionIndex::activate(int64_t document_key, uint32_t document) {
  DocumentSlot& slot = rows_.slots[document];
  std::ranges::sort(document_terms_);
  uint32_t before = 0;
  for (const uint32_t id : document_terms_) {
    append_varint(slot.terms, id - before);
    append_varint(slot.terms, document_counts_[id]);
    PostingList& list = lexical_.lists[id];
    if (list.live == 0) ++lexical_.live_terms;
    list.live += document_counts_[id];
    document_counts_[id] = 0;
    before = id;
  }
  slot.terms.shrink_to_fit();
  document_terms_.clear();
  rows_.set_live(document, true);
  live_vectors_ += vectors_.count(slot.first_row, slot.rows);
  slot_of_[document_key] = document;
}

void CollectionIndex::retire(int64_t document_key) {
  const auto found = slot_of_.find(document_key);
  if (found == slot_of_.end()) return;
  DocumentSlot& slot = rows_.slots[found->second];
  VarintReader reader(slot.terms);
  uint32_t id = 0;
  while (!reader.at_end()) {
    id += reader.next();
    PostingList& list = lexical_.lists[id];
    list.live -= reader.next();
    if (list.live == 0) --lexical_.live_terms;
  }
  slot.terms = {};
  slot.metadata.clear();
  rows_.set_live(found->second, false);
  live_vectors_ -= vectors_.count(slot.first_row, slot.rows);
  slot_of_.erase(found);
}

void CollectionIndex::remove(int64_t document_key) {
  const auto lock = access_.write();
  retire(document_key);
}

std::vector<core::IndexHit> CollectionIndex::search_lexical(const core::IndexQuery& query, Pruning pruning) const {
  const auto lock = access_.read();
  if (query.k == 0 || rows_.live_rows == 0) return {};
  RowFilter filter(rows_, query.filter);
  const std::vector<QueryTerm> terms = query_terms(lexical_, rows_, query.text, stemming_);
  return score_terms(rows_, terms, query.k, filter, pruning);
}

base::Result<std::vector<core::IndexHit>> CollectionIndex::search_dense(const core::IndexQuery& query,
                                                                        const DotKernels& kernels) const {
  double squares = 0;
  for (const float x : query.vector) squares += double{x} * x;
  if (!std::isfinite(squares)) {
    return base::fail(base::Code::invalid, "VECTOR_NOT_FINITE", "The query vector holds a value that is no number.");
  }
  const auto lock = access_.read();
  if (vectors_.dimensions() == 0) return std::vector<core::IndexHit>();
  if (query.vector.size() != vectors_.dimensions()) {
    return base::fail(base::Code::invalid, "DIMENSION_MISMATCH",
                      fmt::format("The query vector has {} dimensions, the collection {}. Embed the query with the "
                                  "collection's model.",
                                  query.vector.size(), vectors_.dimensions()));
  }
  if (squares < 1e-60 || query.k == 0) return std::vector<core::IndexHit>();
  RowFilter filter(rows_, query.filter);
  return vectors_.search(rows_, query.vector, query.k, filter, kernels);
}

core::IndexStats CollectionIndex::stats() const {
  constexpr size_t kMapNode = 32;
  constexpr size_t kMetadataNode = 160;  // a tree node with a name and a value
  const auto lock = access_.read();
  core::IndexStats stats;
  stats.documents = static_cast<int64_t>(rows_.live_documents);
  stats.chunks = static_cast<int64_t>(rows_.live_rows);
  stats.terms = static_cast<int64_t>(lexical_.live_terms);
  stats.dimensions = static_cast<int64_t>(vectors_.dimensions());
  size_t bytes = lexical_.memory_bytes() + vectors_.memory_bytes();
  bytes += rows_.chunk_keys.capacity() * sizeof(int64_t) + rows_.live.capacity() * sizeof(uint64_t);
  bytes += (rows_.documents.capacity() + rows_.lengths.capacity()) * sizeof(uint32_t);
  bytes += rows_.slots.capacity() * sizeof(DocumentSlot) + rows_.live_documents * kMapNode;
  for (const DocumentSlot& slot : rows_.slots) bytes += slot.terms.capacity() + slot.metadata.size() * kMetadataNode;
  bytes += lexical_.dictionary.size() * 2 * sizeof(uint32_t);  // the applier's counters
  stats.memory_bytes = static_cast<int64_t>(bytes);
  return stats;
}

}  // namespace tessera::index
