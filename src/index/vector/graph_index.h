#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"
#include "index/files/file_store.h"
#include "index/rows.h"
#include "index/vector/dot_kernels.h"
#include "index/vector/row_plane.h"
#include "index/vector/vector_planes.h"

namespace tessera::index {

struct GraphOptions {
  size_t m = 16;                        ///< links of a row on upper levels; twice as many on the lowest. 4 to 64
  size_t ef_construction = 200;         ///< candidates looked at for a new row's links
  uint64_t seed = 1;                    ///< decides the rows' levels; same seed and calls, same graph
  const DotKernels* kernels = nullptr;  ///< null: the best of this processor
};

struct GraphQuery {
  std::span<const float> unit;     ///< of unit_query(), not empty
  size_t ef = 64;                  ///< candidates kept during the walk
  size_t want = 10;                ///< rows to return at most
  Row rows = 0;                    ///< of rows(), read before: only rows below are returned
  Row visible = 0;                 ///< rows of the planes
  const uint64_t* bits = nullptr;  ///< a bit for each of them: only these may be returned
  bool filtered = false;           ///< `bits` leave out more than a few removed rows: walk among them
  double away_below = 0;           ///< no walk if a smaller share of the rows near the query is allowed
};

/// What one search did; for measurements.
struct GraphWork {
  size_t distances = 0;
  size_t hops = 0;
  bool away = false;  ///< see GraphQuery::away_below
};

/// Approximate nearest neighbours by cosine: a hierarchical navigable small world (Malkov and Yashunin, 2016) over the
/// codes of a VectorPlanes, whose row numbers it shares. One maintainer inserts rows in order and takes removed ones
/// out, without a lock, beside any number of searches: links are single words, each always a row or nothing, so that a
/// search that meets a list half written only sees some of the old and some of the new. A removed row stays as a
/// waypoint until a sweep has given its neighbours links past it.
class GraphIndex {
 public:
  GraphIndex(std::shared_ptr<const VectorPlanes> planes, const GraphOptions& options);
  ~GraphIndex();
  GraphIndex(const GraphIndex&) = delete;
  GraphIndex& operator=(const GraphIndex&) = delete;

  /// Under the planes' write lock, with them: room for the links of `rows` rows.
  void grow(Row rows);

  // --- The maintainer, one thread at a time. ---

  /// Inserts the next row, rows(); one without a vector, or whose bit in `removed` is set, is passed over. The planes
  /// have it.
  void insert_next(const std::vector<uint64_t>& removed);
  /// Rows that will not be returned any more. `removed` has a bit for each row in the graph.
  void retire(const std::vector<uint64_t>& removed);
  /// A step of the sweep that takes retired rows out, begun when they are many (or at once, if told). False: nothing is
  /// left to do.
  bool sweep(size_t rows, bool at_once);

  // --- Anyone (searches: the planes' read lock). ---

  /// Candidates, best first by the codes alone; fewer than asked for where the walk did not meet enough.
  std::vector<RowHit> search(const GraphQuery& query, GraphWork* work = nullptr) const;

  [[nodiscard]] Row rows() const { return rows_.load(std::memory_order_acquire); }  ///< every row before was inserted
  [[nodiscard]] uint64_t live() const { return live_count_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t waypoints() const { return dead_count_.load(std::memory_order_relaxed); }  ///< removed
  [[nodiscard]] bool wants_sweep() const;  ///< the maintainer, or when there is none
  [[nodiscard]] uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }  ///< rows in or out, ever
  [[nodiscard]] const GraphOptions& options() const { return options_; }
  [[nodiscard]] size_t memory_bytes() const;
  [[nodiscard]] size_t mapped_bytes() const { return links_.mapped_bytes(); }

  // --- Files, compaction (graph_files.cc). No maintainer meanwhile. ---

  base::Result<std::shared_ptr<const IndexFile>> write(FileStore& store) const;
  /// Over planes of at least as many rows. `live`: all others count as removed. Checks every count and link, so that
  /// bytes changed on purpose cannot lead a walk out of memory. Errors: invalid SNAPSHOT_DAMAGED.
  static base::Result<std::unique_ptr<GraphIndex>> read(const FileStore& store, const IndexFile& file,
                                                        std::shared_ptr<const VectorPlanes> planes,
                                                        std::span<const uint64_t> live, const DotKernels* kernels);
  /// The same graph over `planes`, whose rows are those that `map` keeps. Rows that go are mended around first, in the
  /// copy.
  [[nodiscard]] std::unique_ptr<GraphIndex> compacted(std::shared_ptr<const VectorPlanes> planes,
                                                      const RowMap& map) const;

