#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::index {

/// Codes are stored as unsigned bytes: value + 128.
inline constexpr int kCodeOffset = 128;
/// Components of a row are padded to a multiple of this.
inline constexpr size_t kCodeAlign = 128;

/// A row's codes in two halves of stride / 2 bytes each: the upper and the lower four bits of every component. Byte j
/// of the i-th 64 holds component 128 i + j in its lower bits and 128 i + 64 + j in its upper ones.
struct SplitCodes {
  const uint8_t* upper = nullptr;
  const uint8_t* lower = nullptr;
};
/// What the upper four bits alone leave open is taken to be so much.
inline constexpr int kCoarseMiddle = 8;

/// A query of the exact scan as integers, in two forms for two kinds of instruction: values[i] = high[i] * 128 +
/// low[i]. All have `stride` elements, zero beyond the dimensions. `sum` is that of values.
struct QueryCodes {
  const int16_t* values = nullptr;
  const int8_t* high = nullptr;
  const int8_t* low = nullptr;
  int32_t sum = 0;
  size_t stride = 0;
};

/// A query of the graph's walk: signed bytes in [-127, 127], `stride` of them (a multiple of kCodeAlign), and their
/// sum.
struct ByteQuery {
  const int8_t* values = nullptr;
  int32_t sum = 0;
  size_t stride = 0;
};

/// The inner loops of dense search for one kind of processor. All kinds give the same integers; floats may differ in
/// the last bits. Four rows go side by side, so that the query is read once and their cache misses overlap.
struct DotKernels {
  std::string_view name;
  /// out[r] = sum over i of (codes[r * stride + i] - 128) * query.values[i], for `rows` rows.
  void (*scan)(const uint8_t* codes, size_t rows, const QueryCodes& query, int32_t* out);
  /// The same for rows scattered in memory, in halves.
  void (*gather)(const SplitCodes* rows, size_t count, const QueryCodes& query, int32_t* out);
  /// out[r] = sum over i of (rows[r][i] - 128) * query.values[i], for `count` rows.
  void (*dots)(const SplitCodes* rows, size_t count, const ByteQuery& query, int32_t* out);
  /// The same from the upper halves alone: kCoarseMiddle in place of every lower four bits.
  void (*coarse)(const SplitCodes* rows, size_t count, const ByteQuery& query, int32_t* out);
  /// A row's codes in one piece, `stride` long.
  void (*join)(const SplitCodes& row, size_t stride, uint8_t* codes);
  /// A stored row as a query: out[i] = codes[i] - 128; returns their sum.
  int32_t (*flip)(const uint8_t* codes, size_t stride, int8_t* out);
  /// sum over i of query[i] * ((codes[i] - 128) * 256 + low[i]).
  float (*exact)(const uint8_t* codes, const int8_t* low, const float* query, size_t stride);
};

/// The best kernels this processor runs.
const DotKernels& best_dot_kernels();

/// Those it runs, slowest (portable) first; for tests and benchmarks.
size_t dot_kernel_count();
const DotKernels& dot_kernels(size_t index);

}  // namespace tessera::index
