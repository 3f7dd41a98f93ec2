#include <algorithm>
#include <map>
#include <optional>

#include "store/half.h"
#include "store/rules.h"
#include "store/sqlite/codec.h"
#include "store/sqlite/document_rows.h"
#include "store/sqlite/schema.h"

namespace tessera::store {
namespace {

// Literals are joined by the compiler, so each use is one text.
#define TESSERA_HEAD_COLUMNS                                                                                     \
  "d.document_key, d.collection_id, c.name, d.document_id, d.title, d.content_type, d.source, d.metadata, "      \
  "d.content_hash, d.version, d.chunks, d.text_bytes, d.created_at_ms, d.updated_at_ms, d.first_text, d.texts, " \
  "d.first_chunk, d.source_stamp"

/// A head, and where its parts are.
struct HeadRow {
  core::DocumentHead head;
  int64_t first_text = 0;
  int64_t texts = 0;
  int64_t first_chunk = 0;
};

base::Result<HeadRow> head_row(const Query& query) {
  HeadRow row;
  core::DocumentHead& head = row.head;
  head.key = query.integer(0);
  head.collection_id = query.integer(1);
  head.collection = query.string(2);
  head.document_id = query.string(3);
  head.title = query.string(4);
  head.content_type = query.string(5);
  head.source = query.string(6);
  TESSERA_TRY(head.metadata, decode_metadata(query.text(7)));
  head.content_hash = query.string(8);
  head.version = query.integer(9);
  head.chunks = query.integer(10);
  head.text_bytes = query.integer(11);
  head.created_at_ms = query.integer(12);
  head.updated_at_ms = query.integer(13);
  row.first_text = query.integer(14);
  row.texts = query.integer(15);
  row.first_chunk = query.integer(16);
  head.source_stamp = static_cast<uint64_t>(query.integer(17));
  return row;
}

base::Result<HeadRow> find_head_row(Connection& db, const core::Tenant& tenant, const std::string& document_id) {
  Query query(db,
              "SELECT " TESSERA_HEAD_COLUMNS
              " FROM documents d JOIN collections c ON c.collection_id = d.collection_id "
              "WHERE d.app_id = ? AND d.document_id = ?",
              tenant.app_id, document_id);
  if (!query.next()) {
    TESSERA_CHECK(query.finish());
    return std::unexpected(document_not_found());
  }
  return head_row(query);
}

base::Result<std::string> read_text(Connection& db, const core::Tenant& tenant, const HeadRow& row) {
  std::string text;
  text.reserve(static_cast<size_t>(row.head.text_bytes));
  Query query(db, "SELECT bytes FROM texts WHERE text_key >= ? AND text_key < ? AND app_id = ? ORDER BY text_key",
              row.first_text, row.first_text + row.texts, tenant.app_id);
  while (query.next()) text += query.text(0);
  TESSERA_CHECK(query.finish());
  return text;
}

base::Result<std::vector<core::Chunk>> read_chunk_range(Connection& db, const core::Tenant& tenant,
                                                        const HeadRow& row) {
  std::vector<core::Chunk> chunks;
  chunks.reserve(static_cast<size_t>(row.head.chunks));
  Query query(db,
              "SELECT chunk_key, document_key, ordinal, start_byte, end_byte, tokens, heading_path FROM chunks "
              "WHERE chunk_key >= ? AND chunk_key < ? AND app_id = ? ORDER BY chunk_key",
              row.first_chunk, row.first_chunk + row.head.chunks, tenant.app_id);
  while (query.next()) {
    chunks.push_back({.key = query.integer(0),
                      .document_key = query.integer(1),
                      .ordinal = query.integer(2),
                      .start = query.integer(3),
                      .end = query.integer(4),
                      .tokens = query.integer(5),
                      .heading_path = query.string(6)});
  }
  TESSERA_CHECK(query.finish());
  return chunks;
}

core::Collection collection_row(const Query& query) {
  core::Collection collection;
  collection.id = query.integer(0);
  collection.name.tenant.app_id = query.string(1);
  collection.name.name = query.string(2);
  collection.settings.chunk_size = query.integer(3);
  collection.settings.chunk_overlap = query.integer(4);
  collection.settings.embedding_model = query.string(5);
  collection.settings.stemming = query.integer(6) != 0;
  collection.settings.metadata_schema_json = query.string(7);
  collection.created_at_ms = query.integer(8);
  collection.documents = query.integer(9);
  collection.chunks = query.integer(10);
  return collection;
}

/// A read transaction: several statements see one state.
class Snapshot {
 public:
  explicit Snapshot(Connection& db) : db_(db) {}
  ~Snapshot() {
    if (db_.in_transaction()) (void)run(db_, "COMMIT");
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  base::Result<> begin() { return run(db_, "BEGIN"); }

 private:
  Connection& db_;
};

/// Bytes [start, end) of a text whose parts begin at `first_text`.
base::Result<std::string> read_span(Connection& db, int64_t first_text, int64_t start, int64_t end) {
  std::string text;
  text.reserve(static_cast<size_t>(end - start));
  while (start < end) {
    const int64_t part = start / kTextPartBytes;
    const int64_t until = std::min(end, (part + 1) * kTextPartBytes);
    Query query(db, "SELECT substr(bytes, ?, ?) FROM texts WHERE text_key = ?", start - part * kTextPartBytes + 1,
                until - start, first_text + part);
    if (query.next()) text += query.text(0);
    TESSERA_CHECK(query.finish());
    start = until;
  }
  return text;
}

using Collections = std::map<int64_t, core::Collection>;

base::Result<Collections> all_collections(Connection& db) {
  Collections all;
  Query query(db, "SELECT * FROM collections");
  while (query.next()) all.emplace(query.integer(0), collection_row(query));
  TESSERA_CHECK(query.finish());
  return all;
}

base::Result<std::shared_ptr<const core::DocumentWrite>> read_write(Connection& db, const core::Collection& collection,
                                                                    HeadRow row) {
  auto write = std::make_shared<core::DocumentWrite>();
  write->collection = collection.name;
  TESSERA_TRY(write->document.text, read_text(db, collection.name.tenant, row));
  TESSERA_TRY(write->chunks, read_chunk_range(db, collection.name.tenant, row));
  write->document.head = std::move(row.head);
  Query query(db, "SELECT dimensions, halves FROM vectors WHERE document_key = ?", write->document.head.key);
  if (query.next()) {
    write->dimensions = static_cast<size_t>(query.integer(0));
    const std::string_view bytes = query.text(1);
    std::vector<uint16_t> halves(bytes.size() / 2);
    bytes.copy(reinterpret_cast<char*>(halves.data()), halves.size() * 2);
    write->vectors.resize(halves.size());
    decode_halves(halves, write->vectors);
  }
  TESSERA_CHECK(query.finish());
  return write;
}

}  // namespace

base::Result<core::Collection> read_collection(Connection& db, const core::CollectionName& name) {
  Query query(db, "SELECT * FROM collections WHERE app_id = ? AND name = ?", name.tenant.app_id, name.name);
  if (!query.next()) {
    TESSERA_CHECK(query.finish());
    return std::unexpected(collection_not_found());
  }
  return collection_row(query);
}

base::Result<std::vector<core::Collection>> read_collections(Connection& db, const core::Tenant& tenant) {
  std::vector<core::Collection> found;
  Query query(db, "SELECT * FROM collections WHERE app_id = ? ORDER BY name", tenant.app_id);
  while (query.next()) found.push_back(collection_row(query));
  TESSERA_CHECK(query.finish());
  return found;
}

base::Result<core::DocumentHead> read_head(Connection& db, const core::Tenant& tenant, const std::string& document_id) {
  TESSERA_TRY(HeadRow row, find_head_row(db, tenant, document_id));
  return std::move(row.head);
}

base::Result<std::vector<std::optional<core::DocumentHead>>> read_heads_by_id(
    Connection& db, const core::Tenant& tenant, const std::vector<std::string>& document_ids) {
  std::vector<std::optional<core::DocumentHead>> heads;
  heads.reserve(document_ids.size());
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  for (const std::string& id : document_ids) {
    auto row = find_head_row(db, tenant, id);
    if (!row && row.error().code != base::Code::not_found) return std::unexpected(std::move(row).error());
    heads.push_back(row ? std::optional(std::move(row->head)) : std::nullopt);
  }
  return heads;
}

base::Result<std::vector<core::SourceRecord>> read_sources(Connection& db, const core::CollectionName& name,
                                                           const std::string& prefix) {
  std::vector<core::SourceRecord> records;
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  TESSERA_TRY(const core::Collection collection, read_collection(db, name));
  // All of it is in the index documents_by_source.
  Query query(db,
              "SELECT source, document_id, content_hash, source_stamp FROM documents "
              "WHERE app_id = ? AND collection_id = ? AND source >= ? AND source <> '' "
              "ORDER BY source, document_id",
              name.tenant.app_id, collection.id, prefix);
  while (query.next()) {
    const std::string_view source = query.text(0);
    if (!source.starts_with(prefix)) return records;
    records.push_back({.source = std::string(source),
                       .document_id = query.string(1),
                       .content_hash = query.string(2),
                       .stamp = static_cast<uint64_t>(query.integer(3))});
  }
  TESSERA_CHECK(query.finish());
  return records;
}

base::Result<core::Document> read_document(Connection& db, const core::Tenant& tenant, const std::string& document_id) {
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  TESSERA_TRY(HeadRow row, find_head_row(db, tenant, document_id));
  core::Document document;
  TESSERA_TRY(document.text, read_text(db, tenant, row));
  document.head = std::move(row.head);
  return document;
}

base::Result<std::vector<core::Chunk>> read_chunks(Connection& db, const core::Tenant& tenant,
                                                   const std::string& document_id) {
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  TESSERA_TRY(const HeadRow row, find_head_row(db, tenant, document_id));
  return read_chunk_range(db, tenant, row);
}

base::Result<core::Page<core::DocumentHead>> read_heads(Connection& db, const core::Tenant& tenant,
                                                        const std::string& collection,
                                                        const core::PageRequest& request) {
  CursorPoint point;
  if (!request.cursor.empty()) {
    TESSERA_TRY(point, decode_cursor('d', request.cursor));
  }
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  int64_t collection_id = 0;
  if (!collection.empty()) {
    TESSERA_TRY(const core::Collection found, read_collection(db, {tenant, collection}));
    collection_id = found.id;
  }
  const int64_t limit = page_limit(request);
  core::Page<core::DocumentHead> page;
  const auto fill = [&](Query& query) -> base::Result<> {
    while (query.next()) {
      if (static_cast<int64_t>(page.items.size()) == limit) {
        page.next_cursor = encode_cursor('d', {.number = 0, .text = page.items.back().document_id});
        return {};
      }
      TESSERA_TRY(HeadRow row, head_row(query));
      page.items.push_back(std::move(row.head));
    }
    return query.finish();
  };
  if (collection_id != 0) {
    Query query(db,
                "SELECT " TESSERA_HEAD_COLUMNS
                " FROM documents d JOIN collections c ON c.collection_id = d.collection_id "
                "WHERE d.app_id = ? AND d.collection_id = ? AND d.document_id > ? ORDER BY d.document_id LIMIT ?",
                tenant.app_id, collection_id, point.text, limit + 1);
    TESSERA_CHECK(fill(query));
  } else {
    Query query(db,
                "SELECT " TESSERA_HEAD_COLUMNS
                " FROM documents d JOIN collections c ON c.collection_id = d.collection_id "
                "WHERE d.app_id = ? AND d.document_id > ? ORDER BY d.document_id LIMIT ?",
                tenant.app_id, point.text, limit + 1);
    TESSERA_CHECK(fill(query));
  }
  return page;
}

base::Result<std::vector<core::Passage>> read_passages(Connection& db, const core::Tenant& tenant,
                                                       const std::vector<int64_t>& chunk_keys) {
  std::vector<core::Passage> passages;
  passages.reserve(chunk_keys.size());
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  for (const int64_t key : chunk_keys) {
    Query query(db,
                "SELECT k.document_key, k.ordinal, k.start_byte, k.end_byte, k.heading_path, d.document_id, d.title, "
                "d.source, d.metadata, d.first_text FROM chunks k JOIN documents d ON d.document_key = k.document_key "
                "WHERE k.chunk_key = ? AND k.app_id = ?",
                key, tenant.app_id);
    if (!query.next()) {
      TESSERA_CHECK(query.finish());
      continue;
    }
    core::Passage& passage = passages.emplace_back();
    passage.chunk_key = key;
    passage.document_key = query.integer(0);
    passage.ordinal = query.integer(1);
    passage.start = query.integer(2);
    passage.end = query.integer(3);
    passage.heading_path = query.string(4);
    passage.document_id = query.string(5);
    passage.title = query.string(6);
    passage.source = query.string(7);
    TESSERA_TRY(passage.metadata, decode_metadata(query.text(8)));
    TESSERA_TRY(passage.text, read_span(db, query.integer(9), passage.start, passage.end));
  }
  return passages;
}

base::Result<> replay_changes(Connection& db, int64_t after, const core::ChangeListener& listener) {
  using Kind = core::StoreChange::Kind;
  Snapshot snapshot(db);
  TESSERA_CHECK(snapshot.begin());
  TESSERA_TRY(const Collections collections, all_collections(db));
  Query query(db,
              "SELECT " TESSERA_HEAD_COLUMNS
              ", h.sequence, h.kind, h.collection_id, h.document_key FROM changes h "
              "LEFT JOIN documents d ON h.kind = 0 AND d.document_key = h.document_key "
              "LEFT JOIN collections c ON c.collection_id = d.collection_id WHERE h.sequence > ? ORDER BY h.sequence",
              after);
  while (query.next()) {
    core::StoreChange change;
    change.sequence = query.integer(18);
    change.kind = static_cast<Kind>(query.integer(19));
    change.collection_id = query.integer(20);
    change.document_key = query.integer(21);
    const auto collection = collections.find(change.collection_id);
    if (collection != collections.end()) change.settings = collection->second.settings;
    if (change.kind != Kind::put) {
      if (after > 0) listener(change);
      continue;
    }
    if (collection == collections.end()) continue;  // cannot be: a drop removes the changes of its documents
    TESSERA_TRY(HeadRow row, head_row(query));
    TESSERA_TRY(change.document, read_write(db, collection->second, std::move(row)));
    listener(change);
  }
  return query.finish();
}

}  // namespace tessera::store
