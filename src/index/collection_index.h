#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "core/documents.h"
#include "core/index.h"
#include "index/access.h"
#include "index/filter/document_table.h"
#include "index/lexical/segmented_index.h"
#include "index/vector/vector_index.h"

namespace tessera::index {

struct CollectionOptions {
  bool stemming = false;
  SegmentedIndex::Options lexical;
  VectorOptions vectors;
};

/// One collection: its documents and rows, their terms and their vectors. Any number of searches run beside one
/// applier, who alone calls put, remove, plan_compaction and save; long documents are added in slices, so that searches
/// never wait long, and become visible at once, together with the disappearance of their former version. One
/// maintenance thread and one saver may call the others beside them. Owned by shared pointers: a search keeps what it
/// began with. `files` outlives it.
class CollectionIndex {
 public:
  CollectionIndex(FileStore& files, const CollectionOptions& options);

  /// Vectors of other dimensions than those there are take their place (VectorIndex). Errors: invalid VECTOR_SHAPE (the
  /// text is searchable nevertheless). exhausted COLLECTION_INDEX_FULL: nothing was added, the former version is gone.
  base::Result<> put(int64_t document_key, const core::DocumentWrite& write);
  void remove(int64_t document_key);

  [[nodiscard]] std::vector<core::IndexHit> search_lexical(const core::IndexQuery& query,
                                                           Pruning pruning = Pruning::on) const;
  /// Errors: conflict DIMENSION_MISMATCH, invalid VECTOR_NOT_FINITE.
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_dense(const core::IndexQuery& query) const;
  [[nodiscard]] core::IndexStats stats() const;
  [[nodiscard]] size_t dimensions() const;  ///< of its vectors; 0 while there are none
  struct RowCounts {
    size_t rows = 0;
    size_t dead = 0;
  };
  [[nodiscard]] RowCounts row_counts() const;

  /// One piece of background work: segments written or merged. False if there was none. Errors: unavailable
  /// STORAGE_FAILED, invalid SNAPSHOT_DAMAGED; what the work was meant for goes on as before.
  base::Result<bool> maintain_segments(const std::atomic<bool>& stop, LexicalWork work = LexicalWork::all);
  /// The same for vectors: rows taken into the graph, or out of it. Ends early for write_ahead().
  base::Result<bool> maintain_vectors();
  /// From now on maintain_vectors() ends at once: the end is near.
  void interrupt() { yield_ = true; }

  /// What a compaction works on: the collection as it was between two changes. Holds what it reads.
  struct Compaction;
  [[nodiscard]] Compaction plan_compaction();  ///< the applier; short, but for reading all documents' metadata
  /// The same without dead rows. No lock; no maintain_vectors() meanwhile. Errors as maintain_segments.
  [[nodiscard]] static base::Result<std::shared_ptr<CollectionIndex>> compacted(Compaction compaction);

  /// The saver: writes most of what is in no file yet, so that save() has little to do. Waits for running maintenance.
  /// Errors: unavailable STORAGE_FAILED, invalid SNAPSHOT_DAMAGED.
  base::Result<> write_ahead();
  /// The applier. Writes what is in no file yet; puts what load() needs into `record` and the files it stands on into
  /// `files`. Errors: unavailable STORAGE_FAILED.
  base::Result<> save(ByteWriter& record, std::vector<FileEntry>& files);
  /// Errors: invalid SNAPSHOT_DAMAGED, unavailable STORAGE_FAILED.
  static base::Result<std::shared_ptr<CollectionIndex>> load(FileStore& files, ByteReader& record,
                                                             CollectionOptions options);

 private:
  base::Result<> check_vectors(const core::DocumentWrite& write) const;
  /// Chunks that are added together; their words are in prepared_.
  struct Slice {
    std::vector<int64_t> keys;
    base::Result<EncodedVectors> vectors;
  };
  Slice prepare_slice(const core::DocumentWrite& write, size_t first, size_t count, bool with_vectors);
  base::Result<> append_slice(const Slice& slice);  ///< write lock
  void retire(const std::optional<DocumentRows>& former);
  void wait_for_maintenance();
  base::Result<> write_segments_ahead();
  [[nodiscard]] std::vector<core::IndexHit> hits(const std::vector<RowHit>& rows) const;

  FileStore& files_;
  const CollectionOptions options_;
  std::atomic<bool> yield_{false};  // somebody waits for maintenance_
  std::mutex maintenance_;          // held while a job is planned, run and installed, and by write_ahead()
  std::mutex installing_;           // held while a job is installed, and by save()
  std::mutex waiting_;
  std::condition_variable installed_;  // with waiting_: a job was installed
  Access access_;
  // Guarded by access_; the applier reads without it.
  std::unique_ptr<DocumentTable> table_;
  std::unique_ptr<SegmentedIndex> lexical_;
  std::unique_ptr<VectorIndex> vectors_;
  PreparedRows prepared_;  // the applier's own
};

struct CollectionIndex::Compaction {
  FileStore& files;
  CollectionOptions options;
  DocumentTable::Compacted table;
  std::unique_ptr<SegmentedIndex> lexical;
  std::unique_ptr<VectorIndex> vectors;
};

}  // namespace tessera::index
