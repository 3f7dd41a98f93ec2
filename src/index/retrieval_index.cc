#include "index/retrieval_index.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "index/access.h"
#include "index/collection_index.h"
#include "index/files/file_store.h"
#include "index/work_list.h"

namespace tessera::index {
namespace {

constexpr uint32_t kRecordVersion = 1;
/// Maintenance saves its results when there was nothing more to do for so long.
constexpr std::chrono::milliseconds kQuietBeforeSave{2000};
constexpr std::chrono::milliseconds kPauseAfterFailure{5000};
constexpr int kMaintenanceNice = 10;
/// Changes have stopped for so long: the graph's turn.
constexpr std::chrono::milliseconds kQuietBeforeVectors{300};

/// A collection's index, when it last changed, and what the manifest in force says of it.
struct Entry {
  std::shared_ptr<CollectionIndex> index;
  int64_t changed_at = 0;  ///< sequence
  bool saved = false;      ///< `record` and `files` describe it as it is
  std::string record;
  std::vector<FileEntry> files;
};

/// The port's implementation: collections by id, each with its own lock; one applier; a maintenance thread; files.
class Engine final : public core::RetrievalIndex {
 public:
  Engine(IndexOptions options, base::Logger& logger)
      : options_(std::move(options)), logger_(logger), files_(options_.directory) {}

  ~Engine() override {
    work_.stop();
    for (const auto& [id, entry] : collections_) entry.index->interrupt();
    if (maintenance_.joinable()) maintenance_.join();
  }

  void load() {
    if (const auto loaded = load_manifest(); !loaded) {
      note_damage(loaded.error());
      collections_.clear();
      applied_ = 0;
      files_.remove_all();
    }
    for (const auto& [id, entry] : collections_) work_.add(id);
  }

