#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "core/documents.h"

namespace tessera::store {

/// DocumentStore in maps. Writers take turns (and call the listener) under write_mutex_; readers need mutex_ only, so
/// a listener may read.
class MemoryDocuments final : public core::DocumentStore {
 public:
  explicit MemoryDocuments(const base::Clock& clock) : clock_(clock) {}

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
  core::Task<base::Result<>> note_stamps(core::Tenant tenant, std::vector<core::SourceRecord> records) override;
  void set_listener(core::ChangeListener listener) override;
  [[nodiscard]] base::Result<int64_t> last_sequence() const override;
  base::Result<> replay(int64_t after, const core::ChangeListener& listener) const override;

 private:
  using Stored = std::shared_ptr<const core::DocumentWrite>;
  struct Entry {
    Stored write;
    int64_t sequence = 0;
  };
  struct Removal {
    int64_t collection_id = 0;
    int64_t document_key = 0;  ///< 0: the whole collection
  };
  using DocumentId = std::pair<core::Tenant, std::string>;

  core::Collection& collection_for(const core::CollectionName& name, const core::CollectionSettings& settings);
  base::Result<Stored> find(const core::Tenant& tenant, const std::string& document_id) const;
  void forget(const Stored& stored);
  core::PutReceipt store(core::DocumentWrite&& write, core::Collection& collection, const Entry& before,
                         core::StoreChange& change);

  const base::Clock& clock_;

  std::mutex write_mutex_;
  core::ChangeListener listener_;  // guarded by write_mutex_

  mutable std::mutex mutex_;
  std::map<core::CollectionName, core::Collection> collections_;  // guarded by mutex_, like all below
  std::map<DocumentId, Entry> documents_;
  std::map<int64_t, std::pair<Stored, size_t>> chunks_;  ///< by key: the document and the chunk's position
  std::map<int64_t, Stored> puts_;                       ///< by sequence: live documents
  std::map<int64_t, Removal> removals_;                  ///< by sequence
  int64_t last_sequence_ = 0;
  int64_t last_collection_ = 0;
  int64_t last_document_ = 0;
  int64_t last_chunk_ = 0;
};

}  // namespace tessera::store
