#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "rag/directory_ingest.h"

namespace tessera::rag {

/// Which content a file had when it was last looked at, so that an unchanged one is not read again. Bounded; thread-
/// safe. An entry is believed only while the store still holds that content.
class FileStamps {
 public:
  explicit FileStamps(size_t max) : max_(max) {}
  /// The content_hash remembered for the file with this stamp.
  [[nodiscard]] std::optional<std::string> find(const std::string& source, uint64_t stamp) const;
  /// Not kept for a file changed so recently that a further change might leave the same time (`now_ns` is the clock's).
  void remember(const std::string& source, const FileEntry& file, std::string content_hash, int64_t now_ns);

 private:
  struct Stamp {
    uint64_t stamp;
    std::string content_hash;
  };
  const size_t max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Stamp> stamps_;  // guarded by mutex_
};

/// A document of the collection that came from the directory.
struct KnownDocument {
  std::string document_id;
  std::string content_hash;
};

/// A directory and the collection it is compared with. Lives as long as one pass.
struct DirectoryView {
  std::string root;
  std::string collection;
  core::CollectionSettings settings;
  WalkResult walked;
  std::map<std::string, KnownDocument> known;  ///< by source
};

/// Passes over a directory: what is there, what the store has, and making the second equal to the first. Thread-safe;
/// the parts outlive it.
class DirectorySync {
 public:
  DirectorySync(DirectoryParts& parts, const DirectoryOptions& options)
      : parts_(parts), options_(options), stamps_(options.stamps_max) {}

  core::Task<base::Result<DirectoryView>> look(const core::RequestContext& context, std::string root,
                                               std::string collection);
  /// One pass; counts into the task. Errors are about the whole: the directory is gone, the store is away, cancelled.
  core::Task<base::Result<>> run(const core::RequestContext& context, TaskRegistry::Handle& task, std::string root,
                                 std::string collection);
  core::Task<base::Result<ScanReport>> compare(const core::RequestContext& context, std::string root,
                                               std::string collection);

 private:
  struct Pass;
  core::Task<> work(Pass& pass);
  core::Task<base::Result<>> take_in(Pass& pass, const FileEntry& file);
  core::Task<base::Result<>> remove_gone(Pass& pass);
  core::Task<base::Result<std::string>> read(const core::RequestContext& context, const std::string& root,
                                             const FileEntry& file);
  [[nodiscard]] bool unchanged(const DirectoryView& view, const FileEntry& file) const;
  [[nodiscard]] IngestRequest request_for(const DirectoryView& view, const FileEntry& file, std::string bytes) const;
  [[nodiscard]] int64_t now_ns() const { return parts_.clock.unix_ms() * 1'000'000; }

  DirectoryParts& parts_;
  const DirectoryOptions& options_;
  FileStamps stamps_;
};

}  // namespace tessera::rag
