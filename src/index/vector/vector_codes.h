#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::index {

struct ByteQuery;

inline constexpr size_t kDimensionsMax = 16384;

/// Bytes of a plane's row: a multiple of kCodeAlign.
size_t padded_dimensions(size_t dimensions);

/// One unit vector as stored: 16-bit fixed point in two bytes, v[i] = scale * (code[i] + low[i] / 256). The scan reads
/// the codes only. `scale` 0: the row has no vector. `error` is at least the length of what the codes alone leave out.
struct VectorHead {
  float scale = 0;
  float error = 0;
};

/// Quantised vectors, made before a lock is taken and appended under it.
struct EncodedVectors {
  size_t dimensions = 0;
  size_t stride = 0;
  std::vector<uint8_t> codes;
  std::vector<int8_t> low;
  std::vector<VectorHead> heads;
  std::vector<uint64_t> signs;
};

/// Codes of `rows` vectors, row-major, of any length; zeros and NaN give rows without a vector.
EncodedVectors encode_vectors(std::span<const float> vectors, size_t dimensions);
/// The same for rows without vectors.
EncodedVectors encode_nothing(size_t rows, size_t dimensions);

/// A query of length 1 in signed bytes, unit.size() of them at `values`, which `query` refers to. Returns what one step
/// of them stands for.
float encode_query(std::span<const float> unit, int8_t* values, ByteQuery& query);

}  // namespace tessera::index
