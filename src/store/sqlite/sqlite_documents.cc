#include "store/sqlite/sqlite_documents.h"

#include "store/half.h"
#include "store/rules.h"
#include "store/sqlite/codec.h"
#include "store/sqlite/document_rows.h"

namespace tessera::store {

using core::Task;

Task<base::Result<core::Collection>> SqliteDocuments::create_collection(core::CollectionName name,
                                                                        core::CollectionSettings settings) {
  TESSERA_CO_CHECK(check_collection(name));
  co_return co_await writer_.run([name = std::move(name), settings = std::move(settings), now = clock_.unix_ms()](
                                     WriteScope& scope) { return create_collection_row(scope, name, settings, now); });
}

Task<base::Result<core::Collection>> SqliteDocuments::find_collection(core::CollectionName name) {
  TESSERA_CO_CHECK(check_tenant(name.tenant));
  const ReadCache::Ticket ticket = cache_.ticket();
  if (auto kept = cache_.find(name)) co_return *std::move(kept);
  auto found = co_await readers_.run([&](Connection& db) { return read_collection(db, name); });
  if (found) cache_.keep(ticket, *found);
  co_return found;
}

Task<base::Result<std::vector<core::Collection>>> SqliteDocuments::list_collections(core::Tenant tenant) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_collections(db, tenant); });
}

Task<base::Result<>> SqliteDocuments::drop_collection(core::CollectionName name) {
  TESSERA_CO_CHECK(check_tenant(name.tenant));
  co_return co_await writer_.run(
      [name = std::move(name)](WriteScope& scope) { return drop_collection_rows(scope, name); });
}

Task<base::Result<core::PutReceipt>> SqliteDocuments::put_document(core::DocumentWrite write) {
  TESSERA_CO_CHECK(check_write(write));
  // What can be done outside the writer thread is done here: it is the one that everybody waits for.
  PreparedDocument prepared;
  prepared.metadata = encode_metadata(write.document.head.metadata);
  prepared.halves.resize(write.vectors.size());
  encode_halves(write.vectors, prepared.halves);
  decode_halves(prepared.halves, write.vectors);
  const size_t bytes = write.document.text.size() + write.chunks.size() * sizeof(core::Chunk) +
                       write.vectors.size() * (sizeof(float) + sizeof(uint16_t)) + prepared.metadata.size();
  const WriteHints hints{.bytes = bytes, .more = write.more};
  prepared.write = std::make_shared<core::DocumentWrite>(std::move(write));
  co_return co_await writer_.run([prepared = std::move(prepared), now = clock_.unix_ms()](
                                     WriteScope& scope) { return put_document_rows(scope, prepared, now); },
                                 hints);
}

Task<base::Result<>> SqliteDocuments::delete_document(core::Tenant tenant, std::string document_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await writer_.run([tenant = std::move(tenant), id = std::move(document_id)](WriteScope& scope) {
    return delete_document_rows(scope, tenant, id);
  });
}

Task<base::Result<core::DocumentHead>> SqliteDocuments::find_document(core::Tenant tenant, std::string document_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_head(db, tenant, document_id); });
}

Task<base::Result<core::Document>> SqliteDocuments::load_document(core::Tenant tenant, std::string document_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_document(db, tenant, document_id); });
}

Task<base::Result<std::vector<core::Chunk>>> SqliteDocuments::load_chunks(core::Tenant tenant,
                                                                          std::string document_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_chunks(db, tenant, document_id); });
}

Task<base::Result<core::Page<core::DocumentHead>>> SqliteDocuments::list_documents(core::Tenant tenant,
                                                                                   std::string collection,
                                                                                   core::PageRequest page) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_heads(db, tenant, collection, page); });
}

Task<base::Result<std::vector<core::Passage>>> SqliteDocuments::load_passages(core::Tenant tenant,
                                                                              std::vector<int64_t> chunk_keys) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  auto [kept, ticket] = cache_.find(tenant, chunk_keys);
  std::vector<int64_t> missing;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] == nullptr) missing.push_back(chunk_keys[i]);
  }
  ReadCache::Passages read;
  if (!missing.empty()) {
    TESSERA_CO_TRY(auto passages,
                   co_await readers_.run([&](Connection& db) { return read_passages(db, tenant, missing); }));
    for (auto& each : passages) read.push_back(std::make_shared<const core::Passage>(std::move(each)));
    cache_.keep(ticket, tenant, read);
  }
  // In the order of the keys; what is not stored is in neither.
  std::vector<core::Passage> passages;
  passages.reserve(kept.size());
  auto next = read.begin();
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] != nullptr) {
      passages.push_back(*kept[i]);
    } else if (next != read.end() && (*next)->chunk_key == chunk_keys[i]) {
      passages.push_back(**next++);
    }
  }
  co_return passages;
}

Task<base::Result<std::vector<std::optional<core::DocumentHead>>>> SqliteDocuments::find_documents(
    core::Tenant tenant, std::vector<std::string> document_ids) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_heads_by_id(db, tenant, document_ids); });
}

Task<base::Result<std::vector<core::SourceRecord>>> SqliteDocuments::list_sources(core::CollectionName collection,
                                                                                  std::string prefix) {
  TESSERA_CO_CHECK(check_tenant(collection.tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_sources(db, collection, prefix); });
}

Task<base::Result<>> SqliteDocuments::note_stamps(core::Tenant tenant, std::vector<core::SourceRecord> records) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await writer_.run([tenant = std::move(tenant), records = std::move(records)](WriteScope& scope) {
    return note_stamp_rows(scope, tenant, records);
  });
}

base::Result<> SqliteDocuments::replay(int64_t after, const core::ChangeListener& listener) const {
  auto read = [&](Connection& db) { return replay_changes(db, after, listener); };
  return readers_.with(read);
}

}  // namespace tessera::store
