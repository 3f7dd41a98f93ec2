#include <cstdlib>

#include "text/utf8.h"

using namespace tessera::text;

/// Repair always gives valid UTF-8 without NUL, changes nothing that needs no change, and is done after once.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string repaired = repair_utf8(text);
  if (!is_valid_utf8(repaired) || repaired.find('\0') != std::string::npos) std::abort();
  if (is_valid_utf8(text) && text.find('\0') == std::string_view::npos && repaired != text) std::abort();
  if (repair_utf8(repaired) != repaired) std::abort();
  for (size_t pos = 0; pos < repaired.size(); ++pos) {
    const size_t before = boundary_before(repaired, pos), after = boundary_after(repaired, pos);
    if (before > pos || after < pos || !is_boundary(repaired, before) || !is_boundary(repaired, after)) std::abort();
  }
  for (size_t pos = 0; pos < size;) {
    const CodePoint point = decode_utf8(text, pos);
    if (point.size == 0 || pos + point.size > size) std::abort();
    pos += point.size;
  }
  return 0;
}
