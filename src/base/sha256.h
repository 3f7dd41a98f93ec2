#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tessera::base {

using Sha256 = std::array<uint8_t, 32>;

/// SHA-256 (FIPS 180-4), for secrets with enough entropy of their own; passwords need another function.
Sha256 sha256(std::string_view bytes);

/// The digest's bytes; views `digest`.
std::string_view as_bytes(const Sha256& digest);

/// Whether both are the same, in a time that tells nothing about where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace tessera::base
