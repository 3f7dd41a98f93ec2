#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "index/access.h"
#include "index/collection_index.h"
#include "index/files/file_store.h"
#include "index/missed_changes.h"
#include "index/retrieval_index.h"
#include "index/work_list.h"

namespace tessera::index {

/// The port's implementation: collections by id, each with its own lock; one applier; a maintenance thread; files. What
/// takes long (merging, linking, compacting, saving) is done beside the applier, who is held up for short turns only.
/// Locks are taken in this order: saving_, a collection's maintenance, applier_, access_, a collection's own.
class Engine final : public core::RetrievalIndex {
 public:
  Engine(IndexOptions options, base::Logger& logger);
  ~Engine() override;
  /// Before start(): what the files hold; damage leaves nothing and is noted.
  void load();
  void start();

  // retrieval_index.cc
  base::Result<> apply(const core::StoreChange& change) override;
  [[nodiscard]] int64_t applied_sequence() const override { return applied_; }
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_lexical(const core::IndexQuery& query) const override;
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_dense(const core::IndexQuery& query) const override;
  [[nodiscard]] core::IndexStats stats(int64_t collection_id) const override;
  [[nodiscard]] core::IndexStats total_stats() const override;
  [[nodiscard]] size_t dimensions(int64_t collection_id) const override;
  [[nodiscard]] core::IndexDamage damage() const override;
  void set_damage_listener(std::function<void()> listener) override;
  // engine_files.cc
  base::Result<> save() override;
  void clear() override;

 private:
  /// A collection's index, when it last changed, and what the manifest in force says of it.
  struct Entry {
    std::shared_ptr<CollectionIndex> index;
    int64_t changed_at = 0;  ///< sequence
    bool saved = false;      ///< `record` and `files` describe it as it is
    std::string record;
    std::vector<FileEntry> files;
  };
  using Indexes = std::set<std::shared_ptr<CollectionIndex>>;

  [[nodiscard]] std::shared_ptr<CollectionIndex> find(int64_t id) const;
  void note_damage(const base::Error& error);
  [[nodiscard]] CollectionOptions collection_options(bool stemming) const;
  [[nodiscard]] core::IndexStats no_stats() const;
  // With applier_.
  base::Result<> put(const core::StoreChange& change);
  void changed(int64_t id, int64_t sequence);
  [[nodiscard]] Indexes unsaved() const;
  base::Result<> save_entry(Entry& entry);
  base::Result<std::vector<FileEntry>> write_manifest(ByteWriter& manifest);

  base::Result<> load_manifest();
  base::Result<> save_most();

  // The maintenance thread (engine_maintenance.cc).
  void verify_files();
  void maintain();
  void maintain(int64_t id);
  [[nodiscard]] std::optional<std::chrono::milliseconds> patience() const;
  void use_quiet();
  bool note_work(int64_t id, const base::Result<bool>& worked);
  void save_maintained();
  [[nodiscard]] bool wants_compaction(const CollectionIndex& index) const;
  void compact(int64_t id);
  bool catch_up(int64_t id, const std::shared_ptr<CollectionIndex>& old, std::shared_ptr<CollectionIndex> fresh);

  const IndexOptions options_;
  base::Logger& logger_;
  FileStore files_;
  std::mutex saving_;  // held by save() and clear()
  std::mutex applier_;
  bool unsaved_ = true;   // guarded by applier_
  MissedChanges missed_;  // guarded by applier_
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
  std::set<int64_t> for_quiet_;   // may have segments to write, or rows for their graphs
  std::set<int64_t> overtaken_;   // changed faster than they could be compacted
  bool quiet_ = false;
  std::thread maintenance_;
};

}  // namespace tessera::index
