#include "base/id.h"

#include <algorithm>

namespace tessera::base {

std::string IdSource::next() const {
  const auto millis = static_cast<uint64_t>(clock_.unix_ms());
  const uint64_t a = (millis << 16U) | 0x7000U | (random_.next() & 0x0FFFU);
  const uint64_t b = (random_.next() & 0x3FFFFFFFFFFFFFFFULL) | 0x8000000000000000ULL;
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(36, '-');
  char* at = out.data();
  const auto put = [&at](uint64_t word, int from, int to) {
    for (int shift = from; shift >= to; shift -= 4) *at++ = kDigits[(word >> shift) & 0xFU];
  };
  put(a, 60, 32);
  ++at;
  put(a, 28, 16);
  ++at;
  put(a, 12, 0);
  ++at;
  put(b, 60, 48);
  ++at;
  put(b, 44, 0);
  return out;
}

bool valid_client_id(std::string_view id) {
  return !id.empty() && id.size() <= 256 && std::ranges::all_of(id, [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '\'' && c != '/' && c != '\\' && c != '#';
  });
}

}  // namespace tessera::base
