#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "index/files/file_store.h"
#include "index/rows.h"
#include "index/vector/vector_codes.h"

namespace tessera::index {

struct DotKernels;

struct VectorOptions {
  size_t m = 16;                 ///< links of a row on the graph's upper levels, twice as many on the lowest
  size_t ef_construction = 200;  ///< candidates looked at for a new row's links
  size_t ef = 0;                 ///< candidates of a walk; 0: measured for the recall asked for
  double recall = 0.95;          ///< share of the true nearest found, unless a query says otherwise
  size_t graph_rows = 8192;      ///< vectors from which on a graph is built (measured: bench/retrieval/vector.md)
  const DotKernels* kernels = nullptr;  ///< null: the best of this processor
};

struct VectorQuery {
  std::span<const float> vector;  ///< of any length but 0
  size_t k = 10;
  double recall = 0;  ///< 0: that of the options; 1 and more: exact
  size_t ef = 0;      ///< 0: by recall
};

/// What one search did; for tests and measurements.
struct VectorWork {
  enum class Plan { nothing, scan, gather, signs, walk, filtered_walk };
  Plan plan = Plan::nothing;  ///< of the rows in the graph, or of all if there is none
  bool rescued = false;       ///< the walk found too few rows, so that the allowed ones were looked at one by one
  size_t distances = 0;
  size_t hops = 0;
};

/// For /api/vector_db/stats.
struct VectorStats {
  uint64_t vectors = 0;     ///< rows with a vector that are not removed
  uint64_t graph_rows = 0;  ///< of them in the graph
  uint64_t pending = 0;     ///< of them scanned beside it; all while there is no graph
  uint64_t removed = 0;     ///< waypoints of the graph that may not be returned any more
  size_t dimensions = 0;
  size_t m = 0;
  size_t ef_construction = 0;
  size_t ef = 0;  ///< in force for the default recall; 0: everything is scanned
  double recall_target = 0;
  double recall = 1;           ///< measured on rows not in the graph yet, at `ef`; 1 while everything is scanned
  uint64_t measured_rows = 0;  ///< rows of the graph when it was measured; 0: not yet, `ef` is a guess
  uint64_t memory_bytes = 0;   ///< in memory
  uint64_t mapped_bytes = 0;   ///< of files, in memory as far as they are used
};

/// Dense search of one collection: a vector of 16-bit fixed point (or none) a row, scanned exactly while there are few;
/// then a graph (GraphIndex) over the rows it was given by maintenance jobs, and a scan of those behind them, so that a
/// new row is found at once. Rows grow; a removed row stays until compaction. One applier changes it under the
/// collection's write lock; searches hold the read lock; one maintenance job runs beside both without a lock. All
/// vectors have the dimensions of the latest: when others come, the model is another one, and those before are
/// forgotten.
class VectorIndex {
 public:
  explicit VectorIndex(const VectorOptions& options);
  ~VectorIndex();
  VectorIndex(const VectorIndex&) = delete;
  VectorIndex& operator=(const VectorIndex&) = delete;

  // --- The applier. Write lock, unless said otherwise. ---

  /// Without a lock: `rows` vectors (row-major), ready to be appended. Zero vectors and those with a value that is no
  /// number give rows without a vector. No vectors at all (dimensions 0): `rows` rows without. Errors: invalid
  /// VECTOR_SHAPE.
  [[nodiscard]] base::Result<EncodedVectors> encode(std::span<const float> vectors, size_t rows,
                                                    size_t dimensions) const;
  /// Appends encoded.heads.size() rows. `encoded` is of this index's encode(), with no other append between but of the
  /// same dimensions. Microseconds. Of other dimensions than those before: no row so far has a vector any more.
  void append(const EncodedVectors& encoded);
  /// Rows without vectors.
  void append_nothing(size_t rows);
  /// These rows will not be searched for any more (no selection holds them); the next job takes them out of the graph.
  void remove(Row first, size_t count);

  // --- Searches. Read lock. ---

  /// Best first, ties by row: exactly min(k, selected rows with a vector). `selection` covers rows(). Empty for a zero
  /// vector or an index without vectors. Errors: conflict DIMENSION_MISMATCH (naming both), invalid VECTOR_NOT_FINITE.
  [[nodiscard]] base::Result<std::vector<RowHit>> search(const VectorQuery& query, const RowSelection& selection,
                                                         VectorWork* work = nullptr) const;
  /// A selected row's vector, length 1, `out` dimensions() long; false: it has none. For near-duplicates.
  bool vector_of(Row row, std::span<float> out) const;
  [[nodiscard]] VectorStats stats() const;
  [[nodiscard]] size_t dimensions() const;  ///< 0 until the first vectors
  [[nodiscard]] Row rows() const;
  [[nodiscard]] uint64_t vectors() const;  ///< rows with a vector that are not removed

  // --- Maintenance. Jobs do not overlap each other, save, compacted or the index's end. ---

  /// A bounded piece of work: some thousand rows into the graph, removed ones out of it, recall measured.
  class Job {
   public:
    virtual ~Job() = default;
    /// No lock. Searches see its progress. Stops between two rows (within a millisecond or so) when told.
    virtual void run(const std::atomic<bool>& stop) = 0;
  };
  /// Read lock. Null: nothing to do.
  [[nodiscard]] std::unique_ptr<Job> plan();
  /// Write lock. Microseconds. What a stopped job did is kept.
  void install(std::unique_ptr<Job> job);

  // --- Files (docs/formats/index-vectors.md). The applier, no change meanwhile; searches go on. ---

  enum class GraphFile { when_due, as_it_is };
  /// Writes what is not in a file yet, appends what load() needs to `record`, and to `files` every file in force. The
  /// graph is written when enough of it changed (no job meanwhile), or not at all; its rows since are found again by
  /// scanning. Errors: as finish().
  base::Result<> save(FileStore& store, ByteWriter& record, std::vector<FileEntry>& files,
                      GraphFile graph = GraphFile::when_due);
  /// Read lock. The rows there are now, sharing memory with this: for save() and compacted() beside the applier.
  [[nodiscard]] std::unique_ptr<VectorIndex> snapshot() const;
  /// Write lock. The files that a snapshot was saved in, and no other was since, are this index's too.
  void take_files(const VectorIndex& snapshot);
  /// The index as saved; `live` are the collection's live rows (all others count as removed). Maps the files. Errors:
  /// invalid SNAPSHOT_DAMAGED, unavailable STORAGE_FAILED.
  static base::Result<std::unique_ptr<VectorIndex>> load(FileStore& store, ByteReader& record,
                                                         std::span<const uint64_t> live, const VectorOptions& options);
  /// A copy without the rows that `map` drops, not in files yet; the graph's links are mapped, not made again.
  /// No lock (the applier or a snapshot, no job meanwhile); seconds for millions of rows.
  [[nodiscard]] std::unique_ptr<VectorIndex> compacted(const RowMap& map) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::index
