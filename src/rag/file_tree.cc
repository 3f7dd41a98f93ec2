#include "rag/file_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "rag/inotify_watch.h"
#include "text/utf8.h"

namespace tessera::rag {

namespace {

using base::Code;

/// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    const int error = errno;  // whoever looks at errno wants that of the open
    if (fd_ >= 0) ::close(fd_);
    errno = error;
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string reason(int error) {
  std::array<char, 128> text{};
  return strerror_r(error, text.data(), text.size());
}

// One step down; links are refused with ELOOP, also where one was put after we looked.
Fd open_step(int at, const std::string& name, bool directory) {
  const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (directory ? O_DIRECTORY : 0);
  return Fd(::openat(at, name.c_str(), flags));
}

// `path` below `at`, part by part without following a link.
Fd open_below(int at, std::string_view path, bool directory) {
  Fd here(::fcntl(at, F_DUPFD_CLOEXEC, 0));
  while (here) {
    while (path.starts_with('/')) path.remove_prefix(1);
    if (path.empty()) return here;
    const size_t slash = path.find('/');
    const std::string part(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part == "..") {
      errno = EACCES;
      return Fd(-1);
    }
    Fd next = open_step(here.get(), part, directory || !path.empty());
    if (!next) return next;  // errno tells why
    here = std::move(next);
  }
  return Fd(-1);
}

// An absolute path without following a link anywhere: in one call where the kernel can (Linux 5.6), else part by part.
Fd open_absolute(const std::string& path, bool directory) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (directory ? O_DIRECTORY : 0);
  how.resolve = RESOLVE_NO_SYMLINKS;
  const bool climbs = (path + '/').find("/../") != std::string::npos;
  if (!climbs) {
    Fd opened(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
    // Containers may forbid a call they do not know.
    if (opened || (errno != ENOSYS && errno != EPERM && errno != EAGAIN)) return opened;
  }
  const Fd top(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return open_below(top.get(), path, directory);
}

// Names come back to clients in JSON, so they have to be text.
bool printable(std::string_view name) {
  return text::is_valid_utf8(name) &&
         std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Collects the files below a folder.
class Walker {
 public:
  Walker(const WalkBounds& bounds, const std::function<bool(std::string_view)>& wanted, const async::CancelToken& stop)
      : bounds_(bounds), wanted_(wanted), stop_(stop) {}

  void enter(Fd folder, const std::string& prefix, int depth) {
    DIR* entries = ::fdopendir(folder.get());
    if (entries == nullptr) {
      unreadable(prefix, errno);
      return;
    }
    const int fd = folder.release();  // the DIR's now
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(entries)) {
      if (entry->d_name[0] == '.') continue;  // hidden: .git, .obsidian, "." and ".."
      names.emplace_back(entry->d_name);
      if (names.size() > bounds_.files_max) {
        result_.complete = false;
        break;
      }
    }
    std::ranges::sort(names);
    for (const auto& name : names) {
      if (stop_.cancelled() || result_.files.size() >= bounds_.files_max) {
        result_.complete = false;
        break;
      }
      look(fd, name, prefix, depth);
    }
    ::closedir(entries);
  }

  WalkResult take() {
    std::ranges::sort(result_.files, {}, &FileEntry::path);
    return std::move(result_);
  }

  void unreadable(const std::string& path, int error) {
    result_.complete = false;
    failed(path, base::make_error(Code::forbidden, "FOLDER_UNREADABLE", "The folder cannot be read: " + reason(error)));
  }

 private:
  void failed(const std::string& path, base::Error error) {
    constexpr size_t kFailuresMax = 100;
    if (result_.failures.size() < kFailuresMax) result_.failures.emplace_back(path, std::move(error));
  }

  void look(int folder, const std::string& name, const std::string& prefix, int depth) {
    struct stat info{};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return;  // gone meanwhile
    const bool directory = S_ISDIR(info.st_mode);
    if (!directory && (!S_ISREG(info.st_mode) || !wanted_(name))) return;
    if (!printable(name)) {
      failed(prefix + "?",
             base::make_error(Code::invalid, "INVALID_FILE_NAME", "A name here is not valid UTF-8 text; rename it."));
      if (directory) result_.complete = false;
      return;
    }
    const std::string path = prefix + name;
    if (directory) {
      if (depth >= bounds_.depth_max) {
        result_.complete = false;
        failed(path, base::make_error(Code::too_large, "TOO_DEEP",
                                      fmt::format("Folders deeper than {} are left out.", bounds_.depth_max)));
        return;
      }
      Fd next = open_step(folder, name, true);
      if (!next) return unreadable(path, errno);
      enter(std::move(next), path + "/", depth + 1);
      return;
    }
    FileEntry file;
    file.path = path;
    file.bytes = info.st_size;
    const std::array<int64_t, 4> identity{nanoseconds(info.st_mtim), nanoseconds(info.st_ctim), info.st_size,
                                          static_cast<int64_t>(info.st_ino)};
    file.modified_ns = std::max(identity[0], identity[1]);
    file.stamp = base::hash64({reinterpret_cast<const char*>(identity.data()), sizeof(identity)});
    result_.files.push_back(std::move(file));
  }

  const WalkBounds& bounds_;
  const std::function<bool(std::string_view)>& wanted_;
  const async::CancelToken& stop_;
  WalkResult result_;
};

base::Result<std::string> read_all(int fd, int64_t bytes_max) {
  std::string bytes;
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return base::fail(Code::not_found, "FILE_NOT_FOUND", "This is not a regular file.");
  }
  bytes.resize(static_cast<size_t>(std::min<int64_t>(info.st_size, bytes_max)) + 1);
  size_t used = 0;
  while (true) {
    const ssize_t got = ::read(fd, bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail(Code::forbidden, "FILE_UNREADABLE", "The file cannot be read: " + reason(errno));
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (static_cast<int64_t>(used) > bytes_max) {
      return base::fail(Code::too_large, "FILE_TOO_LARGE", fmt::format("The file has more than {} bytes.", bytes_max));
    }
    if (used == bytes.size()) bytes.resize(std::min<size_t>(bytes.size() * 2, static_cast<size_t>(bytes_max) + 1));
  }
  bytes.resize(used);
  return bytes;
}

class PosixFileTree final : public FileTree {
 public:
  base::Result<std::string> canonical_directory(const std::string& path) override {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
    struct stat info{};
    if (!real || ::stat(real.get(), &info) != 0) {
      if (errno == EACCES)
        return base::fail(Code::forbidden, "DIRECTORY_UNREADABLE", "The directory cannot be read.", "", "path");
      return base::fail(Code::not_found, "DIRECTORY_NOT_FOUND", "There is no such directory.", "", "path");
    }
    if (!S_ISDIR(info.st_mode)) {
      return base::fail(Code::invalid, "NOT_A_DIRECTORY",
                        "The path names a file; name its directory, or send the file.", "", "path");
    }
    return std::string(real.get());
  }

  base::Result<WalkResult> walk(const std::string& root, const WalkBounds& bounds,
                                const std::function<bool(std::string_view)>& wanted,
                                const async::CancelToken& stop) override {
    Fd top = open_absolute(root, true);
    if (!top) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
        return base::fail(Code::not_found, "DIRECTORY_NOT_FOUND", "The directory is gone.", "", "path");
      }
      return base::fail(Code::forbidden, "DIRECTORY_UNREADABLE", "The directory cannot be read: " + reason(errno), "",
                        "path");
    }
    Walker walker(bounds, wanted, stop);
    walker.enter(std::move(top), "", 0);
    return walker.take();
  }

  base::Result<std::string> read(const std::string& root, const std::string& path, int64_t bytes_max) override {
    const Fd file = open_absolute(root.ends_with('/') ? root + path : root + '/' + path, false);
    if (!file) {
      if (errno == EACCES || errno == EPERM) {
        return base::fail(Code::forbidden, "FILE_UNREADABLE", "The file cannot be read: " + reason(errno));
      }
      return base::fail(Code::not_found, "FILE_NOT_FOUND", "The file is gone.");
    }
    return read_all(file.get(), bytes_max);
  }

  base::Result<std::unique_ptr<TreeWatch>> watch(const std::string& root, const WalkBounds& bounds) override {
    return watch_with_inotify(root, bounds);
  }
};

}  // namespace

uint64_t lasting_stamp(const FileEntry& file, int64_t looked_ns) {
  constexpr int64_t kGranuleNs = 2'000'000'000;  // the coarsest time a file system keeps (FAT)
  return looked_ns - file.modified_ns < kGranuleNs ? 0 : file.stamp;
}

std::unique_ptr<FileTree> posix_file_tree() {
  return std::make_unique<PosixFileTree>();
}

}  // namespace tessera::rag
