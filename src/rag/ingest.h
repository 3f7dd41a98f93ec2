#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "async/blocking_pool.h"
#include "async/limiter.h"
#include "async/task_scope.h"
#include "base/id.h"
#include "base/log.h"
#include "core/documents.h"
#include "core/parser.h"
#include "observe/cells.h"
#include "rag/embedder_table.h"
#include "rag/index_feed.h"

namespace tessera::rag {

/// Interactive work is a person waiting; background work (directories, reindex) has a smaller share.
enum class IngestPriority { interactive, background };

/// A document to take in, as bytes. `name` is a file name or URL (its ending helps to tell the format); `source` is the
/// path or URL it came from. Without `document_id` the id is derived from source, else from name, so that the same file
/// again is an update; with neither it is new. Given title and metadata win over those found in the document.
struct IngestRequest {
  std::string bytes;
  std::string name;
  std::string title;
  std::string document_id;
  std::string collection = "default";
  std::string content_type;
  core::Metadata metadata;
  std::string source;
  uint64_t source_stamp = 0;  ///< kept with the document, see core::SourceRecord
  IngestPriority priority = IngestPriority::interactive;
};

struct IngestReceipt {
  std::string document_id;
  core::PutOutcome outcome = core::PutOutcome::created;
  int64_t chunks = 0;
  int64_t version = 0;
  /// "indexed" or "unchanged".
  [[nodiscard]] std::string_view status() const {
    return outcome == core::PutOutcome::unchanged ? "unchanged" : "indexed";
  }
};

struct IngestOptions {
  size_t document_bytes_max = 64ULL << 20U;
  size_t chunks_max = 200'000;
  size_t embed_batch = 32;                       ///< chunks a call of the embedder
  size_t interactive_max = 16;                   ///< documents at work at once
  size_t interactive_waiting_max = 256;          ///< further ones that may wait; then exhausted (429)
  size_t background_max = 16;                    ///< of the background kind; its callers always wait
  core::CollectionSettings collection_defaults;  ///< of a collection that a document's arrival makes
  boost::asio::any_io_executor embed_executor;   ///< where embedding runs; empty: the caller's
};

/// What ingest is made of; all outlive it. `pool` is for parsing and chunking and is not the one searches use.
struct IngestParts {
  core::DocumentStore& store;
  const core::DocumentParser& parser;
  const EmbedderTable& embedders;
  const core::RetrievalIndex& index;
  IndexFeed& feed;
  async::BlockingPool& pool;
  const base::IdSource& ids;
  observe::Counter* unchanged = nullptr;  ///< counts documents whose content was known, if given
};

/// Takes documents in: parse and chunk (blocking pool) -> embed (batches) -> store in one transaction -> wait until
/// searches see it. Several at once go through each stage together, so that changing threads and syncing costs once for
/// all; each succeeds or fails for itself. Thread-safe. A document is wholly there or wholly absent; the same content
/// again (bytes, title, metadata, collection settings, embedding model) is skipped before it is parsed. Errors: the
/// parser's, embedder's and store's; too_large DOCUMENT_TOO_LARGE, TOO_MANY_CHUNKS; invalid INVALID_DOCUMENT_ID,
/// INVALID_COLLECTION, TOO_MANY_METADATA_FIELDS, EMPTY_DOCUMENT; conflict DOCUMENT_IN_OTHER_COLLECTION,
/// COLLECTION_EXISTS (made with other settings meanwhile), DIMENSION_MISMATCH (the model's vectors have not the length
/// of the collection's); exhausted TOO_MANY_WAITING. A missing collection is made right before its first document.
class IngestService {
 public:
  explicit IngestService(IngestParts parts, IngestOptions options = {});
  ~IngestService();
  IngestService(const IngestService&) = delete;
  IngestService& operator=(const IngestService&) = delete;

  /// `context` outlives the task.
  core::Task<base::Result<IngestReceipt>> ingest(const core::RequestContext& context, IngestRequest request);

  /// The same for several, answered in their order; one with "interactive" makes all so. They count as one document at
  /// work and are in memory together: keep a batch to a megabyte or so.
  core::Task<std::vector<base::Result<IngestReceipt>>> ingest_batch(const core::RequestContext& context,
                                                                    std::vector<IngestRequest> requests);

  /// The id a document without one gets: stable for a source or name, else new.
  [[nodiscard]] std::string default_id(const IngestRequest& request) const;
  /// What follows the '-' in the content_hash of a collection's documents: depends on settings and model only. Errors:
  /// unavailable EMBEDDING_MODEL_UNAVAILABLE; the embedder's.
  core::Task<base::Result<std::string>> fingerprint(const core::RequestContext& context,
                                                    core::CollectionSettings settings);
  /// What a collection that does not exist yet will get.
  [[nodiscard]] const core::CollectionSettings& collection_defaults() const { return options_.collection_defaults; }
  /// Embeds a stored document's chunks anew when its embedding model, that one's dimensions or the settings changed;
  /// false when it was current. Of other dimensions than the collection's, it is the first of those that follow.
  core::Task<base::Result<bool>> refresh(const core::RequestContext& context, core::DocumentHead head);

 private:
  struct Draft;
  using Drafts = std::vector<Draft>;
  core::Task<base::Result<>> run(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<>> identify(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<>> find_settings(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<size_t>> learn_dimensions(const core::RequestContext& context,
                                                    core::Embedder& embedder) const;
  core::Task<base::Result<>> check_dimensions(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<>> skip_unchanged(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<>> prepare(const core::RequestContext& context, Drafts& drafts);
  base::Result<> parse_and_embed(const core::RequestContext& context, core::StageTimer& parsing, Drafts& drafts) const;
  [[nodiscard]] base::Result<> parse_and_chunk(Draft& draft, core::TokenReader* reader) const;
  core::Task<base::Result<>> embed(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<>> embed_chunks(const core::RequestContext& context, Drafts& drafts);
  core::Task<base::Result<>> store(const core::RequestContext& context, Drafts& drafts);
  core::Task<> store_one(Draft& draft);
  base::Result<> check_request(const IngestRequest& request) const;

  IngestParts parts_;
  IngestOptions options_;
  async::Limiter interactive_;
  async::Limiter background_;
};

}  // namespace tessera::rag
