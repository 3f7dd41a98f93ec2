#pragma once

namespace tessera::base {

/// Prints the broken condition and aborts. Assertions are for our bugs, never for input.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace tessera::base

/// Stays on in release builds: a wrong answer costs more than the check.
#define TESSERA_ASSERT(condition)                                        \
  do {                                                                   \
    if (!(condition)) [[unlikely]]                                       \
      ::tessera::base::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