  void start() {
    maintenance_ = std::thread([this] { maintain(); });
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
          changed(change.collection_id, change.sequence);
        }
        break;
      case core::StoreChange::Kind::drop_collection: {
        std::shared_ptr<CollectionIndex> dropped;  // outlives the lock: freeing it takes time
        const auto lock = access_.write();
        if (const auto at = collections_.find(change.collection_id); at != collections_.end()) {
          dropped = std::move(at->second.index);
          collections_.erase(at);
        }
        break;
      }
    }
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
      for (const auto& [id, entry] : collections_) indexes.push_back(entry.index);
    }
    core::IndexStats total;
    for (const auto& index : indexes) total.add(index->stats());
    return total;
  }

  base::Result<> save() override {
    const std::lock_guard applying(applier_);
    if (!files_.on_disk() || saved_sequence_ == applied_) return {};
    ByteWriter manifest;
    manifest.put(kRecordVersion);
    manifest.put(applied_.load());
    manifest.put(static_cast<uint32_t>(collections_.size()));
    std::vector<FileEntry> files;
    for (auto& [id, entry] : collections_) {
      if (!entry.saved) {
        ByteWriter record;
        entry.files.clear();
        TESSERA_CHECK(entry.index->save(record, entry.files));
        entry.record = record.bytes();
        entry.saved = true;
      }
      manifest.put(id);
      manifest.put(entry.changed_at);
      manifest.put_string(entry.record);
      files.insert(files.end(), entry.files.begin(), entry.files.end());
    }
    TESSERA_CHECK(files_.commit(manifest.bytes(), files));
    saved_sequence_ = applied_;
    return {};
  }

  void clear() override {
    const std::lock_guard applying(applier_);
    std::map<int64_t, Entry> forgotten;  // outlives the lock
    {
      const auto lock = access_.write();
      std::swap(forgotten, collections_);
      applied_ = 0;
      saved_sequence_ = -1;
    }
    forgotten.clear();
    files_.remove_all();
  }

  [[nodiscard]] core::IndexDamage damage() const override {
    const std::lock_guard lock(damage_mutex_);
    return damage_;
  }

  void set_damage_listener(std::function<void()> listener) override {
    const std::lock_guard lock(damage_mutex_);
    damage_listener_ = std::move(listener);
    // What was found before anybody listened.
    if (std::exchange(damage_unheard_, false) && damage_listener_) damage_listener_();
  }

 private:
  [[nodiscard]] std::shared_ptr<CollectionIndex> find(int64_t id) const {
    const auto lock = access_.read();
    const auto at = collections_.find(id);
    return at == collections_.end() ? nullptr : at->second.index;
  }

  /// The applier's.
  void changed(int64_t id, int64_t sequence) {
    Entry& entry = collections_[id];
    entry.changed_at = sequence;
    entry.saved = false;
    work_.add(id);
  }

  [[nodiscard]] CollectionOptions collection_options(bool stemming) const {
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

  base::Result<> put(const core::StoreChange& change) {
    if (change.document == nullptr) {
      return base::fail(base::Code::internal, "CHANGE_WITHOUT_DOCUMENT", "A stored document was not handed on.");
    }
    std::shared_ptr<CollectionIndex> index = find(change.collection_id);
    if (index == nullptr) {
      index = std::make_shared<CollectionIndex>(files_, collection_options(change.settings.stemming));
      const auto lock = access_.write();
      collections_[change.collection_id].index = index;
    }
    base::Result<> outcome = index->put(change.document_key, *change.document);
    changed(change.collection_id, change.sequence);
    const auto limit = static_cast<size_t>(options_.compact_dead_share * static_cast<double>(index->rows()));
    if (index->dead_rows() >= options_.compact_rows_min && index->dead_rows() > limit) {
      auto compacted = index->compacted();
      if (compacted) {
        std::shared_ptr<CollectionIndex> fresh = std::move(*compacted);  // the old one outlives the lock
        const auto lock = access_.write();
        collections_[change.collection_id].index.swap(fresh);
      } else {
        logger_.failure("index_compaction_failed", compacted.error());
      }
    }
    return outcome;
  }

  base::Result<> load_manifest() {
    TESSERA_TRY(const std::string payload, files_.read_manifest());
    if (payload.empty()) return {};
    ByteReader manifest(payload);
    if (manifest.get<uint32_t>() != kRecordVersion) return files_damaged("MANIFEST", "records of another version");
    const auto sequence = manifest.get<int64_t>();
    for (auto left = manifest.get<uint32_t>(); left > 0 && manifest.good(); --left) {
      const auto id = manifest.get<int64_t>();
      Entry& entry = collections_[id];
      entry.changed_at = manifest.get<int64_t>();
      entry.record = manifest.get_string();
      ByteReader record(entry.record);
      TESSERA_TRY(entry.index, CollectionIndex::load(files_, record, collection_options(false)));
      // The first save after a start writes a small record anew rather than trusting what is kept of the old one.
      entry.saved = false;
      if (!record.good() || !record.at_end()) return files_damaged("MANIFEST", "a record is too long or too short");
    }
    if (!manifest.good() || !manifest.at_end()) return files_damaged("MANIFEST", "its records contradict themselves");
    applied_ = sequence;
    saved_sequence_ = sequence;
    return {};
  }

  void note_damage(const base::Error& error) {
    logger_.failure("index_snapshot_damaged", error);
    const std::lock_guard lock(damage_mutex_);
    ++damage_.found;
    damage_.last = error.detail;
  }

  void maintain() {
    ::pthread_setname_np(::pthread_self(), "maintenance");
    // Searches and changes come first where processors are few. On Linux this is of the thread, and of those it starts;
    // a tenth of a busy processor is enough to keep up with the changes. That it fails does no harm.
    ::setpriority(PRIO_PROCESS, 0, kMaintenanceNice);
    // Files are looked at first, so that damage is known early.
    while (!work_.stop_flag()) {
      const auto verified = files_.verify_next();
      if (verified && !*verified) break;
      if (verified) continue;
      note_damage(verified.error());
      const std::lock_guard lock(damage_mutex_);
      if (damage_listener_) damage_listener_();
      damage_unheard_ = !damage_listener_;
    }
    while (!work_.stop_flag()) {
      if (const auto id = work_.next(patience())) {
        quiet_ = false;
        maintain(*id);
      } else if (!work_.stop_flag()) {
        use_quiet();
      }
    }
  }

  /// How long to wait for the next change before using the quiet; no time: for ever.
  [[nodiscard]] std::optional<std::chrono::milliseconds> patience() const {
    if (!for_quiet_.empty()) return quiet_ ? std::chrono::milliseconds(0) : kQuietBeforeVectors;
    if (!maintained_.empty()) return kQuietBeforeSave;
    return std::nullopt;
  }

  /// Segments are written and merged while changes arrive, which bounds memory. The graph is built in the quiet after
  /// them, so that ingest has the processors; rows that are not in it yet are found by scanning.
  void maintain(int64_t id) {
    const std::shared_ptr<CollectionIndex> index = find(id);
    if (index == nullptr) return;
    if (note_work(id, index->maintain_segments(work_.stop_flag()))) work_.add(id);
    const core::VectorIndexStats vectors = index->stats().vectors;
    if (vectors.rows - vectors.graph_rows < options_.scanned_rows_max) {
      for_quiet_.insert(id);
    } else {
      note_work(id, index->maintain_vectors());
    }
  }

  void use_quiet() {
    quiet_ = true;
    if (for_quiet_.empty()) {
      save_maintained();
      return;
    }
    const int64_t id = *for_quiet_.begin();
    const std::shared_ptr<CollectionIndex> index = find(id);
    if (index == nullptr || !note_work(id, index->maintain_vectors())) for_quiet_.erase(id);
  }

  /// Whether there was work, or its failure has to be tried again.
  bool note_work(int64_t id, const base::Result<bool>& worked) {
    if (worked && !*worked) return false;
    maintained_.insert(id);
    if (worked) return true;
    logger_.failure("index_maintenance_failed", worked.error());
    work_.pause(kPauseAfterFailure);
    return true;
  }

  /// What maintenance made would otherwise have to be made again after a restart.
  void save_maintained() {
    {
      const std::lock_guard applying(applier_);
      for (const int64_t id : maintained_) {
        if (const auto at = collections_.find(id); at != collections_.end()) at->second.saved = false;
      }
      saved_sequence_ = -1;
    }
    maintained_.clear();
    if (const auto saved = save(); !saved) logger_.failure("index_save_failed", saved.error());
  }

  const IndexOptions options_;
  base::Logger& logger_;
  FileStore files_;
  std::mutex applier_;
  int64_t saved_sequence_ = -1;  // guarded by applier_
  Access access_;
  std::map<int64_t, Entry> collections_;  // guarded by access_; whoever holds applier_ reads without it
  std::atomic<int64_t> applied_{0};
  mutable std::mutex damage_mutex_;
  core::IndexDamage damage_;  // guarded by damage_mutex_, as all below
  std::function<void()> damage_listener_;
  bool damage_unheard_ = false;
  WorkList work_;
  // The maintenance thread's own.
  std::set<int64_t> maintained_;  // since the last save
  std::set<int64_t> for_quiet_;   // may have rows for their graphs
  bool quiet_ = false;
  std::thread maintenance_;
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
  engine->start();
  return engine;
}

}  // namespace tessera::index
