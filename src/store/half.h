#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tessera::store {

/// IEEE 754 binary16, rounded to nearest even; overflow becomes infinity.
void encode_halves(std::span<const float> from, std::span<uint16_t> to);
/// Exact.
void decode_halves(std::span<const uint16_t> from, std::span<float> to);

}  // namespace tessera::store
