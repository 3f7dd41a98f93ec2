#pragma once

#include <string_view>

namespace tessera::base {

/// How a thread shares its processor with others that want it.
enum class ThreadKind {
  loop,    ///< its turns are short and waited for: it asks to be let in amid another's long one (Linux 6.12 and later)
  worker,  ///< as any
  batch,   ///< it has much to do and nobody waits for the end of a turn: a third of a worker's share, in short turns
  background,  ///< gives way to all others: a tenth
};

/// For the calling thread, at its beginning: a name for debuggers and `top` (15 bytes of it), and its kind, which the
/// threads that it starts take over. That the system does not grant it does no harm.
void begin_thread(std::string_view name, ThreadKind kind);

}  // namespace tessera::base
