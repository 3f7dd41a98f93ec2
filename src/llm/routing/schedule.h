#pragma once

#include <cstdint>
#include <vector>

#include "llm/routing/router.h"

namespace tessera::llm {

/// Who of each group goes first, call after call: smooth weighted round robin over one period, each member (its place
/// in `candidates`) as often as its weight says, spread evenly; at most 256 long. `candidates` are in the order of
/// their groups, which are numbered anew, without gaps: group g has the g-th schedule.
std::vector<std::vector<uint8_t>> make_schedules(std::vector<Candidate>& candidates);

}  // namespace tessera::llm
