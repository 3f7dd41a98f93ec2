#include <algorithm>
#include <optional>

#include "store/rules.h"
#include "store/sqlite/document_rows.h"
#include "store/sqlite/schema.h"

namespace tessera::store {
namespace {

using Kind = core::StoreChange::Kind;

/// What the write path needs of a document that is there.
struct Existing {
  int64_t key = 0;
  int64_t collection_id = 0;
  std::string content_hash;
  int64_t version = 0;
  int64_t chunks = 0;
  int64_t first_chunk = 0;
  int64_t texts = 0;
  int64_t first_text = 0;
  int64_t sequence = 0;
  int64_t created_at_ms = 0;
};

base::Result<std::optional<Existing>> find_existing(Connection& db, const core::Tenant& tenant,
                                                    const std::string& document_id) {
  std::optional<Existing> existing;
  Query query(db,
              "SELECT document_key, collection_id, content_hash, version, chunks, first_chunk, texts, first_text, "
              "sequence, created_at_ms FROM documents WHERE app_id = ? AND document_id = ?",
              tenant.app_id, document_id);
  if (query.next()) {
    existing = Existing{.key = query.integer(0),
                        .collection_id = query.integer(1),
                        .content_hash = query.string(2),
                        .version = query.integer(3),
                        .chunks = query.integer(4),
                        .first_chunk = query.integer(5),
                        .texts = query.integer(6),
                        .first_text = query.integer(7),
                        .sequence = query.integer(8),
                        .created_at_ms = query.integer(9)};
  }
  TESSERA_CHECK(query.finish());
  return existing;
}

/// Removes all rows of a document but its head, and the change that told of it.
base::Result<> delete_parts(Connection& db, const Existing& old) {
  TESSERA_CHECK(run(db, "DELETE FROM chunks WHERE chunk_key >= ? AND chunk_key < ?", old.first_chunk,
                    old.first_chunk + old.chunks));
  TESSERA_CHECK(
      run(db, "DELETE FROM texts WHERE text_key >= ? AND text_key < ?", old.first_text, old.first_text + old.texts));
  TESSERA_CHECK(run(db, "DELETE FROM vectors WHERE document_key = ?", old.key));
  return run(db, "DELETE FROM changes WHERE sequence = ?", old.sequence);
}

base::Result<> count(Connection& db, int64_t collection_id, int64_t documents, int64_t chunks) {
  return run(db, "UPDATE collections SET documents = documents + ?, chunks = chunks + ? WHERE collection_id = ?",
             documents, chunks, collection_id);
}

/// Takes the next sequence number and notes the change under it.
base::Result<> log_change(WriteScope& scope, const core::Tenant& tenant, core::StoreChange change) {
  change.sequence = ++scope.counters.sequence;
  TESSERA_CHECK(run(scope.db, "INSERT INTO changes VALUES (?, ?, ?, ?, ?)", change.sequence, tenant.app_id,
                    static_cast<int64_t>(change.kind), change.collection_id, change.document_key));
  scope.changes.push_back(std::move(change));
  return {};
}

base::Result<> insert_texts(WriteScope& scope, const core::DocumentWrite& write) {
  const std::string& app = write.collection.tenant.app_id;
  const std::string_view text = write.document.text;
  for (size_t at = 0; at < text.size(); at += kTextPartBytes) {
    TESSERA_CHECK(run(scope.db, "INSERT INTO texts VALUES (?, ?, ?, ?)", ++scope.counters.text_key, app,
                      write.document.head.key, Blob{text.substr(at, kTextPartBytes)}));
  }
  return {};
}

base::Result<> insert_chunks(WriteScope& scope, core::DocumentWrite& write) {
  const std::string& app = write.collection.tenant.app_id;
  int64_t ordinal = 0;
  for (core::Chunk& chunk : write.chunks) {
    chunk.key = ++scope.counters.chunk_key;
    chunk.document_key = write.document.head.key;
    chunk.ordinal = ordinal++;
    TESSERA_CHECK(run(scope.db, "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", chunk.key, app,
                      chunk.document_key, chunk.ordinal, chunk.start, chunk.end, chunk.tokens, chunk.heading_path));
  }
  return {};
}

base::Result<> insert_vectors(WriteScope& scope, const PreparedDocument& prepared) {
  if (prepared.halves.empty()) return {};
  const core::DocumentWrite& write = *prepared.write;
  const std::string_view bytes(reinterpret_cast<const char*>(prepared.halves.data()), prepared.halves.size() * 2);
  return run(scope.db, "INSERT INTO vectors VALUES (?, ?, ?, ?)", write.document.head.key,
             write.collection.tenant.app_id, write.dimensions, Blob{bytes});
}

base::Result<> write_head(WriteScope& scope, const PreparedDocument& prepared, int64_t first_text,
                          int64_t first_chunk) {
  const core::DocumentWrite& write = *prepared.write;
  const core::DocumentHead& head = write.document.head;
  const int64_t texts = scope.counters.text_key - first_text + 1;
  if (head.version > 1) {
    return run(scope.db,
               "UPDATE documents SET title = ?, content_type = ?, source = ?, metadata = ?, content_hash = ?, "
               "version = ?, text_bytes = ?, first_text = ?, texts = ?, first_chunk = ?, chunks = ?, sequence = ?, "
               "updated_at_ms = ?, source_stamp = ? WHERE document_key = ?",
               head.title, head.content_type, head.source, Blob{prepared.metadata}, head.content_hash, head.version,
               head.text_bytes, first_text, texts, first_chunk, head.chunks, scope.counters.sequence,
               head.updated_at_ms, static_cast<int64_t>(head.source_stamp), head.key);
  }
  return run(scope.db, "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             head.key, write.collection.tenant.app_id, head.document_id, head.collection_id, head.title,
             head.content_type, head.source, Blob{prepared.metadata}, head.content_hash, head.version, head.text_bytes,
             first_text, texts, first_chunk, head.chunks, scope.counters.sequence, head.created_at_ms,
             head.updated_at_ms, static_cast<int64_t>(head.source_stamp));
}

base::Result<std::string> collection_name(Connection& db, int64_t collection_id) {
  Query query(db, "SELECT name FROM collections WHERE collection_id = ?", collection_id);
  std::string name = query.next() ? query.string(0) : std::string();
  TESSERA_CHECK(query.finish());
  return name;
}

base::Result<core::Collection> collection_for(WriteScope& scope, const core::CollectionName& name, int64_t now_ms) {
  auto found = read_collection(scope.db, name);
  if (found || found.error().code != base::Code::not_found) return found;
  return create_collection_row(scope, name, core::CollectionSettings{}, now_ms);
}

}  // namespace

base::Result<core::Collection> create_collection_row(WriteScope& scope, const core::CollectionName& name,
                                                     const core::CollectionSettings& settings, int64_t now_ms) {
  auto found = read_collection(scope.db, name);
  if (found) {
    TESSERA_CHECK(check_same_settings(*found, settings));
    return found;
  }
  if (found.error().code != base::Code::not_found) return found;
  core::Collection collection;
  collection.id = ++scope.counters.collection_id;
  collection.name = name;
  collection.settings = settings;
  collection.created_at_ms = now_ms;
  TESSERA_CHECK(run(scope.db, "INSERT INTO collections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", collection.id,
                    name.tenant.app_id, name.name, settings.chunk_size, settings.chunk_overlap,
                    settings.embedding_model, settings.stemming, settings.metadata_schema_json, now_ms));
  return collection;
}

base::Result<> drop_collection_rows(WriteScope& scope, const core::CollectionName& name) {
  TESSERA_TRY(const core::Collection collection, read_collection(scope.db, name));
  const std::string& app = name.tenant.app_id;
  {
    Query query(scope.db,
                "SELECT document_key, first_chunk, chunks, first_text, texts, sequence FROM documents "
                "WHERE app_id = ? AND collection_id = ?",
                app, collection.id);
    while (query.next()) {
      Existing old;
      old.key = query.integer(0);
      old.first_chunk = query.integer(1);
      old.chunks = query.integer(2);
      old.first_text = query.integer(3);
      old.texts = query.integer(4);
      old.sequence = query.integer(5);
      TESSERA_CHECK(delete_parts(scope.db, old));
    }
    TESSERA_CHECK(query.finish());
  }
  TESSERA_CHECK(run(scope.db, "DELETE FROM documents WHERE app_id = ? AND collection_id = ?", app, collection.id));
  // The removals of its documents are covered by the drop.
  TESSERA_CHECK(run(scope.db, "DELETE FROM changes WHERE collection_id = ?", collection.id));
  TESSERA_CHECK(run(scope.db, "DELETE FROM collections WHERE collection_id = ?", collection.id));
  core::StoreChange change;
  change.kind = Kind::drop_collection;
  change.collection_id = collection.id;
  change.settings = collection.settings;
  return log_change(scope, name.tenant, std::move(change));
}

base::Result<core::PutReceipt> put_document_rows(WriteScope& scope, const PreparedDocument& prepared, int64_t now_ms) {
  core::DocumentWrite& write = *prepared.write;
  core::DocumentHead& head = write.document.head;
  const core::Tenant& tenant = write.collection.tenant;
  TESSERA_TRY(const std::optional<Existing> old, find_existing(scope.db, tenant, head.document_id));
  TESSERA_TRY(const core::Collection collection, collection_for(scope, write.collection, now_ms));
  core::PutReceipt receipt;
  if (old && old->collection_id != collection.id) {
    TESSERA_TRY(const std::string other, collection_name(scope.db, old->collection_id));
    return std::unexpected(document_elsewhere(other));
  }
  if (write.only_version != 0) {
    if (!old) return std::unexpected(document_not_found());
    if (old->version != write.only_version) return std::unexpected(document_changed());
  }
  if (old && !old->content_hash.empty() && old->content_hash == head.content_hash) {
    receipt.outcome = core::PutOutcome::unchanged;
    receipt.version = old->version;
    receipt.chunks = old->chunks;
    return receipt;
  }

  head.key = old ? old->key : ++scope.counters.document_key;
  head.collection_id = collection.id;
  head.collection = write.collection.name;
  head.version = old ? old->version + 1 : 1;
  head.chunks = static_cast<int64_t>(write.chunks.size());
  head.text_bytes = static_cast<int64_t>(write.document.text.size());
  head.created_at_ms = old ? old->created_at_ms : now_ms;
  head.updated_at_ms = now_ms;
  const int64_t first_text = scope.counters.text_key + 1;
  const int64_t first_chunk = scope.counters.chunk_key + 1;
  if (old) TESSERA_CHECK(delete_parts(scope.db, *old));
  TESSERA_CHECK(insert_texts(scope, write));
  TESSERA_CHECK(insert_chunks(scope, write));
  TESSERA_CHECK(insert_vectors(scope, prepared));
  core::StoreChange change;
  change.kind = Kind::put;
  change.collection_id = collection.id;
  change.settings = collection.settings;
  change.document_key = head.key;
  change.document = prepared.write;
  TESSERA_CHECK(log_change(scope, tenant, std::move(change)));
  TESSERA_CHECK(write_head(scope, prepared, first_text, first_chunk));
  TESSERA_CHECK(count(scope.db, collection.id, old ? 0 : 1, head.chunks - (old ? old->chunks : 0)));

  receipt.outcome = old ? core::PutOutcome::updated : core::PutOutcome::created;
  receipt.version = head.version;
  receipt.chunks = head.chunks;
  receipt.sequence = scope.counters.sequence;
  return receipt;
}

base::Result<> note_stamp_rows(WriteScope& scope, const core::Tenant& tenant,
                               const std::vector<core::SourceRecord>& records) {
  for (const core::SourceRecord& record : records) {
    TESSERA_CHECK(run(scope.db,
                      "UPDATE documents SET source_stamp = ? WHERE app_id = ? AND document_id = ? AND content_hash = ?",
                      static_cast<int64_t>(record.stamp), tenant.app_id, record.document_id, record.content_hash));
  }
  return {};
}

base::Result<> delete_document_rows(WriteScope& scope, const core::Tenant& tenant, const std::string& document_id) {
  TESSERA_TRY(const std::optional<Existing> old, find_existing(scope.db, tenant, document_id));
  if (!old) return std::unexpected(document_not_found());
  TESSERA_TRY(const std::string name, collection_name(scope.db, old->collection_id));
  TESSERA_TRY(const core::Collection collection, read_collection(scope.db, {tenant, name}));
  TESSERA_CHECK(delete_parts(scope.db, *old));
  TESSERA_CHECK(run(scope.db, "DELETE FROM documents WHERE document_key = ?", old->key));
  TESSERA_CHECK(count(scope.db, collection.id, -1, -old->chunks));
  core::StoreChange change;
  change.kind = Kind::remove;
  change.collection_id = collection.id;
  change.settings = collection.settings;
  change.document_key = old->key;
  return log_change(scope, tenant, std::move(change));
}

}  // namespace tessera::store
