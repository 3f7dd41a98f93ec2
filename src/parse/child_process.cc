#include "parse/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <memory>
#include <system_error>

#include "base/clock.h"

namespace tessera::parse {
namespace {

using base::Code;
using base::fail;

constexpr size_t kDiagnosticsMax = 4096;

/// A file descriptor that closes itself. Never 0 to 2, which a server without standard streams hands out: the child
/// moves its own there.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {
    if (fd < 0 || fd > 2) return;
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
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

base::Error failed(std::string_view what, int error) {
  return base::make_error(Code::unavailable, "PROGRAM_FAILED",
                          "The document's reader could not be started. Try again later.",
                          fmt::format("{}: {}", what, std::generic_category().message(error)));
}

base::Result<Descriptor> memory_file(std::string_view bytes) {
  Descriptor file(memfd_create("document", MFD_CLOEXEC));
  if (!file.open()) return std::unexpected(failed("memfd_create", errno));
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return std::unexpected(failed("write to memory file", errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return std::unexpected(failed("lseek", errno));
  return file;
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};

base::Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(failed("pipe2", errno));
  Pipe pipe{.read = Descriptor(ends[0]), .write = Descriptor(ends[1])};
  if (!pipe.read.open() || !pipe.write.open()) return std::unexpected(failed("fcntl", errno));
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

/// What the new process needs between its birth and exec. It shares our memory there, so it only makes system calls.
struct Start {
  std::vector<char*> argv;
  std::array<char*, 1> environment = {nullptr};
  std::array<int, 3> descriptors{};  ///< become 0, 1, 2
  ChildLimits limits;
  int error = 0;  ///< set by the child if exec fails
};

void limit(__rlimit_resource resource, size_t value) {
  const rlimit both{.rlim_cur = value, .rlim_max = value};
  setrlimit(resource, &both);
}

int run_child(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  setpgid(0, 0);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  for (int fd = 0; fd < 3; ++fd) dup2(start.descriptors[static_cast<size_t>(fd)], fd);
  close_range(3, ~0U, 0);
  limit(RLIMIT_AS, start.limits.memory_bytes);
  limit(RLIMIT_CPU, static_cast<size_t>(std::chrono::ceil<std::chrono::seconds>(start.limits.wall_time).count() + 1));
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, 64);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvpe(start.argv[0], start.argv.data(), start.environment.data());
  start.error = errno;
  _exit(127);
}

/// Starts the child the way posix_spawn does (memory shared until exec, so the size of this process costs nothing),
/// because posix_spawn cannot set limits, and limits set from outside come too late. Returns the process or what errno
/// said.
std::expected<pid_t, int> spawn(Start& start) {
  constexpr size_t kStackBytes = 256UL << 10;
  const auto stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
  const pid_t pid = clone(run_child, stack.get() + kStackBytes, CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
  const int error = pid < 0 ? errno : start.error;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) return pid;
  if (pid > 0) waitpid(pid, nullptr, 0);
  return std::unexpected(error);
}

/// A started child; its destructor kills and reaps whatever is left.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) end();
  }

  /// Whether it has ended by itself. Leaves it unreaped, so that its process group's number stays taken.
  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
  }

  /// Kills the group, descendants included, and returns the wait status.
  int end() {
    ::kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
};

/// Reads what is there. Closes the pipe at its end. False when more than `bytes_max` came.
bool drain(Descriptor& from, std::string& into, size_t bytes_max, bool discard_excess) {
  std::array<char, 64UL << 10> buffer;  // NOLINT: filled by read
  while (from.open()) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      from.close();
      return true;
    }
    const size_t room = bytes_max - into.size();
    into.append(buffer.data(), std::min(static_cast<size_t>(got), room));
    if (static_cast<size_t>(got) > room && !discard_excess) return false;
  }
  return true;
}

/// Waits for output until the child ends, its time is over or its output is full.
ChildResult::End follow(const Child& child, Pipe& out, Pipe& err, const ChildLimits& limits, ChildResult& result) {
  const base::SystemClock clock;
  const auto deadline = clock.now() + limits.wall_time;
  constexpr int kTickMs = 20;  // how late the end of a child that keeps its pipes open is seen
  while (true) {
    const bool ended = child.ended();  // asked before reading, so that its last output is read
    if (!drain(out.read, result.output, limits.output_bytes, false)) return ChildResult::End::output_full;
    drain(err.read, result.diagnostics, kDiagnosticsMax, true);
    if (ended) return ChildResult::End::exited;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.now()).count();
    if (left <= 0) return ChildResult::End::timed_out;
    const int wait = static_cast<int>(std::min<int64_t>(left, out.read.open() ? kTickMs : 1));
    std::array<pollfd, 2> ready = {pollfd{out.read.get(), POLLIN, 0}, pollfd{err.read.get(), POLLIN, 0}};
    ::poll(ready.data(), ready.size(), wait);
  }
}

}  // namespace

base::Result<ChildResult> run_confined(const std::vector<std::string>& arguments, std::string_view input,
                                       const ChildLimits& limits) {
  TESSERA_TRY(Descriptor in, memory_file(input));
  TESSERA_TRY(Pipe out, make_pipe());
  TESSERA_TRY(Pipe err, make_pipe());
  Start start;
  for (const std::string& argument : arguments) start.argv.push_back(const_cast<char*>(argument.c_str()));
  start.argv.push_back(nullptr);
  start.descriptors = {in.get(), out.write.get(), err.write.get()};
  start.limits = limits;
  const auto pid = spawn(start);
  if (!pid && pid.error() == ENOENT) {
    return fail(Code::unavailable, "PROGRAM_MISSING",
                fmt::format("The program '{}' is not installed.", arguments.front()));
  }
  if (!pid) return std::unexpected(failed("exec", pid.error()));
  Child child(*pid);
  in.close();
  out.write.close();
  err.write.close();
  ChildResult result;
  result.end = follow(child, out, err, limits, result);
  const int status = child.end();
  if (result.end != ChildResult::End::exited) return result;
  if (WIFSIGNALED(status)) {
    result.end = ChildResult::End::killed_by_signal;
    result.status = WTERMSIG(status);
  } else {
    result.status = WEXITSTATUS(status);
  }
  return result;
}

}  // namespace tessera::parse
