#include "wire/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>
#include <string>

#include "wire/http_client.h"

namespace tessera::wire {

namespace {

struct Block {
  std::array<uint8_t, 6> prefix;
  int bits;
};

constexpr Block kRefusedV4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 4},
    {{240}, 4},
};

/// Only 2000::/3 is global unicast at all; of that, what leads elsewhere (Teredo, 6to4, documentation, ...) is refused.
constexpr Block kGlobalV6{{0x20}, 3};
constexpr Block kRefusedV6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23},
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x20, 0x02}, 16},
    {{0x3f, 0xff, 0x00}, 20},
};

bool within(std::span<const uint8_t> address, const Block& block) {
  for (int bit = 0; bit < block.bits; ++bit) {
    const int mask = 0x80 >> (bit % 8);
    if ((address[bit / 8] & mask) != (block.prefix[bit / 8] & mask)) return false;
  }
  return true;
}

template <class Blocks>
bool within_any(std::span<const uint8_t> address, const Blocks& blocks) {
  for (const auto& block : blocks) {
    if (within(address, block)) return true;
  }
  return false;
}

bool is_public_v4(const in_addr& address) {
  return !within_any({reinterpret_cast<const uint8_t*>(&address), sizeof address}, kRefusedV4);
}

bool is_public_v6(const in6_addr& address) {
  const std::span<const uint8_t> bytes(address.s6_addr);
  return within(bytes, kGlobalV6) && !within_any(bytes, kRefusedV6);
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return is_public_v4(v4.sin_addr);
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return is_public_v6(v6.sin6_addr);
  }
  return false;
}

bool is_public_address(std::string_view text) {
  const std::string address(text);
  in_addr v4{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return is_public_v4(v4);
  in6_addr v6{};
  return ::inet_pton(AF_INET6, address.c_str(), &v6) == 1 && is_public_v6(v6);
}

}  // namespace tessera::wire
