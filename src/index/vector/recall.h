#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/files/file_store.h"
#include "index/rows.h"
#include "index/vector/graph_index.h"

namespace tessera::index {

/// What recall is measured on: a graph, and which of its rows a search may return (`scope`: rows, visible, bits, of
/// which the samples are some). A view.
struct RecallSubject {
  const GraphIndex& graph;
  const VectorPlanes& planes;
  const DotKernels& kernels;
  GraphQuery scope;
};

/// How much of the truth walks with different ef found, measured on a sample; answers which ef reaches a recall. A
/// value.
class RecallTable {
 public:
  static constexpr std::array<size_t, 14> kEfs = {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536};
  static constexpr size_t kFew = 10;   ///< recall was measured among so many nearest...
  static constexpr size_t kMany = 50;  ///< ...and so many

  /// Walks with each ef for each of the `samples`, rows that are no waypoints of the graph; the truth is that of a
  /// scan. Samples that the graph does not hold are what it was not built for, as queries are. Gives up, empty, when
  /// told to stop.
  static RecallTable measure(const RecallSubject& subject, std::span<const Row> samples, const std::atomic<bool>& stop);

  /// Rows of the graph when it was measured; 0: not yet.
  [[nodiscard]] uint64_t rows() const { return rows_; }
  /// The ef for a recall among the k nearest in a graph that now has `rows`; a guess before the first measurement. At
  /// least k.
  [[nodiscard]] size_t ef_for(double recall, size_t k, uint64_t rows) const;
  /// What an ef found of the nearest kFew; 0 before the first measurement.
  [[nodiscard]] double recall_at(size_t ef) const;

  void write(ByteWriter& out) const;
  static RecallTable read(ByteReader& in);

 private:
  [[nodiscard]] static double ef_of(const std::array<float, kEfs.size()>& recalls, double recall);

  uint64_t rows_ = 0;
  std::array<float, kEfs.size()> few_{};
  std::array<float, kEfs.size()> many_{};
};

/// How many of a walk's candidates are ordered in full for the best k.
inline size_t rerank_depth(size_t k) {
  return k + k / 2 + 16;
}

}  // namespace tessera::index
