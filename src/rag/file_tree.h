#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "async/waiter.h"
#include "base/clock.h"
#include "base/result.h"

namespace tessera::rag {

struct WalkBounds {
  int depth_max = 32;
  size_t files_max = 200'000;
  int64_t file_bytes_max = 64LL << 20U;  ///< larger files are reported as failures, not read
};

/// A regular file below a root. `stamp` changes whenever the file does (time of change, size, inode).
struct FileEntry {
  std::string path;  ///< relative to the root, '/' between parts
  int64_t bytes = 0;
  int64_t modified_ns = 0;
  uint64_t stamp = 0;
};

/// The stamp to keep with what was read of the file after `looked_ns` (Unix time before the walk): 0 while a further
/// change might leave it the same time, that is, for a file younger than two seconds.
uint64_t lasting_stamp(const FileEntry& file, int64_t looked_ns);

struct WalkResult {
  std::vector<FileEntry> files;  ///< ordered by path
  std::vector<std::pair<std::string, base::Error>>
      failures;          ///< folders and files that could not be looked at (first 100)
  bool complete = true;  ///< false: a bound was reached or a folder was unreadable, so absence proves nothing
};

/// Tells that something below a directory changed. A resource; stops with its destruction.
class TreeWatch {
 public:
  virtual ~TreeWatch() = default;
  /// Until something changed or the bounds; changes before the call count. Which files changed is for a walk to say.
  virtual async::Task<async::Wake> changed(async::WaitBounds bounds) = 0;
  /// False: this watch cannot see everything (too many directories, no inotify); poll as well.
  [[nodiscard]] virtual bool covers_everything() const = 0;
};

/// The file system as directory ingest sees it: the one door to files in this room, so that tests use a tree in memory.
/// All blocking (call on the pool) and thread-safe. Symbolic links are never followed below a root.
class FileTree {
 public:
  virtual ~FileTree() = default;
  /// Absolute path of an existing directory with all links resolved. Errors: not_found DIRECTORY_NOT_FOUND, invalid
  /// NOT_A_DIRECTORY, forbidden DIRECTORY_UNREADABLE.
  virtual base::Result<std::string> canonical_directory(const std::string& path) = 0;
  /// Regular files below `root` that `wanted` accepts by name. Hidden files and folders (".git", ".obsidian") are left
  /// out. Ends early (incomplete) when `stop` fires.
  virtual base::Result<WalkResult> walk(const std::string& root, const WalkBounds& bounds,
                                        const std::function<bool(std::string_view)>& wanted,
                                        const async::CancelToken& stop) = 0;
  /// The bytes of a regular file below `root`; never through a link. Errors: not_found FILE_NOT_FOUND, too_large
  /// FILE_TOO_LARGE, forbidden FILE_UNREADABLE.
  virtual base::Result<std::string> read(const std::string& root, const std::string& path, int64_t bytes_max) = 0;
  /// Watches a directory and all below it.
  virtual base::Result<std::unique_ptr<TreeWatch>> watch(const std::string& root, const WalkBounds& bounds) = 0;
};

/// The machine's file system; watches with inotify on one thread per watch.
std::unique_ptr<FileTree> posix_file_tree();

}  // namespace tessera::rag
