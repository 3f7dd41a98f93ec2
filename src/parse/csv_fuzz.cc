#include <cstddef>
#include <cstdint>

#include "parse/invariants.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::parse;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ParseLimits limits{.text_bytes_max = 1UL << 20};
  check_parse(bytes, "text/csv", limits);
  check_parse(bytes, "text/tab-separated-values", limits);
  return 0;
}
