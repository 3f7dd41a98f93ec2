#pragma once

#include <cstdint>

#include "base/error.h"

namespace tessera::llm {

/// What an endpoint's failure says of the endpoint itself.
enum class Health : uint8_t {
  good,       ///< it answered; the request was at fault
  unknown,    ///< it was not asked, or we stopped it
  slow_down,  ///< it is alive and wants fewer requests
  bad,        ///< it failed
};

/// What to do after a call failed before anything of an answer was seen.
struct Verdict {
  bool elsewhere = false;  ///< another endpoint or model may do better
  bool again = false;      ///< the same endpoint may do better after a pause
  Health health = Health::unknown;
};

/// The one retry policy: by the error's code, with a few names that say more. An error that is the request's own
/// (refused, over budget, cancelled, out of time) is neither for elsewhere nor for later. Pure.
Verdict judge(const base::Error& error);

/// Whether the endpoint asked to slow down (429).
bool is_rate_limit(const base::Error& error);

}  // namespace tessera::llm
