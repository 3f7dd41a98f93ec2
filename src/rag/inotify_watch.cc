#include "rag/inotify_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <thread>

#include "async/event.h"

namespace tessera::rag {

namespace {

constexpr uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |
                             IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;

class InotifyWatch final : public TreeWatch {
 public:
  InotifyWatch(int inotify, int stop, std::string root, const WalkBounds& bounds)
      : inotify_(inotify), stop_(stop), root_(std::move(root)), bounds_(bounds) {
    add_tree("", 0);
    thread_ = std::thread([this] { run(); });
  }

  ~InotifyWatch() override {
    const uint64_t one = 1;
    // Cannot fail: an eventfd takes it until it holds 2^64 - 2.
    std::ignore = ::write(stop_, &one, sizeof(one));
    thread_.join();
    ::close(inotify_);
    ::close(stop_);
  }

  InotifyWatch(const InotifyWatch&) = delete;
  InotifyWatch& operator=(const InotifyWatch&) = delete;

  async::Task<async::Wake> changed(async::WaitBounds bounds) override {
    co_return co_await bell_.wait(std::move(bounds));
  }
  [[nodiscard]] bool covers_everything() const override { return complete_; }

 private:
  void run() {
    std::array<pollfd, 2> fds{{{inotify_, POLLIN, 0}, {stop_, POLLIN, 0}}};
    while (true) {
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) break;
      if ((fds[1].revents & POLLIN) != 0) break;
      if ((fds[0].revents & POLLIN) != 0 && drain()) bell_.ring();
    }
  }

  // Reads what there is; whether anything of interest was among it.
  bool drain() {
    alignas(inotify_event) std::array<char, 16384> buffer{};
    bool interesting = false;
    while (true) {
      const ssize_t got = ::read(inotify_, buffer.data(), buffer.size());
      if (got <= 0) return interesting;
      for (ssize_t at = 0; at < got;) {
        inotify_event event{};
        std::memcpy(&event, buffer.data() + at, sizeof(event));
        const char* name = event.len > 0 ? buffer.data() + at + sizeof(event) : "";
        interesting = take(event, name) || interesting;
        at += static_cast<ssize_t>(sizeof(event) + event.len);
      }
    }
  }

  bool take(const inotify_event& event, const char* name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      // Folders may have appeared unseen.
      add_tree("", 0);
      return true;
    }
    if ((event.mask & IN_IGNORED) != 0) {
      folders_.erase(event.wd);
      return true;
    }
    if (name[0] == '.') return false;  // hidden files are no documents: editors' swap files, .git
    const auto folder = folders_.find(event.wd);
    if (folder != folders_.end() && (event.mask & IN_ISDIR) != 0 && (event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
      // A copy: adding watches changes the map.
      const auto [path, depth] = folder->second;
      add_tree(path + name + "/", depth + 1);
    }
    return true;
  }

  // `path` is relative to the root, ending in '/' unless it is the root.
  void add_tree(const std::string& path, int depth) {
    if (depth > bounds_.depth_max) return;
    const std::string full = root_ + "/" + path;
    const int wd = ::inotify_add_watch(inotify_, full.c_str(), kEvents);
    if (wd < 0) {
      if (path.empty() || errno == ENOSPC || errno == EACCES || errno == ENOMEM) complete_ = false;
      return;
    }
    folders_[wd] = {path, depth};
    DIR* entries = ::opendir(full.c_str());
    if (entries == nullptr) return;
    const int folder = ::dirfd(entries);
    while (const dirent* entry = ::readdir(entries)) {
      if (entry->d_name[0] == '.') continue;
      struct stat info{};
      if (folder >= 0 && ::fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode)) {
        add_tree(path + entry->d_name + "/", depth + 1);
      }
    }
    ::closedir(entries);
  }

  const int inotify_;
  const int stop_;
  const std::string root_;
  const WalkBounds bounds_;
  async::Doorbell bell_;
  std::atomic<bool> complete_{true};
  std::map<int, std::pair<std::string, int>> folders_;  // of the constructor, then of the thread
  std::thread thread_;
};

}  // namespace

base::Result<std::unique_ptr<TreeWatch>> watch_with_inotify(const std::string& root, const WalkBounds& bounds) {
  const int inotify = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const int stop = inotify < 0 ? -1 : ::eventfd(0, EFD_CLOEXEC);
  if (stop < 0) {
    if (inotify >= 0) ::close(inotify);
    return base::fail(base::Code::unavailable, "WATCH_FAILED", "The system cannot watch more directories.");
  }
  return std::make_unique<InotifyWatch>(inotify, stop, root, bounds);
}

}  // namespace tessera::rag
