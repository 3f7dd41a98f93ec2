#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tessera::llm {

/// What is to run: arguments[0] is a path, or a name looked up in PATH; `environment` ("NAME=value") is all that the
/// child gets of one.
struct ChildCommand {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
};

struct ChildExit {
  bool by_signal = false;
  int status = 0;    ///< exit status or signal number
  std::string said;  ///< the last 4 KiB that it wrote before it was muted
};

/// Runs long-lived child processes: no shell, a process group each, nothing inherited but /dev/null and a pipe that
/// takes what they write. Children die with this process, and with this host: the thread that starts, reads and reaps
/// them is the host's own. Thread-safe. Stops: the destructor kills and reaps what is left.
class ChildHost {
 public:
  using ChildId = uint64_t;
  using OnExit = std::function<void(const ChildExit&)>;

  ChildHost();
  ~ChildHost();
  ChildHost(const ChildHost&) = delete;
  ChildHost& operator=(const ChildHost&) = delete;

  /// `on_exit` runs once, on the host's thread, when the child and its group are gone; it must be quick. Blocks for the
  /// milliseconds that a start takes. Errors: unavailable ENGINE_MISSING (no such program), ENGINE_START.
  base::Result<ChildId> start(ChildCommand command, OnExit on_exit);
  /// From now on what the child writes is read and dropped: it may begin to speak of what people wrote.
  void mute(ChildId child);
  /// SIGTERM to the group now, SIGKILL after `grace` (0: at once). A child that is gone is ignored.
  void stop(ChildId child, base::Millis grace);
  /// Its process number while it runs, else 0; for tests.
  [[nodiscard]] int process_of(ChildId child) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::llm
