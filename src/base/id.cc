#include "base/id.h"

#include <algorithm>

namespace tessera::base {

std::string IdSource::next() const {
  const auto millis = static_cast<uint64_t>(clock_.unix_ms());
  const uint64_t a = (millis << 16U) | 0x7000U | (random_.next() & 0x0FFFU);
  const uint64_t b = (random_.next() & 0x3FFFFFFFFFFFFFFFULL) | 0x8000000000000000ULL;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out.push_back('-');
    const uint64_t word = i < 16 ? a : b;
    out.push_back(kDigits[(word >> (60 - 4 * (i % 16))) & 0xFU]);
  }
  return out;
}

bool valid_client_id(std::string_view id) {
  return !id.empty() && id.size() <= 256 && std::ranges::all_of(id, [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '\'' && c != '/' && c != '\\' && c != '#';
  });
}

}  // namespace tessera::base
