#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/index.h"
#include "index/filter/row_filter.h"
#include "index/row_table.h"
#include "index/vector/dot_kernels.h"

namespace tessera::index {

inline constexpr size_t kDimensionsMax = 16384;
inline constexpr size_t kVectorBlockRows = 1024;

/// One unit vector as stored: 16-bit fixed point in two bytes, v[i] = scale * (code[i] + low[i] / 256). The scan reads
/// the codes only. `scale` 0: the row has no vector. `error` is at least the length of what the codes alone leave out.
struct VectorHead {
  float scale = 0;
  float error = 0;
};

/// The vectors of consecutive rows. Grows in steps to kVectorBlockRows and then stays where it is.
struct VectorBlock {
  struct Free {
    void operator()(void* memory) const;
  };
  uint32_t rows = 0;
  uint32_t capacity = 0;
  std::unique_ptr<uint8_t, Free> codes;  ///< rows x stride, value + 128
  std::unique_ptr<int8_t, Free> low;     ///< rows x stride
  std::unique_ptr<VectorHead, Free> heads;
};

/// Quantised vectors, made before a lock is taken and appended under it.
struct EncodedVectors {
  size_t dimensions = 0;
  size_t stride = 0;
  std::vector<uint8_t> codes;
  std::vector<int8_t> low;
  std::vector<VectorHead> heads;
};

/// Codes of `rows` vectors, row-major, of any length; zeros and NaN give rows without a vector.
EncodedVectors encode_vectors(std::span<const float> vectors, size_t dimensions);
/// The same for rows without vectors.
EncodedVectors encode_nothing(size_t rows, size_t dimensions);

/// The vectors of a collection, one (or none) for each row. A value; guarded by its collection's Access. The first
/// vectors decide the dimensions.
class VectorStore {
 public:
  [[nodiscard]] size_t dimensions() const { return dimensions_; }  ///< 0 until the first vectors
  [[nodiscard]] size_t stride() const;
  [[nodiscard]] Row size() const { return rows_; }
  [[nodiscard]] size_t memory_bytes() const;
  /// How many of these rows have a vector.
  [[nodiscard]] uint64_t count(Row first, size_t rows) const;

  /// Sets the dimensions of a store that has none yet, and makes `rows` rows without vectors.
  void start(size_t dimensions, Row rows);
  /// `encoded` was made with this store's dimensions.
  void append(const EncodedVectors& encoded);
  /// Row `row` of `other`, as it is.
  void append_row(const VectorStore& other, Row row);
  void clear();

  /// The k accepted rows with the highest cosine to `query` (finite, any length but 0, dimensions() long), best first.
  /// Exact for the stored 16-bit vectors: the scan's bounds decide which rows are looked at in full.
  [[nodiscard]] std::vector<core::IndexHit> search(const RowTable& rows, std::span<const float> query, size_t k,
                                                   RowFilter& filter, const DotKernels& kernels) const;

  // For snapshots.
  [[nodiscard]] std::span<const VectorBlock> blocks() const { return blocks_; }
  void append_raw(const uint8_t* codes, const int8_t* low, const VectorHead* heads, size_t rows);

 private:
  size_t dimensions_ = 0;
  Row rows_ = 0;
  std::vector<VectorBlock> blocks_;
};

}  // namespace tessera::index
