#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/result.h"
#include "index/files/file_store.h"
#include "index/lexical/bm25.h"
#include "index/lexical/prepared_rows.h"
#include "index/lexical/query.h"
#include "index/rows.h"

namespace tessera::index {

/// A piece of background work on a SegmentedIndex: writing a frozen segment to a file, or merging neighbours into one.
/// Holds what it reads. run() needs no lock; one run at a time.
class LexicalJob {
 public:
  virtual ~LexicalJob() = default;
  /// Looks at `stop` often; a job that was stopped is installed as nothing. Errors: unavailable STORAGE_FAILED, invalid
  /// SNAPSHOT_DAMAGED.
  virtual base::Result<> run(const std::atomic<bool>& stop) = 0;
};

/// What background work is wanted: all there is, or none that is better done together with more of its kind (while
/// changes stream in, segments in memory wait until they make a large file at once).
enum class LexicalWork { all, due };

/// The lexical half of a collection: a live segment in memory that rows are appended to, and immutable ones in files,
/// each over a range of rows. Statistics (rows, average length, document frequencies) count exactly the rows that are
/// activated and not removed. Which thread: one applier changes it; const functions run beside each other under the
/// collection's read lock; functions that say so need the write lock, or none. The file store outlives it.
class SegmentedIndex {
 public:
  struct Options {
    size_t freeze_rows = 32768;  ///< a live segment of so many rows becomes a file; at most 65,536
    size_t segment_rows_max = size_t{1} << 23;
  };
  explicit SegmentedIndex(FileStore& files);
  SegmentedIndex(FileStore& files, Options options);
  ~SegmentedIndex();
  SegmentedIndex(SegmentedIndex&&) noexcept;
  SegmentedIndex& operator=(SegmentedIndex&&) noexcept;

  /// Optional, on the applier, read lock: makes room for `rows` so that append() need not.
  void make_room(const PreparedRows& rows);
  /// Write lock. Adds rows behind the last one (a few hundred at a time, under a millisecond), invisible until
  /// activated.
  void append(const PreparedRows& rows);
  /// Write lock. The rows begin to count. Each row once, after append.
  void activate(Row first, Row count);
  /// Write lock. The rows cease to count, for good. Also for rows that never were activated, which otherwise hold up
  /// background work.
  void remove(Row first, Row count);

  /// Read lock. The best k of the selected rows, best first, ties by row. `selection` covers live rows of this index
  /// only (a row of it that is not activated is an error of the caller). Top-k by windowed MAXSCORE over all segments
  /// with one threshold.
  [[nodiscard]] std::vector<RowHit> search(const LexicalQuery& query, size_t k, const RowSelection& selection,
                                           Pruning pruning = Pruning::on) const;

  /// Rows appended so far, whatever became of them.
  [[nodiscard]] Row rows() const;
  [[nodiscard]] uint64_t live_rows() const;
  /// Live rows with this term (analysed). Exact.
  [[nodiscard]] uint64_t rows_with(std::string_view term) const;
  /// Distinct terms: exact while there is one segment; with several, an estimate between the largest segment's and the
  /// sum (a term in several segments cannot be told without merging them). Terms of removed rows go with merges.
  [[nodiscard]] uint64_t terms() const;
  /// Memory held, mapped files not counted (they are `file_bytes`).
  [[nodiscard]] size_t memory_bytes() const;
  [[nodiscard]] size_t file_bytes() const;
  /// Read lock. Whether so much is in memory for background work to write that no more should be added before it is.
  [[nodiscard]] bool behind() const;
  [[nodiscard]] size_t segments() const;

  /// Read lock. The next piece of background work; null when there is none.
  [[nodiscard]] std::unique_ptr<LexicalJob> plan(LexicalWork work = LexicalWork::all) const;
  /// Write lock, under a millisecond. Rows removed since plan() stay removed.
  void install(std::unique_ptr<LexicalJob> job);

  /// Write lock. A live segment of at least so many rows, all activated or removed, gets no further ones.
  void freeze(Row rows_min);
  /// As plan(), but only what is still in memory and gets no further rows.
  [[nodiscard]] std::unique_ptr<LexicalJob> plan_write() const;
  /// Write lock, on the applier. The rows that count now, for compacted() beside the applier.
  [[nodiscard]] std::unique_ptr<SegmentedIndex> snapshot();

  /// On the applier, no lock, no change and no install meanwhile; every row is activated or removed. Writes what is in
  /// no file yet, puts what load() needs into `record` and the files in force into `files`. Errors: unavailable
  /// STORAGE_FAILED.
  base::Result<> save(ByteWriter& record, std::vector<FileEntry>& files);
  /// Write lock, optional, after save(): lets go of memory that is now in files.
  void release_saved();
  /// Maps what save() wrote. Errors: invalid SNAPSHOT_DAMAGED, unavailable STORAGE_FAILED.
  static base::Result<std::unique_ptr<SegmentedIndex>> load(FileStore& files, ByteReader& record);
  static base::Result<std::unique_ptr<SegmentedIndex>> load(FileStore& files, ByteReader& record, Options options);

  /// Of a snapshot, or on the applier; no lock, no change and no job meanwhile: a copy with the rows that `map` keeps,
  /// renumbered, in as few segments as can be. Every kept row is live here and will be there. Errors as
  /// LexicalJob::run.
  [[nodiscard]] base::Result<std::unique_ptr<SegmentedIndex>> compacted(const RowMap& map) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::index
