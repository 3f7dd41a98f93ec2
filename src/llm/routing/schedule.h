#pragma once

#include <cstdint>
#include <vector>

#include "llm/routing/router.h"

namespace tessera::llm {

/// Who of a group goes first, call after call, over one period: smooth weighted round robin, each member as often as
/// its weight says and spread evenly. `members` are places in `candidates`.
std::vector<uint8_t> schedule_of(const std::vector<Candidate>& candidates, const std::vector<uint8_t>& members);

}  // namespace tessera::llm
