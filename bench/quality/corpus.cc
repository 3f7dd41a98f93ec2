#include "corpus.h"

#include <cstdlib>

#include "async/run_blocking.h"
#include "index/retrieval_index.h"
#include "rag/fusion.h"
#include "text/chunker.h"

namespace tessera::bench {
namespace {

std::vector<core::IndexHit> must(base::Result<std::vector<core::IndexHit>> hits) {
  if (hits) return *std::move(hits);
  std::fprintf(stderr, "search failed: %s\n", hits.error().message.c_str());
  std::exit(1);
}

}  // namespace

Corpus::Corpus(std::shared_ptr<index::StaticEmbedder> embedder, CorpusOptions options)
    : embedder_(std::move(embedder)), options_(options), logger_(base::silent_logger()) {
  auto index = index::create_retrieval_index({}, *logger_);
  if (!index) std::exit(1);
  index_ = *std::move(index);
}

size_t Corpus::add(std::string title, std::string text, const text::Structure& structure) {
  auto write = std::make_shared<core::DocumentWrite>();
  write->document.head.key = static_cast<int64_t>(documents_ + 1);
  write->document.head.title = title;
  write->document.text = std::move(text);
  const std::string& body = write->document.text;
  const auto spans =
      text::chunk_text(body, structure, {}, [&](std::string_view s) { return embedder_->count_tokens(s); });
  std::vector<std::string> embedded;
  for (const text::ChunkSpan& span : spans) {
    core::Chunk chunk;
    chunk.key = static_cast<int64_t>(passages_.size() + 1);
    chunk.document_key = write->document.head.key;
    chunk.ordinal = static_cast<int64_t>(write->chunks.size());
    chunk.start = static_cast<int64_t>(span.start);
    chunk.end = static_cast<int64_t>(span.end);
    chunk.heading_path = span.heading_path;
    core::Passage passage;
    passage.chunk_key = chunk.key;
    passage.document_key = chunk.document_key;
    passage.ordinal = chunk.ordinal;
    passage.start = chunk.start;
    passage.end = chunk.end;
    passage.title = title;
    passage.text = body.substr(span.start, span.end - span.start);
    passage.heading_path = span.heading_path;
    std::string where = span.heading_path.starts_with(title) ? "" : title + "\n";
    if (!span.heading_path.empty()) where += span.heading_path + "\n";
    embedded.push_back(where + passage.text);
    write->chunks.push_back(std::move(chunk));
    passages_.push_back(std::move(passage));
    documents_of_.push_back(documents_);
  }
  write->dimensions = embedder_->dimensions();
  write->vectors.resize(embedded.size() * write->dimensions);
  for (size_t i = 0; i < embedded.size(); ++i) {
    embedder_->embed_one(embedded[i], std::span(write->vectors).subspan(i * write->dimensions, write->dimensions));
  }
  core::StoreChange change;
  change.sequence = static_cast<int64_t>(++documents_);
  change.collection_id = 1;
  change.settings.stemming = options_.stemming;
  change.document_key = write->document.head.key;
  change.document = std::move(write);
  if (const auto applied = index_->apply(change); !applied) {
    std::fprintf(stderr, "indexing failed: %s\n", applied.error().message.c_str());
    std::exit(1);
  }
  return documents_ - 1;
}

Found Corpus::search(std::string_view query, std::string_view words) const {
  std::vector<float> vector(embedder_->dimensions());
  embedder_->embed_one(query, vector);
  core::IndexQuery ask;
  ask.collection_id = 1;
  ask.text = words;
  ask.vector = vector;
  ask.k = options_.candidates;
  Found found{must(index_->search_lexical(ask)), must(index_->search_dense(ask)), {}};
  for (const rag::Ranked& ranked : rag::fuse({found.lexical, found.dense}, {})) {
    found.hybrid.push_back(static_cast<size_t>(ranked.chunk_key - 1));
  }
  return found;
}

}  // namespace tessera::bench
