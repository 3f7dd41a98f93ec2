#pragma once

#include <cstddef>
#include <cstdint>

#include "index/rows.h"
#include "index/vector/row_plane.h"
#include "index/vector/vector_codes.h"

namespace tessera::index {

/// The vectors of consecutive rows in three planes: what a walk or scan reads (codes, heads), and the second byte of
/// each component, which only the best candidates' order needs. Rows without a vector have scale 0. Rows are appended
/// under the owner's write lock; those there do not move or change.
struct VectorPlanes {
  explicit VectorPlanes(size_t dims)
      : dimensions(dims), stride(padded_dimensions(dims)), codes(stride, true), low(stride, false), heads(1, true) {}

  size_t dimensions;
  size_t stride;
  RowPlane<uint8_t> codes;  ///< value + 128
  RowPlane<int8_t> low;
  RowPlane<VectorHead> heads;
  Row rows = 0;

  void grow(size_t to) {
    codes.grow(to);
    low.grow(to);
    heads.grow(to);
    rows = static_cast<Row>(to);
  }
  [[nodiscard]] bool has(Row row) const { return heads.at(row)->scale > 0; }
};

/// Whether a head is one encode_vectors() makes, of a row with a vector: files that were changed can hold any.
inline bool sound(const VectorHead& head) {
  return head.scale > 0 && head.scale < 1 && head.error >= 0 && head.error < 1;
}

}  // namespace tessera::index
