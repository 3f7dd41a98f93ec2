#include "index/retrieval_index.h"

#include <system_error>
#include <utility>

#include "index/engine.h"

namespace tessera::index {

Engine::Engine(IndexOptions options, base::Logger& logger)
    : options_(std::move(options)), logger_(logger), files_(options_.directory) {}

Engine::~Engine() {
  work_.stop();
  {
    const auto lock = access_.read();  // a compaction may be putting its copy in place
    for (const auto& [id, entry] : collections_) entry.index->interrupt();
  }
  if (maintenance_.joinable()) maintenance_.join();
}

void Engine::start() {
  maintenance_ = std::thread([this] { maintain(); });
}

base::Result<> Engine::apply(const core::StoreChange& change) {
  std::shared_ptr<CollectionIndex> dropped;  // outlives the locks: freeing it takes time
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
        changed(change.collection_id, change.sequence);
      }
      break;
    case core::StoreChange::Kind::drop_collection: {
      const auto lock = access_.write();
      if (const auto at = collections_.find(change.collection_id); at != collections_.end()) {
        dropped = std::move(at->second.index);
        collections_.erase(at);
      }
      break;
    }
  }
  missed_.note(change);
  applied_ = change.sequence;
  unsaved_ = true;
  return outcome;
}

base::Result<> Engine::put(const core::StoreChange& change) {
  if (change.document == nullptr) {
    return base::fail(base::Code::internal, "CHANGE_WITHOUT_DOCUMENT", "A stored document was not handed on.");
  }
  std::shared_ptr<CollectionIndex> index = find(change.collection_id);
  if (index == nullptr) {
    index = std::make_shared<CollectionIndex>(files_, collection_options(change.settings.stemming));
    const auto lock = access_.write();
    collections_[change.collection_id].index = index;
  }
  const size_t before = index->dimensions();
  base::Result<> outcome = index->put(change.document_key, *change.document);
  if (const size_t now = index->dimensions(); before > 0 && now > 0 && now != before) {
    logger_.log(base::LogLevel::warn, "index_dimensions_changed",
                {{"collection", change.collection_id},
                 {"from", static_cast<int64_t>(before)},
                 {"to", static_cast<int64_t>(now)}});
  }
  changed(change.collection_id, change.sequence);
  return outcome;
}

void Engine::changed(int64_t id, int64_t sequence) {
  Entry& entry = collections_[id];
  entry.changed_at = sequence;
  entry.saved = false;
  work_.add(id);
}

base::Result<std::vector<core::IndexHit>> Engine::search_lexical(const core::IndexQuery& query) const {
  const auto index = find(query.collection_id);
  if (index == nullptr) return std::vector<core::IndexHit>();
  return index->search_lexical(query);
}

base::Result<std::vector<core::IndexHit>> Engine::search_dense(const core::IndexQuery& query) const {
  const auto index = find(query.collection_id);
  if (index == nullptr) return std::vector<core::IndexHit>();
  return index->search_dense(query);
}

core::IndexStats Engine::stats(int64_t collection_id) const {
  const auto index = find(collection_id);
  return index == nullptr ? no_stats() : index->stats();
}

size_t Engine::dimensions(int64_t collection_id) const {
  const auto index = find(collection_id);
  return index == nullptr ? 0 : index->dimensions();
}

/// Of a collection without documents: the settings are in force nevertheless.
core::IndexStats Engine::no_stats() const {
  core::IndexStats stats;
  stats.vectors.m = static_cast<int64_t>(options_.m);
  stats.vectors.ef_construction = static_cast<int64_t>(options_.ef_construction);
  stats.vectors.recall_target = options_.recall;
  stats.vectors.recall_measured = 1;
  return stats;
}

core::IndexStats Engine::total_stats() const {
  std::vector<std::shared_ptr<CollectionIndex>> indexes;
  {
    const auto lock = access_.read();
    for (const auto& [id, entry] : collections_) indexes.push_back(entry.index);
  }
  core::IndexStats total = no_stats();
  for (const auto& index : indexes) total.add(index->stats());
  return total;
}

core::IndexDamage Engine::damage() const {
  const std::lock_guard lock(damage_mutex_);
  return damage_;
}

void Engine::set_damage_listener(std::function<void()> listener) {
  const std::lock_guard lock(damage_mutex_);
  damage_listener_ = std::move(listener);
  // What was found before anybody listened.
  if (std::exchange(damage_unheard_, false) && damage_listener_) damage_listener_();
}

std::shared_ptr<CollectionIndex> Engine::find(int64_t id) const {
  const auto lock = access_.read();
  const auto at = collections_.find(id);
  return at == collections_.end() ? nullptr : at->second.index;
}

CollectionOptions Engine::collection_options(bool stemming) const {
  CollectionOptions options;
  options.stemming = stemming;
  options.vectors.m = options_.m;
  options.vectors.ef_construction = options_.ef_construction;
  options.vectors.ef = options_.ef;
  options.vectors.recall = options_.recall;
  if (options_.freeze_rows > 0) options.lexical.freeze_rows = options_.freeze_rows;
  if (options_.graph_rows > 0) options.vectors.graph_rows = options_.graph_rows;
  return options;
}

void Engine::note_damage(const base::Error& error) {
  logger_.failure("index_snapshot_damaged", error);
  const std::lock_guard lock(damage_mutex_);
  ++damage_.found;
  damage_.last = error.detail;
}

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
  engine->start();
  return engine;
}

}  // namespace tessera::index
