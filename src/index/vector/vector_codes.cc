#include "index/vector/vector_codes.h"

#include <algorithm>
#include <cmath>

#include "index/vector/dot_kernels.h"
#include "index/vector/sign_codes.h"

namespace tessera::index {
namespace {

constexpr float kCodeMax = 127;

void encode_row(const float* from, size_t dimensions, uint8_t* codes, int8_t* low, VectorHead& head) {
  double squares = 0;
  for (size_t i = 0; i < dimensions; ++i) squares += double{from[i]} * from[i];
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm) || norm < 1e-30) return;
  float largest = 0;
  for (size_t i = 0; i < dimensions; ++i) largest = std::max(largest, std::fabs(from[i]));
  const auto unit = static_cast<float>(1 / norm);
  const float scale = largest * unit / kCodeMax;
  if (!(scale > 0) || !std::isfinite(unit)) return;
  double left_out = 0;
  for (size_t i = 0; i < dimensions; ++i) {
    const float steps = from[i] * unit / scale;
    const float code = std::clamp(std::nearbyint(steps), -kCodeMax, kCodeMax);
    const float rest = std::clamp(std::nearbyint((steps - code) * 256), -128.0F, 127.0F);
    codes[i] = static_cast<uint8_t>(static_cast<int>(code) + kCodeOffset);
    low[i] = static_cast<int8_t>(rest);
    left_out += double{rest} * rest / (256.0 * 256.0);
  }
  head.scale = scale;
  head.error = static_cast<float>(std::sqrt(left_out) * scale * 1.0001);
}

}  // namespace

size_t padded_dimensions(size_t dimensions) {
  return (dimensions + kCodeAlign - 1) / kCodeAlign * kCodeAlign;
}

EncodedVectors encode_nothing(size_t rows, size_t dimensions) {
  EncodedVectors encoded;
  encoded.dimensions = dimensions;
  encoded.stride = padded_dimensions(dimensions);
  encoded.codes.assign(rows * encoded.stride, kCodeOffset);
  encoded.low.assign(rows * encoded.stride, 0);
  encoded.heads.assign(rows, {});
  encoded.signs.assign(rows * sign_words(encoded.stride), 0);
  return encoded;
}

EncodedVectors encode_vectors(std::span<const float> vectors, size_t dimensions) {
  const size_t rows = dimensions == 0 ? 0 : vectors.size() / dimensions;
  EncodedVectors encoded = encode_nothing(rows, dimensions);
  if (rows == 0) return encoded;
  const SignRotation rotation(encoded.stride);
  std::vector<float> rotated(encoded.stride);
  for (size_t row = 0; row < rows; ++row) {
    encode_row(vectors.data() + row * dimensions, dimensions, encoded.codes.data() + row * encoded.stride,
               encoded.low.data() + row * encoded.stride, encoded.heads[row]);
    if (!(encoded.heads[row].scale > 0)) continue;
    // Of what is stored, so that the signs can be made again from it.
    const uint8_t* codes = encoded.codes.data() + row * encoded.stride;
    for (size_t i = 0; i < encoded.stride; ++i) rotated[i] = static_cast<float>(int{codes[i]} - kCodeOffset);
    rotation.apply(rotated);
    take_signs(rotated, encoded.signs.data() + row * sign_words(encoded.stride));
  }
  return encoded;
}

float encode_query(std::span<const float> unit, int8_t* values, ByteQuery& query) {
  float largest = 0;
  for (const float x : unit) largest = std::max(largest, std::fabs(x));
  const float steps = kCodeMax / largest;
  int32_t sum = 0;
  for (size_t i = 0; i < unit.size(); ++i) {
    values[i] = static_cast<int8_t>(std::clamp(std::nearbyint(unit[i] * steps), -kCodeMax, kCodeMax));
    sum += values[i];
  }
  query = {values, sum, unit.size()};
  return 1 / steps;
}

}  // namespace tessera::index