 private:
  static constexpr Row kNone = 0xFFFFFFFF;
  static constexpr size_t kLevelsMax = 12;
  static constexpr size_t kLinksMax = 128;
  struct Scored;
  struct Scratch;
  class Lease;
  using Bits = std::vector<uint64_t>;

  static bool bit(const uint64_t* bits, Row row) { return ((bits[row / 64] >> (row % 64)) & 1) != 0; }
  static bool bit(const Bits& bits, Row row) { return bit(bits.data(), row); }
  static void set_bit(Bits& bits, Row row, bool on) {
    const uint64_t mask = uint64_t{1} << (row % 64);
    bits[row / 64] = on ? bits[row / 64] | mask : bits[row / 64] & ~mask;
  }
  [[nodiscard]] size_t width(size_t level) const { return level == 0 ? 2 * options_.m : options_.m; }
  [[nodiscard]] size_t level_of(Row row) const;
  void reserve_upper(Row row, size_t levels);
  [[nodiscard]] size_t top_of(Row row) const;
  [[nodiscard]] uint32_t* links(Row row, size_t level) const;
  size_t read_links(Row row, size_t level, Row* out) const;
  void write_links(Row row, size_t level, std::span<const Row> to);
  void set_entry(Row row, size_t level);

  // Searching (graph_search.cc).
  void row_query(Row row, Scratch& scratch) const;
  void score_batch(size_t count, size_t level, Scratch& scratch) const;
  void expand(Row row, size_t level, Scratch& scratch) const;
  void expand_filtered(Row row, const uint64_t* bits, Scratch& scratch) const;
  [[nodiscard]] double share_around(Row row, const uint64_t* bits) const;
  void walk(Row start, size_t level, size_t ef, Scratch& scratch) const;
  void walk_filtered(Row start, const GraphQuery& query, Scratch& scratch) const;
  [[nodiscard]] Row descend(Row entry, size_t from_level, size_t to_level, Scratch& scratch) const;

  // Changing (graph_index.cc).
  void connect(Row row, size_t level, Scratch& scratch);
  void choose(std::vector<Scored>& candidates, size_t most, Scratch& scratch) const;
  void score_fully(std::vector<Scored>& candidates, Scratch& scratch) const;
  void choose_entry();
  void make_bits(Row rows);
  void forget_all();
  bool choose_past(Row row, size_t level, const Bits& gone, Scratch& scratch) const;
  void finish_sweep();

  // graph_files.cc
  bool take_upper(ByteReader& reader, Row rows);
  bool take_links(const FileStore& store, const IndexFile& file, uint64_t offset, Row rows);
  void take_live(std::span<const uint64_t> live);

  std::shared_ptr<const VectorPlanes> planes_;
  GraphOptions options_;
  const DotKernels* kernels_;
  std::vector<uint64_t> level_bounds_;  ///< a row whose mixed number is below [l] is on level l + 1
  std::atomic<Row> rows_ = 0;
  std::atomic<uint64_t> entry_ = kNone;  ///< row, level << 32
  std::atomic<uint64_t> live_count_ = 0;
  std::atomic<uint64_t> dead_count_ = 0;
  std::atomic<uint64_t> changes_ = 0;
  std::atomic<size_t> bits_bytes_ = 0;  ///< of the maintainer's own
  RowPlane<uint32_t> links_;  ///< row x 2m, lowest level: row + 1, 0 behind the last; single words, read and written so
  RowPlane<uint32_t> upper_;  ///< row -> its place in pool_, 0: none; written by grow() only
  RowPlane<uint32_t> pool_;   ///< levels, then m links a level
  uint32_t pool_used_ = 1;
  Row upper_rows_ = 0;
  // The maintainer's own.
  Bits linked_;    ///< in the graph, live or waypoint
  Bits dead_;      ///< waypoints
  Bits retiring_;  ///< dead when the sweep began: nothing links to them any more behind sweep_at_
  bool sweeping_ = false;
  Row sweep_at_ = 0;

  mutable std::mutex scratch_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> scratches_;  ///< guarded by scratch_mutex_
};

}  // namespace tessera::index
