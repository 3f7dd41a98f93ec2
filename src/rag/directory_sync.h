#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rag/directory_ingest.h"

namespace tessera::rag {

/// A file, and the document that was made of it before, if any.
struct FileMatch {
  const FileEntry* file = nullptr;
  const core::SourceRecord* known = nullptr;
  bool unchanged = false;  ///< by its stamp: it need not be read
};

/// A directory and the collection it is compared with. Lives as long as one pass.
struct DirectoryView {
  std::string root;
  std::string collection;
  std::string fingerprint;  ///< what a document's content_hash ends with when it was made as it would be now
  int64_t looked_ns = 0;    ///< the clock's time before the walk
  WalkResult walked;
  std::vector<core::SourceRecord> known;  ///< of the collection, from this directory; ordered by source
  std::vector<FileMatch> files;           ///< one for each file that was walked
  std::vector<const core::SourceRecord*> gone;
};

/// Passes over a directory: what is there, what the store has, and making the second equal to the first. A file whose
/// stamp (times, size, inode) is the one its document was stored with is not read, also after a restart. A stamp
/// younger than two seconds when the walk began is not kept: the file may change again without changing its times.
/// Thread-safe; the parts outlive it.
class DirectorySync {
 public:
  DirectorySync(DirectoryParts& parts, const DirectoryOptions& options) : parts_(parts), options_(options) {}

  /// One pass; counts into the task. Errors are about the whole: the directory is gone, the store is away, cancelled.
  core::Task<base::Result<>> run(const core::RequestContext& context, TaskRegistry::Handle& task, std::string root,
                                 std::string collection);
  core::Task<base::Result<ScanReport>> compare(const core::RequestContext& context, std::string root,
                                               std::string collection);

 private:
  struct Pass;
  struct Batch;
  core::Task<base::Result<>> look(const core::RequestContext& context, DirectoryView& view);
  core::Task<base::Result<>> walk(const core::RequestContext& context, DirectoryView& view);
  core::Task<base::Result<>> list_known(const core::RequestContext& context, DirectoryView& view);
  core::Task<> work(Pass& pass);
  core::Task<base::Result<>> take_in(Pass& pass, std::span<const FileMatch* const> batch);
  core::Task<base::Result<>> read(Pass& pass, std::span<const FileMatch* const> matches, Batch& batch);
  core::Task<base::Result<>> remove_gone(Pass& pass);
  core::Task<base::Result<>> remove(const core::RequestContext& context, TaskRegistry::Handle& task,
                                    const core::SourceRecord& document);
  [[nodiscard]] IngestRequest request_for(const DirectoryView& view, const FileEntry& file, std::string bytes) const;

  DirectoryParts& parts_;
  const DirectoryOptions& options_;
};

}  // namespace tessera::rag
