#include "llm/engines/child_host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

namespace tessera::llm {
namespace {

using base::Code;

constexpr size_t kSaidMax = 4096;

// ThreadSanitizer cannot follow a child that shares our memory; there it gets a copy.
#if defined(__SANITIZE_THREAD__)
constexpr int kShareMemory = 0;
#elif !defined(__has_feature)
constexpr int kShareMemory = CLONE_VM;
#elif __has_feature(thread_sanitizer)
constexpr int kShareMemory = 0;
#else
constexpr int kShareMemory = CLONE_VM;
#endif

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {
    if (fd < 0 || fd > 2) return;  // a server without standard streams gets these: the child puts its own there
    fd_ = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    ::close(fd);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// What the new process needs between its birth and exec. It shares our memory there, so it only makes system calls.
struct Start {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  int input = -1;
  int output = -1;
  pid_t parent = 0;
  int* error = nullptr;  ///< set by the child if exec fails
};

int run_child(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  ::setpgid(0, 0);
  // Tied to the thread that started it, which is the host's. If this process ended before that took hold, end too.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != start.parent) ::_exit(127);
  ::dup2(start.input, 0);
  ::dup2(start.output, 1);
  ::dup2(start.output, 2);
  ::close_range(3, ~0U, 0);
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};  // a core would hold what people wrote
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvpe(start.arguments[0], start.arguments.data(), start.environment.data());
  *start.error = errno;
  ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// Memory is shared until exec, as posix_spawn does it, so the size of this process costs nothing; posix_spawn itself
/// cannot tie the child's life to ours. Returns the process or errno.
std::expected<pid_t, int> spawn(Start& start) {
  constexpr size_t kStackBytes = 256UL << 10;
  const auto stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  auto* const failure =
      static_cast<int*>(::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (failure == MAP_FAILED) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return std::unexpected(errno);
  }
  start.error = failure;
  const pid_t pid = clone(run_child, stack.get() + kStackBytes, kShareMemory | CLONE_VFORK | SIGCHLD, &start);
  const int error = pid < 0 ? errno : *failure;
  ::munmap(failure, sizeof(int));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) return pid;
  if (pid > 0) ::waitpid(pid, nullptr, 0);
  return std::unexpected(error);
}

struct Child {
  ChildHost::ChildId id = 0;
  pid_t pid = -1;
  Descriptor output;
  std::string said;
  bool muted = false;
  ChildHost::OnExit on_exit;
  std::optional<base::SteadyTime> kill_at;
};

struct Order {
  ChildCommand command;
  ChildHost::OnExit on_exit;
  std::optional<base::Result<ChildHost::ChildId>> result;
};

base::Error cannot_start(const std::string& program, int error) {
  if (error == ENOENT) {
    return base::make_error(Code::unavailable, "ENGINE_MISSING",
                            fmt::format("the program {} is not installed on this server", program));
  }
  return base::make_error(Code::unavailable, "ENGINE_START", "a local model's program could not be started",
                          fmt::format("{}: {}", program, std::generic_category().message(error)));
}

}  // namespace

struct ChildHost::State {
  mutable std::mutex mutex;
  std::condition_variable started;
  std::list<Child> children;  // guarded by mutex; changed by the thread only
  std::list<Order*> orders;   // guarded by mutex
  ChildId last_id = 0;        // guarded by mutex
  bool ending = false;        // guarded by mutex
  Descriptor wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  base::SystemClock clock;
  std::thread thread;

  void ring() const {
    const uint64_t one = 1;
    (void)!::write(wake.get(), &one, sizeof one);
  }
  void run();
  void take_orders();
  void start(Order& order);
  int wait_ms() const;
  void read_output(Child& child);
  void reap();
};

void ChildHost::State::start(Order& order) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    order.result = std::unexpected(cannot_start("pipe2", errno));
    return;
  }
  Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  ::fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  const Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Start start{.arguments = pointers(order.command.arguments),
              .environment = pointers(order.command.environment),
              .input = null.get(),
              .output = write_end.get(),
              .parent = ::getpid()};
  const auto pid = spawn(start);
  if (!pid) {
    order.result = std::unexpected(cannot_start(order.command.arguments.front(), pid.error()));
    return;
  }
  Child& child = children.emplace_back();
  child.id = ++last_id;
  child.pid = *pid;
  child.output = std::move(read_end);
  child.on_exit = std::move(order.on_exit);
  order.result = child.id;
}

