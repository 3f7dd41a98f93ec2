#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::parse {

/// What a child may use.
struct ChildLimits {
  std::chrono::milliseconds wall_time{30000};
  size_t memory_bytes = 1UL << 30;  ///< address space
  size_t output_bytes = 64UL << 20;
};

/// How a child ended.
struct ChildResult {
  enum class End { exited, killed_by_signal, timed_out, output_full };
  End end = End::exited;
  int status = 0;           ///< exit status or signal number
  std::string output;       ///< standard output, at most output_bytes
  std::string diagnostics;  ///< the first 4 KiB of standard error
};

/// Runs `arguments` ([0] is the program: a path, or a name looked up in PATH) with `input` on standard input, and
/// waits. The child gets no shell, no environment, no file descriptors besides 0-2, its own process group, and the
/// limits; it cannot write files. When it ends, runs out of time or fills its output, everything left of its group is
/// killed. `input` is handed over in memory; nothing touches the disk. Errors: unavailable (PROGRAM_MISSING or
/// PROGRAM_FAILED). Blocking; thread-safe.
base::Result<ChildResult> run_confined(const std::vector<std::string>& arguments, std::string_view input,
                                       const ChildLimits& limits);

}  // namespace tessera::parse
