#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "async/task_scope.h"
#include "base/clock.h"
#include "core/documents.h"
#include "core/parser.h"
#include "core/tasks.h"
#include "rag/file_tree.h"
#include "rag/ingest.h"
#include "rag/library.h"
#include "rag/task_registry.h"

namespace tessera::rag {

struct DirectoryRequest {
  std::string path;
  std::string collection = "default";
  bool watch = false;
};

/// What a scan found; the lists hold paths relative to the directory, at most `paths_max` each (counts are exact).
struct ScanReport {
  std::string path;  ///< canonical
  int64_t files = 0;
  int64_t added = 0;
  int64_t modified = 0;
  int64_t deleted = 0;
  int64_t unchanged = 0;
  std::vector<std::string> added_paths;
  std::vector<std::string> modified_paths;
  std::vector<std::string> deleted_paths;
  std::vector<core::TaskFailure> failures;  ///< files or folders that could not be read
  bool truncated = false;                   ///< a bound was reached: deletions are then not reported
};

struct DirectoryOptions {
  std::vector<std::string> allowed_roots;  ///< directories whose content clients may ask for; empty: none
  WalkBounds bounds;
  size_t parallel = 16;           ///< a task has half as many batches of documents at work at once
  size_t paths_max = 1000;        ///< paths a scan report lists
  base::Millis poll_every{5000};  ///< when the directory cannot be watched
  base::Millis settle{200};       ///< quiet time after a change before it is read
};

/// What directory ingest is made of; all outlive it. Tasks run on `executor`.
struct DirectoryParts {
  core::DocumentStore& store;
  const core::DocumentParser& parser;
  IngestService& ingest;
  Library& library;
  IndexFeed& feed;
  TaskRegistry& tasks;
  FileTree& files;
  async::BlockingPool& pool;
  const base::Clock& clock;
  base::Logger& log;
  boost::asio::any_io_executor executor;
};

/// Keeps collections equal to directories, and rebuilds. Each start is a task of the registry: its progress, errors per
/// file and cancellation are there. Files whose name the parser does not know are passed over; a file that fails is
/// recorded and the rest goes on; documents whose file is gone are deleted (unless the walk was cut short).
/// Thread-safe. Errors: forbidden DIRECTORY_NOT_ALLOWED, not_found DIRECTORY_NOT_FOUND, invalid, exhausted
/// TOO_MANY_TASKS. Stops: `stop()` cancels and waits; watching tasks stay "watching" in the store and come back with
/// `resume()`.
class DirectoryIngest {
 public:
  DirectoryIngest(DirectoryParts parts, DirectoryOptions options);
  ~DirectoryIngest();
  DirectoryIngest(const DirectoryIngest&) = delete;
  DirectoryIngest& operator=(const DirectoryIngest&) = delete;

  /// The task that was started; kind "ingest_directory".
  core::Task<base::Result<core::TaskRecord>> start(const core::RequestContext& context, DirectoryRequest request);
  /// Compares directory and collection; changes nothing.
  core::Task<base::Result<ScanReport>> scan(const core::RequestContext& context, DirectoryRequest request);
  /// Starts a task of kind "reindex": embeds anew what was embedded with another model or other settings, then rebuilds
  /// the index from the store. An empty `collection` means all of the tenant's.
  core::Task<base::Result<core::TaskRecord>> reindex(const core::RequestContext& context, std::string collection);
  /// At start-up: marks interrupted tasks and starts watching ones again.
  core::Task<base::Result<>> resume();
  /// Blocking; not from the executor's thread. False when tasks did not end within `timeout`.
  bool stop(base::Millis timeout = base::Millis(10000));

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::rag
