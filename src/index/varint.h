#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tessera::index {

/// Seven bits a byte, least first, the top bit set on all but the last.
inline void append_varint(std::vector<uint8_t>& out, uint32_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<uint8_t>(value));
}

inline constexpr size_t kVarintMax = 5;

/// The same at `out`, where kVarintMax bytes can be written, whatever the number needs; returns its end.
inline uint8_t* put_varint(uint8_t* out, uint32_t value) {
  if (value < uint32_t{1} << 21) {  // up to three bytes, without asking how many
    const unsigned more = (value >= 0x80 ? 8U : 0U) + (value >= 0x4000 ? 8U : 0U);
    uint32_t bytes = (value & 0x7F) | (value & 0x3F80) << 1 | (value & 0x1FC000) << 2;
    bytes |= 0x8080U & ((1U << more) - 1);
    std::memcpy(out, &bytes, sizeof bytes);
    return out + 1 + more / 8;
  }
  while (value >= 0x80) {
    *out++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<uint8_t>(value);
  return out;
}

/// Reads numbers until at_end(). Never reads beyond the bytes; a number cut short ends it with good() false.
class VarintReader {
 public:
  explicit VarintReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool at_end() const { return at_ >= bytes_.size(); }
  [[nodiscard]] bool good() const { return good_; }
  uint32_t next() {
    uint32_t bytes = 0;
    if (bytes_.size() - at_ >= sizeof bytes) {
      std::memcpy(&bytes, bytes_.data() + at_, sizeof bytes);
      const uint32_t ends = ~bytes & 0x80808080U;
      if (ends != 0) {
        at_ += static_cast<size_t>(std::countr_zero(ends)) / 8 + 1;
        bytes &= ends ^ (ends - 1);  // up to the first end
        return (bytes & 0x7F) | (bytes >> 1 & 0x3F80) | (bytes >> 2 & 0x1FC000) | (bytes >> 3 & 0xFE00000);
      }
    }
    return next_long();
  }

 private:
  uint32_t next_long() {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35 && at_ < bytes_.size(); shift += 7) {
      const uint8_t byte = bytes_[at_++];
      value |= static_cast<uint32_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    good_ = false;
    at_ = bytes_.size();
    return 0;
  }

  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool good_ = true;
};

}  // namespace tessera::index
