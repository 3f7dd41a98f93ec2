#pragma once

#include <string>
#include <vector>

#include "core/documents.h"
#include "core/index.h"
#include "rag/embedder_table.h"
#include "rag/index_feed.h"

namespace tessera::rag {

/// A collection whose vectors its embedding model would not give any more: until it is reindexed, it takes no documents
/// and is searched by words only.
struct StaleCollection {
  std::string collection;
  size_t dimensions = 0;        ///< of its vectors
  size_t model_dimensions = 0;  ///< of the model's; 0: the model is not on this server
};

struct DocumentView {
  core::Document document;
  std::vector<core::Chunk> chunks;
};

/// A collection's (or a tenant's) numbers: as stored, and as searches see them.
struct LibraryStats {
  int64_t collections = 0;
  int64_t documents = 0;
  int64_t chunks = 0;
  core::IndexStats index;
  IndexHealth feed;
};

/// Documents and collections of a tenant, for reading and removing. What is removed is not searchable any more when the
/// task completes. Thread-safe; errors are the store's and the feed's.
class Library {
 public:
  Library(core::DocumentStore& store, core::RetrievalIndex& index, IndexFeed& feed, const EmbedderTable& embedders)
      : store_(store), index_(index), feed_(feed), embedders_(embedders) {}

  core::Task<base::Result<core::Page<core::DocumentHead>>> list(const core::RequestContext& context,
                                                                std::string collection, core::PageRequest page);
  core::Task<base::Result<core::DocumentHead>> find(const core::RequestContext& context, std::string document_id);
  core::Task<base::Result<DocumentView>> load(const core::RequestContext& context, std::string document_id);
  core::Task<base::Result<>> remove(const core::RequestContext& context, std::string document_id);

  core::Task<base::Result<std::vector<core::Collection>>> list_collections(const core::RequestContext& context);
  /// Errors: invalid INVALID_COLLECTION, INVALID_CHUNK_SIZE, INVALID_EMBEDDING_MODEL; conflict COLLECTION_EXISTS.
  core::Task<base::Result<core::Collection>> create_collection(const core::RequestContext& context, std::string name,
                                                               core::CollectionSettings settings);
  /// Of these.
  [[nodiscard]] std::vector<StaleCollection> stale(const std::vector<core::Collection>& collections) const;
  core::Task<base::Result<>> drop_collection(const core::RequestContext& context, std::string name);
  /// Of one collection, or of all of the tenant's when `collection` is empty.
  core::Task<base::Result<LibraryStats>> stats(const core::RequestContext& context, std::string collection);

 private:
  core::DocumentStore& store_;
  core::RetrievalIndex& index_;
  IndexFeed& feed_;
  const EmbedderTable& embedders_;
};

}  // namespace tessera::rag
