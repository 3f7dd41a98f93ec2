#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::base {

/// XXH3 64-bit, for checksums of files and for hash tables. Not for secrets.
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

/// XXH3 128-bit as 32 hexadecimal digits, for "is this the same content". Not for secrets.
std::string content_hash(std::string_view bytes);

}  // namespace tessera::base
