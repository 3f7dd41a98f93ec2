#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/rows.h"
#include "index/vector/dot_kernels.h"
#include "index/vector/sign_codes.h"
#include "index/vector/vector_planes.h"

namespace tessera::index {

/// Nearly all of the k selected rows with the highest cosine, by their signs: a bit a component says how far off a row
/// is about, and only those that may be among the best are looked at in full. Half a byte a component orders them, then
/// all bits the best. Where vectors lie in no clusters, or a filter leaves rows far from the query, this beats a
/// graph's walk, which loses its way among rows that are all about equally far. Use once, under the read lock.
class SignSearch {
 public:
  /// `unit` (of unit_query, not empty) must outlive it.
  SignSearch(const VectorPlanes& planes, const DotKernels& kernels, std::span<const float> unit);

  /// Best first, with exact scores; fewer than k if fewer rows of the selection have a vector. `missed`: the chance of
  /// missing a row as good as the k-th, 0 to 0.5; a better one is missed less often. `bits` has one for each row of the
  /// planes, `selected` of them set: where these are few, only their signs are read.
  std::vector<RowHit> search(size_t k, double missed, const uint64_t* bits, size_t selected);
  /// Rows looked at in full, of the last search.
  [[nodiscard]] size_t distances() const { return looked_at_; }

 private:
  /// Bits of the places of a word that count.
  [[nodiscard]] uint64_t places(size_t word) const;
  [[nodiscard]] Row row_at(size_t place) const { return rows_.empty() ? static_cast<Row>(place) : rows_[place]; }
  [[nodiscard]] uint16_t first_limit(size_t k, size_t selected) const;
  void look_at_all();
  void list_selected(size_t selected);
  void look_at_selected();
  void score(uint16_t above, uint16_t limit, bool first);
  void flush();
  float keep(std::vector<RowHit>& hits, size_t k, float margin);
  std::vector<RowHit> best(size_t k);

  const VectorPlanes& planes_;
  const DotKernels& kernels_;
  std::span<const float> unit_;
  SignEstimate estimate_;
  std::vector<int8_t> bytes_;
  ByteQuery query_;
  float query_scale_ = 0;
  const uint64_t* bits_ = nullptr;
  std::vector<Row> rows_;                  // the selected ones, if only these are read; then places are theirs
  size_t count_ = 0;                       // places
  std::unique_ptr<uint16_t[]> distances_;  // by place, whole words of 64
  std::vector<RowHit> scored_;             // by half a byte a component, and later by more
  float floor_ = 0;                        // what a score must reach to be kept
  size_t looked_at_ = 0;
  std::vector<Row> batch_;
  std::vector<SplitCodes> pointers_;
  std::vector<int32_t> dots_;
};

}  // namespace tessera::index
