#pragma once

#include <signal.h>

#include <string_view>

namespace tessera::app {

/// Signals that ask for an orderly end. Blocked in all threads when made before any of them, and waited for by the main
/// thread. SIGPIPE is ignored from then on.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }
  std::string_view wait() {
    int signal = 0;
    while (sigwait(&set_, &signal) != 0) {
    }
    // From here on a second signal does what it does by default: end the process at once.
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
    return signal == SIGINT ? "SIGINT" : signal == SIGHUP ? "SIGHUP" : "SIGTERM";
  }

 private:
  sigset_t set_{};
};

}  // namespace tessera::app
