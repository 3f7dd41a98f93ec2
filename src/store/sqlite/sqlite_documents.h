#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "core/documents.h"
#include "store/sqlite/read_cache.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {

/// DocumentStore over the writer thread, the readers and what they read lately; a view of them, which outlive it.
class SqliteDocuments final : public core::DocumentStore {
 public:
  SqliteDocuments(WriteQueue& writer, ReaderPool& readers, ReadCache& cache, const base::Clock& clock)
      : writer_(writer), readers_(readers), cache_(cache), clock_(clock) {}

  core::Task<base::Result<core::Collection>> create_collection(core::CollectionName name,
                                                               core::CollectionSettings settings) override;
  core::Task<base::Result<core::Collection>> find_collection(core::CollectionName name) override;
  core::Task<base::Result<std::vector<core::Collection>>> list_collections(core::Tenant tenant) override;
  core::Task<base::Result<>> drop_collection(core::CollectionName name) override;
  core::Task<base::Result<core::PutReceipt>> put_document(core::DocumentWrite write) override;
  core::Task<base::Result<>> delete_document(core::Tenant tenant, std::string document_id) override;
  core::Task<base::Result<core::DocumentHead>> find_document(core::Tenant tenant, std::string document_id) override;
  core::Task<base::Result<core::Document>> load_document(core::Tenant tenant, std::string document_id) override;
  core::Task<base::Result<std::vector<core::Chunk>>> load_chunks(core::Tenant tenant, std::string document_id) override;
  core::Task<base::Result<core::Page<core::DocumentHead>>> list_documents(core::Tenant tenant, std::string collection,
                                                                          core::PageRequest page) override;
  core::Task<base::Result<std::vector<core::Passage>>> load_passages(core::Tenant tenant,
                                                                     std::vector<int64_t> chunk_keys) override;
  core::Task<base::Result<std::vector<std::optional<core::DocumentHead>>>> find_documents(
      core::Tenant tenant, std::vector<std::string> document_ids) override;
  core::Task<base::Result<std::vector<core::SourceRecord>>> list_sources(core::CollectionName collection,
                                                                         std::string prefix) override;
  core::Task<base::Result<>> note_stamps(core::Tenant tenant, std::vector<core::SourceRecord> records) override;
  void set_listener(core::ChangeListener listener) override { writer_.set_listener(std::move(listener)); }
  [[nodiscard]] base::Result<int64_t> last_sequence() const override { return writer_.last_sequence(); }
  base::Result<> replay(int64_t after, const core::ChangeListener& listener) const override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
  ReadCache& cache_;
  const base::Clock& clock_;
};

}  // namespace tessera::store
