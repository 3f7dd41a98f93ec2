#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace tessera::base {
namespace {

constexpr uint64_t kShortTurnNs = 100'000;
constexpr int kBatchNice = 5;
constexpr int kBackgroundNice = 10;

/// For turns of this length, the shortest that Linux gives: an event loop then is let in amid the long turn of another,
/// and a thread with much to do comes back soon after it yields, since what it gives up is no more than a turn.
void ask_for_short_turns() {
  // As sched_setattr(2) has it; C libraries before 2.41 know neither the call nor its struct.
  struct {
    uint32_t size = 48;
    uint32_t policy = SCHED_OTHER;
    uint64_t flags = 0;
    int32_t nice = getpriority(PRIO_PROCESS, 0);
    uint32_t priority = 0;
    uint64_t runtime = kShortTurnNs;
    uint64_t deadline = 0;
    uint64_t period = 0;
  } wish;
  static_assert(sizeof wish == 48);
  (void)syscall(SYS_sched_setattr, 0, &wish, 0);
}

/// Of the thread only, on Linux.
void be_nice(int by) {
  (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + by);
}

}  // namespace

void begin_thread(std::string_view name, ThreadKind kind) {
  (void)pthread_setname_np(pthread_self(), std::string(name.substr(0, 15)).c_str());
  switch (kind) {
    case ThreadKind::loop:
      return ask_for_short_turns();
    case ThreadKind::worker:
      return;
    case ThreadKind::batch:
      be_nice(kBatchNice);
      return ask_for_short_turns();
    case ThreadKind::background:
      return be_nice(kBackgroundNice);
  }
}

}  // namespace tessera::base
