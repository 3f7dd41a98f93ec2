#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/metadata.h"

namespace tessera::core {

/// How a collection treats its documents. Sizes in tokens of the embedding model's tokenizer.
struct CollectionSettings {
  int64_t chunk_size = 256;
  int64_t chunk_overlap = 32;
  std::string embedding_model = "tessera/static-256";
  bool stemming = false;             ///< English stemming of the lexical index
  std::string metadata_schema_json;  ///< JSON text as given by the client, or empty
  bool operator==(const CollectionSettings&) const = default;
};

/// `id` is never used twice in a database, so it names the collection and its tenant in indexes.
struct Collection {
  int64_t id = 0;
  CollectionName name;
  CollectionSettings settings;
  int64_t created_at_ms = 0;
  int64_t documents = 0;
  int64_t chunks = 0;
};

/// What is known of a document without its text. `key` is the store's number, stable over updates; `version` starts at
/// 1 and grows by one with every change of content or metadata. `content_hash` covers bytes, title and metadata as
/// ingested.
struct DocumentHead {
  int64_t key = 0;
  int64_t collection_id = 0;
  std::string collection;
  std::string document_id;
  std::string title;
  std::string content_type;
  std::string source;  ///< path or URL it came from, or empty
  Metadata metadata;
  std::string content_hash;
  uint64_t source_stamp = 0;  ///< what the source looked like when this content was taken (see SourceRecord)
  int64_t version = 0;
  int64_t chunks = 0;
  int64_t text_bytes = 0;
  int64_t created_at_ms = 0;
  int64_t updated_at_ms = 0;
};

struct Document {
  DocumentHead head;
  std::string text;
};

/// A chunk: bytes [start, end) of its document's text. `key` is the store's number, never used twice: an update makes
/// new keys.
struct Chunk {
  int64_t key = 0;
  int64_t document_key = 0;
  int64_t ordinal = 0;
  int64_t start = 0;
  int64_t end = 0;
  int64_t tokens = 0;
  std::string heading_path;
};

/// The public id of a chunk: "DOCUMENT_ID#ORDINAL".
std::string chunk_id(std::string_view document_id, int64_t ordinal);

/// A document ready to be stored. `vectors` is row-major, chunks.size() x dimensions, L2-normalised; kept as 16-bit
/// floats. The keys in `head` and `chunks` and the version and times are filled in by the store.
struct DocumentWrite {
  CollectionName collection;
  Document document;
  std::vector<Chunk> chunks;
  std::vector<float> vectors;
  size_t dimensions = 0;
  int64_t only_version = 0;  ///< when not 0: stored only while the document has this version (else DOCUMENT_CHANGED)
  bool more = false;         ///< a hint: another write follows at once, and the two had better share a commit
};

/// A document by where it came from. `stamp` is a number that the source (a file) has only as long as it is the one
/// that this content was taken from; 0: nothing is known of it. The store keeps it and puts no meaning into it.
struct SourceRecord {
  std::string source;
  std::string document_id;
  std::string content_hash;
  uint64_t stamp = 0;
};

enum class PutOutcome { created, updated, unchanged };

struct PutReceipt {
  PutOutcome outcome = PutOutcome::created;
  int64_t version = 0;
  int64_t chunks = 0;
  int64_t sequence = 0;  ///< of the index change; 0 when unchanged
};

/// One committed change that indexes follow. `sequence` has no gaps among committed changes and grows by one each.
/// `document` is set for put (keys filled in, shared, never changed afterwards).
struct StoreChange {
  enum class Kind { put, remove, drop_collection };
  int64_t sequence = 0;
  Kind kind = Kind::put;
  int64_t collection_id = 0;
  CollectionSettings settings;
  int64_t document_key = 0;
  std::shared_ptr<const DocumentWrite> document;
};

/// Called with every committed change, in order of sequence, on the store's writer thread, after the commit is durable
/// and before the write is acknowledged. May block: that is the back-pressure of indexing.
using ChangeListener = std::function<void(const StoreChange&)>;

/// A chunk with what a citation needs; `text` is its bytes of the stored document.
struct Passage {
  int64_t chunk_key = 0;
  int64_t document_key = 0;
  std::string document_id;
  std::string title;
  std::string source;
  std::string text;
  std::string heading_path;
  int64_t ordinal = 0;
  int64_t start = 0;
  int64_t end = 0;
  Metadata metadata;
  double score = 0;
};

struct PageRequest {
  int64_t limit = 50;
  std::string cursor;  ///< opaque; empty for the first page
};

template <class T>
struct Page {
  std::vector<T> items;
  std::string next_cursor;  ///< empty: no more
};

/// Documents, collections and the change sequence: the truth from which indexes are derived. Every write is one
/// transaction, durable (synced) when its task completes. Thread-safe; tasks resume on the caller's executor. Errors:
/// not_found (COLLECTION_NOT_FOUND, DOCUMENT_NOT_FOUND), conflict, exhausted (writer queue full), unavailable
/// (STORAGE_FULL, STORAGE_FAILED), invalid.
class DocumentStore {
 public:
  virtual ~DocumentStore() = default;

