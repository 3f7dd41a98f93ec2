#include "base/random.h"

#include <sys/random.h>

#include <array>

#include "base/assert.h"

namespace tessera::base {

uint64_t SystemRandom::next() {
  // One system call serves 64 numbers; identifiers are made on every request.
  thread_local std::array<uint64_t, 64> pool;
  thread_local size_t used = pool.size();
  if (used == pool.size()) {
    TESSERA_ASSERT(getrandom(pool.data(), sizeof pool, 0) == static_cast<ssize_t>(sizeof pool));
    used = 0;
  }
  const uint64_t value = pool[used];
  pool[used++] = 0;
  return value;
}

}  // namespace tessera::base
