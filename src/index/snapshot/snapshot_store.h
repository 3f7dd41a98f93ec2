#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "index/collection_index.h"
#include "index/snapshot/snapshot_file.h"

namespace tessera::index {

/// A collection's index and when it last changed.
struct CollectionEntry {
  std::shared_ptr<CollectionIndex> index;
  int64_t changed_at = 0;  ///< sequence
};

/// Everything a snapshot holds: collections by id, and the sequence up to which changes are in them.
struct IndexContents {
  int64_t sequence = 0;
  std::map<int64_t, CollectionEntry> collections;
};

/// The snapshot files of one directory: one for each collection, written only when it changed, and a manifest that
/// names them and is replaced last, by renaming; so a crash leaves the old snapshot or the new one. One thread at a
/// time. Blocking.
class SnapshotStore {
 public:
  explicit SnapshotStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// Empty contents when there is no snapshot. Errors: invalid SNAPSHOT_DAMAGED and unavailable STORAGE_FAILED, their
  /// detail naming file and reason.
  base::Result<IndexContents> load();
  /// Errors: unavailable STORAGE_FAILED; the former snapshot stays.
  base::Result<> save(const IndexContents& contents);
  /// Removes every snapshot file, the manifest first.
  void remove_all();

 private:
  struct Saved {
    int64_t changed_at = 0;
    SnapshotSeal seal;
  };
  [[nodiscard]] base::Result<CollectionEntry> load_collection(int64_t id, const Saved& saved) const;
  [[nodiscard]] base::Result<> write_manifest(int64_t sequence, const std::map<int64_t, Saved>& files) const;
  void remove_unnamed() const;

  std::filesystem::path directory_;
  bool saved_once_ = false;
  int64_t saved_sequence_ = 0;
  std::map<int64_t, Saved> saved_;  // what the manifest names
};

}  // namespace tessera::index