  /// Idempotent for the same settings; other settings for an existing name: conflict COLLECTION_EXISTS.
  virtual Task<base::Result<Collection>> create_collection(CollectionName name, CollectionSettings settings) = 0;
  virtual Task<base::Result<Collection>> find_collection(CollectionName name) = 0;
  virtual Task<base::Result<std::vector<Collection>>> list_collections(Tenant tenant) = 0;
  /// Removes it with all its documents.
  virtual Task<base::Result<>> drop_collection(CollectionName name) = 0;

  /// Creates the collection with default settings if `name` is missing. A document_id is unique in its app: the same id
  /// in another collection is a conflict (DOCUMENT_IN_OTHER_COLLECTION). The same content_hash leaves everything as it
  /// is (unchanged). Errors with only_version: conflict DOCUMENT_CHANGED, not_found DOCUMENT_NOT_FOUND.
  virtual Task<base::Result<PutReceipt>> put_document(DocumentWrite write) = 0;
  virtual Task<base::Result<>> delete_document(Tenant tenant, std::string document_id) = 0;
  virtual Task<base::Result<DocumentHead>> find_document(Tenant tenant, std::string document_id) = 0;
  /// One for each id, in their order; nothing where there is no such document. This form asks for one after the other.
  virtual Task<base::Result<std::vector<std::optional<DocumentHead>>>> find_documents(
      Tenant tenant, std::vector<std::string> document_ids);
  virtual Task<base::Result<Document>> load_document(Tenant tenant, std::string document_id) = 0;
  virtual Task<base::Result<std::vector<Chunk>>> load_chunks(Tenant tenant, std::string document_id) = 0;
  /// Ordered by document_id; an empty `collection` lists all of the tenant's.
  virtual Task<base::Result<Page<DocumentHead>>> list_documents(Tenant tenant, std::string collection,
                                                                PageRequest page) = 0;
  /// Documents of a collection whose source begins with `prefix` (not empty), ordered by source, then document_id. This
  /// form reads every head of the collection.
  virtual Task<base::Result<std::vector<SourceRecord>>> list_sources(CollectionName collection, std::string prefix);
  /// Keeps each stamp with its document if that still has the record's content_hash; others are passed over. Changes no
  /// version and tells no index. This form keeps nothing.
  virtual Task<base::Result<>> note_stamps(Tenant tenant, std::vector<SourceRecord> records);
  /// Those of the keys that (still) exist and belong to the tenant, in the order asked; `score` is left 0.
  virtual Task<base::Result<std::vector<Passage>>> load_passages(Tenant tenant, std::vector<int64_t> chunk_keys) = 0;

  /// Set once, before the first write.
  virtual void set_listener(ChangeListener listener) = 0;
  /// The highest committed sequence. Blocking.
  [[nodiscard]] virtual base::Result<int64_t> last_sequence() const = 0;
  /// Calls `listener` with a series of changes that leads from the state after `after` to the present; 0 means from
  /// nothing, and then only live documents are told. Blocking; for start-up and rebuilds. `put` carries the document's
  /// current content.
  virtual base::Result<> replay(int64_t after, const ChangeListener& listener) const = 0;
};

}  // namespace tessera::core
