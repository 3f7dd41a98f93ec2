#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace tessera::base {

/// Makes UUIDv7 identifiers (RFC 9562): 48 bits of Unix milliseconds, then random bits, so they sort by time.
/// Thread-safe.
class IdSource {
 public:
  /// Both must outlive the source.
  IdSource(const Clock& clock, Random& random) : clock_(clock), random_(random) {}
  /// 36 characters, lower case.
  [[nodiscard]] std::string next() const;

 private:
  const Clock& clock_;
  Random& random_;
};

/// Whether a client may use `id` for a thing of its own: 1 to 256 bytes of printable ASCII without space, quote, `/`,
/// `\` or `#`.
bool valid_client_id(std::string_view id);

}  // namespace tessera::base