void ChildHost::State::take_orders() {
  const std::lock_guard lock(mutex);
  for (Order* order : orders) start(*order);
  if (!orders.empty()) started.notify_all();
  orders.clear();
}

// Until the next SIGKILL is due. The end of a child is seen by its pipe, or within a second.
int ChildHost::State::wait_ms() const {
  const std::lock_guard lock(mutex);
  if (children.empty()) return -1;
  int64_t least = 1000;
  for (const Child& child : children) {
    if (child.output.get() < 0) least = std::min<int64_t>(least, 10);  // it closed its output, but lives
    if (!child.kill_at) continue;
    least = std::min(least, std::chrono::ceil<base::Millis>(*child.kill_at - clock.now()).count());
  }
  return static_cast<int>(std::max<int64_t>(least, 0));
}

void ChildHost::State::read_output(Child& child) {
  std::array<char, 16UL << 10> buffer;  // NOLINT: filled by read
  while (child.output.get() >= 0) {
    const ssize_t got = ::read(child.output.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      child.output.close();
      return;
    }
    if (child.muted) continue;
    child.said.append(buffer.data(), static_cast<size_t>(got));
    if (child.said.size() > kSaidMax) child.said.erase(0, child.said.size() - kSaidMax);
  }
}

void ChildHost::State::reap() {
  std::list<Child> ended;
  {
    const std::lock_guard lock(mutex);
    for (auto at = children.begin(); at != children.end();) {
      const auto next = std::next(at);
      if (at->kill_at && *at->kill_at <= clock.now()) {
        ::kill(-at->pid, SIGKILL);
        at->kill_at.reset();
      }
      siginfo_t info{};
      const bool gone = ::waitid(P_PID, static_cast<id_t>(at->pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                        info.si_pid == at->pid;  // not reaped yet: its group's number stays taken
      read_output(*at);
      if (gone) ended.splice(ended.end(), children, at);
      at = next;
    }
  }
  for (Child& child : ended) {
    ::kill(-child.pid, SIGKILL);  // what it may have started
    int status = 0;
    while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (child.on_exit) {
      child.on_exit({.by_signal = WIFSIGNALED(status),
                     .status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                     .said = std::move(child.said)});
    }
  }
}

void ChildHost::State::run() {
  for (;;) {
    take_orders();
    std::vector<pollfd> watched = {{wake.get(), POLLIN, 0}};
    {
      const std::lock_guard lock(mutex);
      if (ending && children.empty()) return;
      for (const Child& child : children) {
        if (child.output.get() >= 0) watched.push_back({child.output.get(), POLLIN, 0});
      }
    }
    ::poll(watched.data(), watched.size(), wait_ms());
    uint64_t rings = 0;
    (void)!::read(wake.get(), &rings, sizeof rings);
    reap();
  }
}

ChildHost::ChildHost() : state_(std::make_unique<State>()) {}

ChildHost::~ChildHost() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
    for (Child& child : state_->children) child.kill_at = base::SteadyTime::min();
  }
  state_->ring();
  if (state_->thread.joinable()) state_->thread.join();
}

base::Result<ChildHost::ChildId> ChildHost::start(ChildCommand command, OnExit on_exit) {
  Order order{.command = std::move(command), .on_exit = std::move(on_exit), .result = {}};
  std::unique_lock lock(state_->mutex);
  if (state_->ending) return std::unexpected(cannot_start(order.command.arguments.front(), ECANCELED));
  if (!state_->thread.joinable()) state_->thread = std::thread([state = state_.get()] { state->run(); });
  state_->orders.push_back(&order);
  state_->ring();
  state_->started.wait(lock, [&] { return order.result.has_value(); });
  return *std::move(order.result);
}

void ChildHost::mute(ChildId child) {
  const std::lock_guard lock(state_->mutex);
  for (Child& each : state_->children) {
    if (each.id != child) continue;
    state_->read_output(each);
    each.muted = true;
  }
}

void ChildHost::stop(ChildId child, base::Millis grace) {
  const std::lock_guard lock(state_->mutex);
  for (Child& each : state_->children) {
    if (each.id != child) continue;
    if (grace.count() > 0) ::kill(-each.pid, SIGTERM);
    each.kill_at = state_->clock.now() + grace;
  }
  state_->ring();
}

int ChildHost::process_of(ChildId child) const {
  const std::lock_guard lock(state_->mutex);
  for (const Child& each : state_->children) {
    if (each.id == child) return each.pid;
  }
  return 0;
}

}  // namespace tessera::llm
