#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "index/row_table.h"

namespace tessera::index {

/// A query of the graph's walk: signed bytes in [-127, 127], `stride` of them (a multiple of kCodeAlign), and their
/// sum.
struct ByteQuery {
  const int8_t* values = nullptr;
  int32_t sum = 0;
  size_t stride = 0;
};

/// The inner loop of a walk for one kind of processor: the products of one query with rows scattered in memory, four
/// rows side by side so that the query is read once and their cache misses overlap. All kinds give the same integers.
struct GraphKernels {
  std::string_view name;
  /// out[i] = sum over j of (codes[rows[i] * stride + j] - 128) * query.values[j], for `count` rows.
  void (*dots)(const uint8_t* codes, const Row* rows, size_t count, const ByteQuery& query, int32_t* out);
  /// A stored row as a query: out[j] = codes[j] - 128; returns their sum.
  int32_t (*flip)(const uint8_t* codes, size_t stride, int8_t* out);
};

/// The best kernels this processor runs; those it runs, slowest (portable) first.
const GraphKernels& best_graph_kernels();
size_t graph_kernel_count();
const GraphKernels& graph_kernels(size_t index);

}  // namespace tessera::index
