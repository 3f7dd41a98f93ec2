#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::index {

/// Words of a row of signs: a bit a component.
inline size_t sign_words(size_t stride) {
  return stride / 64;
}

/// A rotation of vectors that is random but always the same (docs/formats/index-vectors.md): it spreads what a vector
/// holds evenly over its components, so that their signs alone tell its direction about equally well for every vector.
/// Signs and Walsh-Hadamard transforms in turn, after Ailon and Chazelle, "The Fast Johnson-Lindenstrauss Transform"
/// (2009). A value; const calls from any thread.
class SignRotation {
 public:
  /// `stride` is a multiple of 128.
  explicit SignRotation(size_t stride);
  /// In place; values.size() is the stride. Lengths and products stay.
  void apply(std::span<float> values) const;

 private:
  size_t part_ = 1;              // the largest power of two in the stride
  float unit_ = 1;               // 1 / sqrt(part)
  std::vector<uint32_t> flips_;  // rounds x stride: the sign bit, or nothing
};

/// The signs of a rotated vector: bit i of the words is set where component i is not negative.
void take_signs(std::span<const float> rotated, uint64_t* words);

/// A query of the scan of signs: the rotated query in odd integers v from -15 to 15, written as the sum of 2^j or -2^j
/// over four planes j, whose signs are `planes` (4 x words).
struct SignQuery {
  const uint64_t* planes = nullptr;
  size_t words = 0;
  unsigned shift = 0;  ///< of the results, to fit 16 bits
};

/// Estimates cosines from signs, as RaBitQ does (Gao and Long, 2024): a random direction's product with a vector's
/// signs is its product with the vector, scaled, plus an error whose size is known. Owned by one search.
class SignEstimate {
 public:
  /// `unit`: of unit_query().
  explicit SignEstimate(std::span<const float> unit);

  [[nodiscard]] SignQuery query() const { return {planes_.data(), sign_words(stride_), shift_}; }
  /// The cosine to expect of a row that far off.
  [[nodiscard]] float cosine(uint16_t distance) const;
  /// The largest distance a row of this cosine has, but for a share `missed` of such rows.
  [[nodiscard]] uint16_t distance(float cosine, double missed) const;

 private:
  size_t stride_;
  unsigned shift_ = 0;
  std::vector<uint64_t> planes_;
  float step_ = 0;   // of the integers, over what signs keep of a vector's length
  float noise_ = 0;  // standard deviation of the estimate for rows at right angles
};

}  // namespace tessera::index
