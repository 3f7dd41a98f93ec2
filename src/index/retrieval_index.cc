#include "index/retrieval_index.h"

#include <atomic>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "index/access.h"
#include "index/collection_index.h"
#include "index/snapshot/snapshot_store.h"

namespace tessera::index {
namespace {

/// The port's implementation: collections by id, each with its own lock; one applier; a snapshot store.
class Engine final : public core::RetrievalIndex {
 public:
  Engine(IndexOptions options, base::Logger& logger) : options_(std::move(options)), logger_(logger) {
    if (!options_.directory.empty()) snapshots_.emplace(options_.directory);
  }

  void load() {
    if (!snapshots_) return;
    auto loaded = snapshots_->load();
    if (!loaded) {
      logger_.failure("index_snapshot_damaged", loaded.error());
      snapshots_->remove_all();
      return;
    }
    contents_ = std::move(*loaded);
    applied_ = contents_.sequence;
  }

  base::Result<> apply(const core::StoreChange& change) override {
    const std::lock_guard applying(applier_);
    if (change.sequence <= applied_) return {};
    base::Result<> outcome;
    switch (change.kind) {
      case core::StoreChange::Kind::put:
        outcome = put(change);
        break;
      case core::StoreChange::Kind::remove:
        if (const auto index = find(change.collection_id)) {
          index->remove(change.document_key);
          changed(change);
        }
        break;
      case core::StoreChange::Kind::drop_collection: {
        std::shared_ptr<CollectionIndex> dropped;  // outlives the lock: freeing it takes time
        const auto lock = access_.write();
        if (const auto at = contents_.collections.find(change.collection_id); at != contents_.collections.end()) {
          dropped = std::move(at->second.index);
          contents_.collections.erase(at);
        }
        break;
      }
    }
    contents_.sequence = change.sequence;
    applied_ = change.sequence;
    return outcome;
  }

  [[nodiscard]] int64_t applied_sequence() const override { return applied_; }

  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_lexical(const core::IndexQuery& query) const override {
    const auto index = find(query.collection_id);
    if (index == nullptr) return std::vector<core::IndexHit>();
    return index->search_lexical(query);
  }

  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_dense(const core::IndexQuery& query) const override {
    const auto index = find(query.collection_id);
    if (index == nullptr) return std::vector<core::IndexHit>();
    return index->search_dense(query);
  }

  [[nodiscard]] core::IndexStats stats(int64_t collection_id) const override {
    const auto index = find(collection_id);
    return index == nullptr ? core::IndexStats() : index->stats();
  }

  [[nodiscard]] core::IndexStats total_stats() const override {
    std::vector<std::shared_ptr<CollectionIndex>> indexes;
    {
      const auto lock = access_.read();
      for (const auto& [id, entry] : contents_.collections) indexes.push_back(entry.index);
    }
    core::IndexStats total;
    for (const auto& index : indexes) {
      const core::IndexStats one = index->stats();
      total.documents += one.documents;
      total.chunks += one.chunks;
      total.terms += one.terms;
      total.dimensions = std::max(total.dimensions, one.dimensions);
      total.memory_bytes += one.memory_bytes;
    }
    return total;
  }

  base::Result<> save() override {
    const std::lock_guard applying(applier_);
    if (!snapshots_) return {};
    return snapshots_->save(contents_);
  }

  void clear() override {
    const std::lock_guard applying(applier_);
    IndexContents forgotten;  // outlives the lock
    const auto lock = access_.write();
    std::swap(forgotten, contents_);
    applied_ = 0;
    if (snapshots_) snapshots_->remove_all();
  }

 private:
  [[nodiscard]] std::shared_ptr<CollectionIndex> find(int64_t id) const {
    const auto lock = access_.read();
    const auto at = contents_.collections.find(id);
    return at == contents_.collections.end() ? nullptr : at->second.index;
  }

  void changed(const core::StoreChange& change) {
    const auto lock = access_.write();
    contents_.collections[change.collection_id].changed_at = change.sequence;
  }

  base::Result<> put(const core::StoreChange& change) {
    if (change.document == nullptr) {
      return base::fail(base::Code::internal, "CHANGE_WITHOUT_DOCUMENT", "A stored document was not handed on.");
    }
    std::shared_ptr<CollectionIndex> index = find(change.collection_id);
    if (index == nullptr) {
      index = std::make_shared<CollectionIndex>(change.settings.stemming);
      const auto lock = access_.write();
      contents_.collections[change.collection_id].index = index;
    }
    base::Result<> outcome = index->put(change.document_key, *change.document);
    changed(change);
    const auto limit = static_cast<size_t>(options_.compact_dead_share * static_cast<double>(index->rows()));
    if (index->dead_rows() >= options_.compact_rows_min && index->dead_rows() > limit) {
      std::shared_ptr<CollectionIndex> fresh = index->compacted();
      const auto lock = access_.write();
      contents_.collections[change.collection_id].index.swap(fresh);
    }
    return outcome;
  }

  const IndexOptions options_;
  base::Logger& logger_;
  std::mutex applier_;
  std::optional<SnapshotStore> snapshots_;  // guarded by applier_
  Access access_;
  IndexContents contents_;  // guarded by access_; whoever holds applier_ reads without it
  std::atomic<int64_t> applied_{0};
};

}  // namespace

base::Result<std::unique_ptr<core::RetrievalIndex>> create_retrieval_index(IndexOptions options, base::Logger& logger) {
  if (!options.directory.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error) {
      return base::fail(base::Code::unavailable, "INDEX_DIRECTORY", "The directory of the index cannot be created.",
                        error.message());
    }
  }
  auto engine = std::make_unique<Engine>(std::move(options), logger);
  engine->load();
  return engine;
}

}  // namespace tessera::index
