#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/documents.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/write_queue.h"

/// The statements of the document store. Writes run on the writer thread inside a transaction, reads on any connection.
/// Errors are those of core::DocumentStore.
namespace tessera::store {

/// A document on its way in: the values and its vectors as they are kept.
struct PreparedDocument {
  std::shared_ptr<core::DocumentWrite> write;
  std::vector<uint16_t> halves;
  std::string metadata;
};

base::Result<core::Collection> create_collection_row(WriteScope& scope, const core::CollectionName& name,
                                                     const core::CollectionSettings& settings, int64_t now_ms);
base::Result<> drop_collection_rows(WriteScope& scope, const core::CollectionName& name);
base::Result<core::PutReceipt> put_document_rows(WriteScope& scope, const PreparedDocument& prepared, int64_t now_ms);
base::Result<> note_stamp_rows(WriteScope& scope, const core::Tenant& tenant,
                               const std::vector<core::SourceRecord>& records);
base::Result<> delete_document_rows(WriteScope& scope, const core::Tenant& tenant, const std::string& document_id);

base::Result<core::Collection> read_collection(Connection& db, const core::CollectionName& name);
base::Result<std::vector<core::Collection>> read_collections(Connection& db, const core::Tenant& tenant);
base::Result<core::DocumentHead> read_head(Connection& db, const core::Tenant& tenant, const std::string& document_id);
base::Result<std::vector<std::optional<core::DocumentHead>>> read_heads_by_id(
    Connection& db, const core::Tenant& tenant, const std::vector<std::string>& document_ids);
base::Result<std::vector<core::SourceRecord>> read_sources(Connection& db, const core::CollectionName& name,
                                                           const std::string& prefix);
base::Result<core::Document> read_document(Connection& db, const core::Tenant& tenant, const std::string& document_id);
base::Result<std::vector<core::Chunk>> read_chunks(Connection& db, const core::Tenant& tenant,
                                                   const std::string& document_id);
base::Result<core::Page<core::DocumentHead>> read_heads(Connection& db, const core::Tenant& tenant,
                                                        const std::string& collection, const core::PageRequest& page);
base::Result<std::vector<core::Passage>> read_passages(Connection& db, const core::Tenant& tenant,
                                                       const std::vector<int64_t>& chunk_keys);
base::Result<> replay_changes(Connection& db, int64_t after, const core::ChangeListener& listener);

}  // namespace tessera::store
