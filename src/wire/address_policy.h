#pragma once

struct sockaddr;

namespace tessera::wire {

/// Whether `address` is a public unicast IPv4 or IPv6 address (IANA special-purpose registries); false for other
/// families.
bool is_public_address(const sockaddr& address);

}  // namespace tessera::wire
