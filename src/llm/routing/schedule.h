#pragma once

#include <cstdint>
#include <vector>

#include "llm/routing/router.h"

namespace tessera::llm {

/// Who goes first, call after call, among `members` (places in `candidates`): smooth weighted round robin over one
/// period, each member as often as its weight says, spread evenly. At most 256 long.
std::vector<uint8_t> schedule_of(const std::vector<Candidate>& candidates, const std::vector<uint8_t>& members);

}  // namespace tessera::llm
