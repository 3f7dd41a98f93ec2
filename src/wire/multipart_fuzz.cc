#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "wire/multipart.h"

/// Parts lie inside the body and keep the limits, whatever the bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::wire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)multipart_boundary(bytes.substr(0, 200));
  const auto parts =
      parse_multipart(bytes, "B", {.parts_max = 8, .part_header_bytes_max = 256, .part_bytes_max = 1024});
  if (!parts) return 0;
  if (parts->size() > 8) std::abort();
  for (const auto& part : *parts) {
    if (part.body.empty()) continue;
    if (part.body.size() > 1024 || part.body.data() < bytes.data() ||
        part.body.data() + part.body.size() > bytes.data() + bytes.size()) {
      std::abort();
    }
  }
  return 0;
}
