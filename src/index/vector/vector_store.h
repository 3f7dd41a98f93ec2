#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/index.h"
#include "index/filter/row_filter.h"
#include "index/row_table.h"
#include "index/vector/dot_kernels.h"
#include "index/vector/vector_codes.h"

namespace tessera::index {

inline constexpr size_t kVectorBlockRows = 1024;

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
