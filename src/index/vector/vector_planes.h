#pragma once

#include <cstddef>
#include <cstdint>

#include "index/rows.h"
#include "index/vector/dot_kernels.h"
#include "index/vector/row_plane.h"
#include "index/vector/sign_codes.h"
#include "index/vector/vector_codes.h"

namespace tessera::index {

/// The vectors of consecutive rows in planes: heads and the upper four bits of each component, which walks read; the
/// four below, which order what a walk found; a second byte, which only the best candidates' order needs; and the signs
/// of the rotated vector. Rows without a vector have scale 0. Rows are appended under the owner's write lock; those
/// there do not move or change.
struct VectorPlanes {
  explicit VectorPlanes(size_t dims)
      : dimensions(dims),
        stride(padded_dimensions(dims)),
        upper(stride / 2, true),
        lower(stride / 2, true),
        low(stride, false),
        heads(1, true),
        signs(sign_words(stride), true) {}

  size_t dimensions;
  size_t stride;
  RowPlane<uint8_t> upper;  ///< of codes (value + 128), in halves as SplitCodes says
  RowPlane<uint8_t> lower;
  RowPlane<int8_t> low;
  RowPlane<VectorHead> heads;
  RowPlane<uint64_t> signs;  ///< of take_signs()
  Row rows = 0;

  /// Of a row that is looked at soon; the processor's own prefetcher goes on from there.
  static constexpr size_t kPrefetchBytes = 256;

  /// Calls visit(plane) for each, in the order of their files.
  template <class Visit>
  void for_each_plane(Visit visit) {
    visit(upper), visit(lower), visit(low), visit(heads), visit(signs);
  }
  template <class Visit>
  void for_each_plane(Visit visit) const {
    visit(upper), visit(lower), visit(low), visit(heads), visit(signs);
  }
  void grow(size_t to) {
    for_each_plane([to](auto& plane) { plane.grow(to); });
    rows = static_cast<Row>(to);
  }
  /// What the upper halves' products with a row need, on its way from memory.
  [[gnu::always_inline]] void prefetch_coarse(Row row) const {
    const size_t bytes = stride / 2 < kPrefetchBytes ? stride / 2 : kPrefetchBytes;
    const uint8_t* const codes = upper.at(row);
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(codes + at);
    __builtin_prefetch(heads.at(row));
  }
  [[nodiscard]] SplitCodes codes(Row row) const { return {upper.at(row), lower.at(row)}; }
  /// `codes` as one piece becomes those of a row.
  void split(Row row, const uint8_t* codes) {
    uint8_t* up = upper.at(row);
    uint8_t* down = lower.at(row);
    for (size_t i = 0; i < stride; i += 128, codes += 128, up += 64, down += 64) {
      for (size_t j = 0; j < 64; ++j) {
        up[j] = static_cast<uint8_t>((codes[j] >> 4) | (codes[64 + j] & 0xF0));
        down[j] = static_cast<uint8_t>((codes[j] & 0x0F) | (codes[64 + j] << 4));
      }
    }
  }
  [[nodiscard]] bool has(Row row) const { return heads.at(row)->scale > 0; }
};

/// Whether a head is one encode_vectors() makes, of a row with a vector: files that were changed can hold any.
inline bool sound(const VectorHead& head) {
  return head.scale > 0 && head.scale < 1 && head.error >= 0 && head.error < 1;
}

}  // namespace tessera::index
