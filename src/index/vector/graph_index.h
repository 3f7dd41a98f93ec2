#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "index/access.h"
#include "index/vector/dot_kernels.h"
#include "index/vector/graph_kernels.h"
#include "index/vector/graph_memory.h"

namespace tessera::index {

struct GraphOptions {
  size_t dimensions = 0;                  ///< 1 to kDimensionsMax
  size_t m = 16;                          ///< links of a row on upper levels; twice as many on the lowest. 4 to 64
  size_t ef_construction = 200;           ///< candidates looked at for a new row's links
  bool rerank = true;                     ///< keep a second byte a component, to order the best candidates in 16 bits
  uint64_t seed = 1;                      ///< decides the rows' levels; same seed and calls, same graph
  const GraphKernels* kernels = nullptr;  ///< null: the best of this processor
};

struct GraphHit {
  Row row = 0;
  float score = 0;  ///< cosine
};

struct GraphQuery {
  std::span<const float> vector;  ///< dimensions long, any length but 0
  size_t k = 10;
  size_t ef = 64;                     ///< candidates kept during the walk; at least k is used
  const uint64_t* allowed = nullptr;  ///< bitmap of rows() bits: only these may be returned; null: all
};

/// What one search did; for measurements.
struct GraphWork {
  size_t distances = 0;
  size_t hops = 0;
  bool scanned = false;  ///< the survivors were scanned instead of, or after, the walk
};

/// Approximate nearest neighbours by cosine: a hierarchical navigable small world (Malkov and Yashunin, 2016) over
/// vectors of one byte a component, with the best candidates ordered in 16 bits. Rows are numbers given by the owner,
/// dense (memory is that of the largest). Many threads may search beside one that adds and removes: an insertion looks
/// for its neighbours beside the searches and takes the exclusive lock only to write links. A removed row stays as a
/// waypoint until an incremental sweep, driven by later changes, has given its neighbours links past it.
class GraphIndex {
 public:
  explicit GraphIndex(const GraphOptions& options);
  ~GraphIndex();
  GraphIndex(const GraphIndex&) = delete;
  GraphIndex& operator=(const GraphIndex&) = delete;

  /// One thread at a time changes the index. False: no vector was added, as it has the wrong length, is zero or not
  /// finite, or the row is live already. A row removed a short time ago may cost a whole sweep to take again.
  bool add(Row row, std::span<const float> vector);
  /// False: the row is not live.
  bool remove(Row row);
  /// Ends the sweep now: no link leads to a removed row any more.
  void repair();

  /// Best first, ties by row: exactly min(k, live and allowed rows), whatever the shape of the graph. Where few rows
  /// are allowed they are scanned. Empty for a vector of the wrong length, zero or not finite.
  [[nodiscard]] std::vector<GraphHit> search(const GraphQuery& query, GraphWork* work = nullptr) const;
  /// The same by looking at every row.
  [[nodiscard]] std::vector<GraphHit> search_exact(const GraphQuery& query) const;
  /// The smallest of a ladder of ef at which recall@k over `samples` live rows, taken as queries (without finding
  /// themselves), reached `target`; the largest if none did. Costs a scan a sample; the caller keeps the answer.
  [[nodiscard]] size_t ef_for_recall(double target, size_t k, size_t samples) const;

  [[nodiscard]] Row rows() const { return rows_; }  ///< one more than the largest row ever added
  [[nodiscard]] size_t size() const { return live_count_; }
  [[nodiscard]] size_t dimensions() const { return options_.dimensions; }
  [[nodiscard]] size_t memory_bytes() const;

  /// Appends the index. Not beside changes. The caller adds a checksum.
  void serialize(std::string& out) const;
  /// The index again; checks every count and link, so that bytes changed on purpose cannot make a walk leave memory.
  /// Errors: invalid (INDEX_DAMAGED).
  static base::Result<std::unique_ptr<GraphIndex>> open(std::string_view bytes, const GraphKernels* kernels = nullptr);

