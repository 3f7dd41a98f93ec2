#pragma once

#include "base/clock.h"
#include "core/documents.h"
#include "core/parser.h"
#include "observe/metrics.h"

namespace tessera::app {

/// A parser that measures and counts what it reads and refuses. Thread-safe.
class MeteredParser final : public core::DocumentParser {
 public:
  /// All outlive it.
  MeteredParser(const core::DocumentParser& inner, observe::Metrics& metrics, const base::Clock& clock);
  [[nodiscard]] base::Result<core::ParsedDocument> parse(const core::RawDocument& document) const override;
  [[nodiscard]] bool knows(std::string_view file_name) const override { return inner_.knows(file_name); }

 private:
  const core::DocumentParser& inner_;
  observe::Metrics& metrics_;
  observe::Histogram& duration_;
  const base::Clock& clock_;
};

/// A document store that counts the documents written and the time to their commit. Thread-safe.
class MeteredDocuments final : public core::DocumentStore {
 public:
  /// All outlive it.
  MeteredDocuments(core::DocumentStore& inner, observe::Metrics& metrics, const base::Clock& clock);

  core::Task<base::Result<core::PutReceipt>> put_document(core::DocumentWrite write) override;

  core::Task<base::Result<core::Collection>> create_collection(core::CollectionName name,
                                                               core::CollectionSettings settings) override {
    return inner_.create_collection(std::move(name), std::move(settings));
  }
  core::Task<base::Result<core::Collection>> find_collection(core::CollectionName name) override {
    return inner_.find_collection(std::move(name));
  }
  core::Task<base::Result<std::vector<core::Collection>>> list_collections(core::Tenant tenant) override {
    return inner_.list_collections(std::move(tenant));
  }
  core::Task<base::Result<>> drop_collection(core::CollectionName name) override {
    return inner_.drop_collection(std::move(name));
  }
  core::Task<base::Result<>> delete_document(core::Tenant tenant, std::string document_id) override {
    return inner_.delete_document(std::move(tenant), std::move(document_id));
  }
  core::Task<base::Result<core::DocumentHead>> find_document(core::Tenant tenant, std::string document_id) override {
    return inner_.find_document(std::move(tenant), std::move(document_id));
  }
  core::Task<base::Result<core::Document>> load_document(core::Tenant tenant, std::string document_id) override {
    return inner_.load_document(std::move(tenant), std::move(document_id));
  }
  core::Task<base::Result<std::vector<core::Chunk>>> load_chunks(core::Tenant tenant,
                                                                 std::string document_id) override {
    return inner_.load_chunks(std::move(tenant), std::move(document_id));
  }
  core::Task<base::Result<core::Page<core::DocumentHead>>> list_documents(core::Tenant tenant, std::string collection,
                                                                          core::PageRequest page) override {
    return inner_.list_documents(std::move(tenant), std::move(collection), std::move(page));
  }
  core::Task<base::Result<std::vector<core::Passage>>> load_passages(core::Tenant tenant,
                                                                     std::vector<int64_t> chunk_keys) override {
    return inner_.load_passages(std::move(tenant), std::move(chunk_keys));
  }
  core::Task<base::Result<std::vector<std::optional<core::DocumentHead>>>> find_documents(
      core::Tenant tenant, std::vector<std::string> document_ids) override {
    return inner_.find_documents(std::move(tenant), std::move(document_ids));
  }
  core::Task<base::Result<std::vector<core::SourceRecord>>> list_sources(core::CollectionName collection,
                                                                         std::string prefix) override {
    return inner_.list_sources(std::move(collection), std::move(prefix));
  }
  core::Task<base::Result<>> note_stamps(core::Tenant tenant, std::vector<core::SourceRecord> records) override {
    return inner_.note_stamps(std::move(tenant), std::move(records));
  }
  void set_listener(core::ChangeListener listener) override { inner_.set_listener(std::move(listener)); }
  [[nodiscard]] base::Result<int64_t> last_sequence() const override { return inner_.last_sequence(); }
  base::Result<> replay(int64_t after, const core::ChangeListener& listener) const override {
    return inner_.replay(after, listener);
  }

 private:
  core::DocumentStore& inner_;
  observe::Metrics& metrics_;
  observe::Histogram& duration_;
  const base::Clock& clock_;
};

}  // namespace tessera::app
