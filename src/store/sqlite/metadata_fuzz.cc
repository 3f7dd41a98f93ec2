#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "store/sqlite/codec.h"

// A database's bytes may be anything: what is read of them, written again and read again is the same, bit for bit.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::store;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto metadata = decode_metadata(bytes);
  if (!metadata) {
    if (metadata.error().name != "DATABASE_DAMAGED") std::abort();
    return 0;
  }
  const std::string written = encode_metadata(*metadata);
  const auto again = decode_metadata(written);
  // Compared as bytes: NaN is not equal to itself.
  if (!again || again->size() != metadata->size() || encode_metadata(*again) != written) std::abort();
  return 0;
}