 private:
  static constexpr Row kNone = 0xFFFFFFFF;
  static constexpr size_t kLevelsMax = 12;
  static constexpr size_t kLinksMax = 128;
  struct Scored;
  struct Scratch;
  class Lease;

  [[nodiscard]] bool bit(const std::vector<uint64_t>& bits, Row row) const {
    return ((bits[row / 64] >> (row % 64)) & 1) != 0;
  }
  static void set_bit(std::vector<uint64_t>& bits, Row row, bool on) {
    const uint64_t mask = uint64_t{1} << (row % 64);
    bits[row / 64] = on ? bits[row / 64] | mask : bits[row / 64] & ~mask;
  }
  [[nodiscard]] size_t width(size_t level) const { return level == 0 ? 2 * options_.m : options_.m; }
  [[nodiscard]] size_t level_of(Row row) const;
  [[nodiscard]] Row* links(Row row, size_t level);
  [[nodiscard]] const Row* links(Row row, size_t level) const;

  // Searching (graph_search.cc). A walk needs the lock, or to be the one writer.
  bool encode_query(std::span<const float> vector, Scratch& scratch) const;
  void row_query(Row row, Scratch& scratch) const;
  void walk(Row start, size_t level, size_t ef, Scratch& scratch) const;
  void expand(Row row, size_t level, Scratch& scratch) const;
  [[nodiscard]] Row descend(size_t to_level, Scratch& scratch) const;
  [[nodiscard]] size_t matches(const uint64_t* allowed) const;
  [[nodiscard]] std::vector<GraphHit> scan(const GraphQuery& query, Scratch& scratch) const;
  [[nodiscard]] std::vector<GraphHit> best(const GraphQuery& query, Scratch& scratch) const;
  [[nodiscard]] float score(Row row, const float* unit) const;

  // Changing (graph_index.cc). Lists are made without the lock, by the one writer, and written under it.
  void make_room(Row row);
  void connect(Row row, size_t level, Scratch& scratch);
  void write_lists(Scratch& scratch);
  void choose(std::vector<Scored>& candidates, size_t most, Scratch& scratch) const;
  void score_for(Row owner, std::vector<Scored>& candidates, Scratch& scratch) const;
  void choose_entry();
  void forget_all();
  void start_sweep();
  void sweep(size_t rows);
  void mend(Row row, size_t level, Scratch& scratch);

  // Checking what was opened (graph_codec.cc).
  [[nodiscard]] bool there(Row row) const { return bit(live_, row) || bit(dead_, row); }
  [[nodiscard]] bool holds() const;
  [[nodiscard]] bool list_holds(Row row, size_t level) const;

  GraphOptions options_;
  size_t stride_ = 0;
  const GraphKernels* kernels_;
  const DotKernels* exact_;
  std::vector<int8_t> no_low_;  ///< zeros in place of a second byte
  Access access_;               ///< guards all below: changed under write(), read under read() or by the one writer
  Row rows_ = 0;
  size_t live_count_ = 0;
  size_t dead_count_ = 0;  ///< removed, still waypoints
  Row entry_ = kNone;      ///< live whenever a row is
  size_t top_level_ = 0;
  PageArray<uint8_t> codes_;  ///< row x stride, value + 128
  PageArray<Row> links_;      ///< row x 2m, lowest level, kNone behind the last
  PageArray<float> scales_;
  PageArray<int8_t> low_;      ///< row x stride, only with rerank
  PageArray<uint32_t> upper_;  ///< row -> its links of level 1 and up in upper_links_; 0: none
  std::vector<Row> upper_links_;
  std::vector<uint64_t> live_;
  std::vector<uint64_t> dead_;
  std::vector<uint64_t> retiring_;  ///< dead when the sweep began: nothing links to them any more behind sweep_at_
  bool sweeping_ = false;
  Row sweep_at_ = 0;

  mutable std::mutex scratch_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> scratches_;  ///< guarded by scratch_mutex_
};

}  // namespace tessera::index
