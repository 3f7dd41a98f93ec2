#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "index/rows.h"
#include "index/vector/dot_kernels.h"
#include "index/vector/vector_planes.h"

namespace tessera::index {

/// A query of length 1, padded with zeros. Empty for one without a direction.
std::vector<float> unit_query(std::span<const float> vector, size_t stride);

/// The cosine of a row's 16-bit vector. `unit` as of unit_query. 0 for a row without a vector.
float exact_score(const VectorPlanes& planes, Row row, const float* unit, const DotKernels& kernels);

/// The k selected rows with the highest cosine, exact for the stored 16-bit vectors: a scan of one byte a component
/// knows how far off each row can be, and only rows that may be among the best are looked at in full. A coarse one
/// looks at four bits a component before, and takes it that these are off by no more than five standard deviations of
/// their rounding: half the bytes, and exact but for vectors made to deceive it. Use once, under the read lock.
class ExactSearch {
 public:
  /// `unit` (of unit_query, not empty) must outlive it.
  ExactSearch(const VectorPlanes& planes, const DotKernels& kernels, std::span<const float> unit, size_t k,
              bool coarse = false);
  /// Looks at the rows in [first, end) whose bit is set: those that lie densely one after the other, the others
  /// gathered.
  void look_at(Row first, Row end, const uint64_t* bits);
  std::vector<RowHit> take();
  [[nodiscard]] size_t distances() const { return distances_; }

 private:
  struct Candidate {
    Row row = 0;
    float most = 0;  // no more than this can its cosine be
  };
  void judge(Row row, float about, float error);
  void judge(Row row, int32_t dot);
  void judge_coarsely(Row row, int32_t dot);
  void look_closer();
  void flush();
  void batch(Row row);

  const VectorPlanes& planes_;
  const DotKernels& kernels_;
  std::span<const float> unit_;
  size_t k_;
  std::vector<int16_t> values_;
  std::vector<int8_t> high_;
  std::vector<int8_t> low_;
  QueryCodes codes_;
  float scale_ = 0;
  float error_ = 0;                                        // length of unit minus its integers
  float floor_ = -std::numeric_limits<float>::infinity();  // k rows have at least this cosine
  std::vector<float> least_;                               // a heap: what the best k have at least
  std::vector<Candidate> candidates_;
  size_t prune_at_ = 4096;
  std::vector<Row> batch_;
  std::vector<SplitCodes> pointers_;
  std::vector<int32_t> dots_;
  size_t distances_ = 0;
  bool coarse_ = false;  // now
  std::vector<int8_t> bytes_;
  ByteQuery byte_query_;
  float byte_scale_ = 0;
  float byte_error_ = 0;
};

}  // namespace tessera::index
