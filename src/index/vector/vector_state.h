#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "index/vector/graph_index.h"
#include "index/vector/recall.h"
#include "index/vector/vector_index.h"
#include "index/vector/vector_planes.h"

namespace tessera::index {

/// What a VectorIndex consists of.
struct VectorIndex::State {
  /// A file with the vectors of the rows from `first`, of which the first `rows` count.
  struct Extent {
    std::shared_ptr<const IndexFile> file;
    Row first = 0;
    Row rows = 0;
  };

  explicit State(const VectorOptions& given)
      : options(given), kernels(given.kernels != nullptr ? given.kernels : &best_dot_kernels()) {}

  [[nodiscard]] GraphOptions graph_options() const {
    return {.m = options.m, .ef_construction = options.ef_construction, .kernels = kernels};
  }
  /// Planes and an empty graph of this dimension; rows so far have no vectors.
  void start(size_t dimensions);
  void grow(Row to);
  [[nodiscard]] bool is_removed(Row row) const { return ((removed[row / 64] >> (row % 64)) & 1) != 0; }

  VectorOptions options;
  const DotKernels* kernels;
  Row rows = 0;
  uint64_t vectors = 0;
  std::shared_ptr<VectorPlanes> planes;  ///< null until there are vectors
  std::shared_ptr<GraphIndex> graph;     ///< with the planes; empty until a job fills it
  std::vector<uint64_t> removed;         ///< bitmap of rows
  uint64_t removed_told = 0;             ///< rows with vectors removed since a job was told
  RecallTable recall;
  // The saver's own.
  std::vector<Extent> extents;
  std::shared_ptr<const IndexFile> graph_file;
  uint64_t graph_changes = 0;  ///< of the graph when it was written
};

}  // namespace tessera::index
