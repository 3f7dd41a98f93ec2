#include "rag/directory_ingest.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

#include "async/deadline.h"
#include "async/task_scope.h"
#include "rag/directory_sync.h"

namespace tessera::rag {

namespace {

using base::Code;

bool lies_in(const std::string& path, const std::string& root) {
  if (root == "/") return path.starts_with('/');
  return path == root || (path.starts_with(root) && path[root.size()] == '/');
}

std::unexpected<base::Error> not_allowed() {
  return base::fail(Code::forbidden, "DIRECTORY_NOT_ALLOWED",
                    "This directory is not among the allowed ones; the operator allows it by adding it (or a directory "
                    "above it) to the setting ingest.roots.",
                    "", "path");
}

/// The context of work that goes on after its request: on the asker's account, and by the asker's leave.
core::RequestContext in_background(core::RequestContext asker, const TaskRegistry::Handle& task,
                                   async::CancelToken cancel) {
  asker.request_id = task.record().task_id;
  asker.priority = core::Priority::background;
  asker.deadline = base::SteadyTime::max();
  asker.cancel = std::move(cancel);
  asker.trace = nullptr;
  return asker;
}

}  // namespace

struct DirectoryIngest::State {
  /// Who works on what: one task per directory and collection.
  using Place = std::tuple<core::Tenant, std::string, std::string>;
  struct Job {
    core::RequestContext asker;
    std::shared_ptr<TaskRegistry::Handle> task;
    std::string root;
    std::string collection;
    bool watch = false;
  };

  State(DirectoryParts p, DirectoryOptions o)
      : parts(std::move(p)), options(std::move(o)), sync(parts, options), scope(parts.executor) {}

  DirectoryParts parts;
  DirectoryOptions options;
  DirectorySync sync;
  std::mutex mutex;
  std::map<Place, std::string> active;  // guarded by mutex; the task's id, empty while it is being begun
  async::TaskScope scope;

  core::Task<base::Result<std::string>> allowed_path(std::string path);
  core::Task<base::Result<core::TaskRecord>> launch(core::RequestContext asker, core::TaskRecord record);
  std::optional<std::string> occupy(const Place& place);
  void leave(const Place& place);
  core::Task<> run_directory(Job job);
  core::Task<base::Result<>> follow(const core::RequestContext& context, Job& job);
  core::Task<> run_reindex(core::RequestContext asker, std::shared_ptr<TaskRegistry::Handle> task,
                           std::string collection);
  core::Task<base::Result<>> refresh_all(const core::RequestContext& context, TaskRegistry::Handle& task,
                                         std::string collection);
  core::Task<> conclude(TaskRegistry::Handle& task, base::Result<> result);
};

DirectoryIngest::DirectoryIngest(DirectoryParts parts, DirectoryOptions options)
    : state_(std::make_unique<State>(std::move(parts), std::move(options))) {}

DirectoryIngest::~DirectoryIngest() = default;

// Links are resolved before the comparison. Outside of the allowed roots the answer does not tell what exists.
core::Task<base::Result<std::string>> DirectoryIngest::State::allowed_path(std::string path) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
    co_return base::fail(Code::invalid, "INVALID_PATH", "path is an absolute path of a directory on the server.", "",
                         "path");
  }
  const auto resolve = [this, &path]() -> base::Result<std::string> {
    auto real = parts.files.canonical_directory(path);
    const bool climbs = path.find("/..") != std::string::npos;
    for (const auto& each : options.allowed_roots) {
      const auto root = parts.files.canonical_directory(each);
      if (!root) continue;
      if (real && lies_in(*real, *root)) return real;
      if (!real && !climbs && (lies_in(path, *root) || lies_in(path, each))) return real;
    }
    return not_allowed();
  };
  co_return co_await parts.pool.run(resolve);
}

// The task that has the place; nothing when it is ours now.
std::optional<std::string> DirectoryIngest::State::occupy(const Place& place) {
  const std::lock_guard lock(mutex);
  const auto [it, fresh] = active.try_emplace(place, "");
  if (fresh) return std::nullopt;
  return it->second;
}

void DirectoryIngest::State::leave(const Place& place) {
  const std::lock_guard lock(mutex);
  active.erase(place);
}

core::Task<base::Result<core::TaskRecord>> DirectoryIngest::start(const core::RequestContext& context,
                                                                  DirectoryRequest request) {
  if (!core::valid_collection_name(request.collection)) {
    co_return base::fail(Code::invalid, "INVALID_COLLECTION",
                         "A collection's name is 1 to 128 letters, digits, '-', '_' or '.', not starting with '.'.", "",
                         "collection");
  }
  core::TaskRecord record;
  TESSERA_CO_TRY(record.path, co_await state_->allowed_path(std::move(request.path)));
  record.kind = "ingest_directory";
  record.collection = std::move(request.collection);
  record.watch = request.watch;
  record.key_id = context.key_id;
  co_return co_await state_->launch(context, std::move(record));
}

core::Task<base::Result<core::TaskRecord>> DirectoryIngest::State::launch(core::RequestContext asker,
                                                                          core::TaskRecord record) {
  const Place place{asker.tenant, record.collection, record.path};
  if (const auto busy = occupy(place)) {
    const auto other = co_await parts.tasks.find(asker.tenant, *busy);
    // The same wish again is the same task.
    if (other && (other->record.watch || !record.watch)) co_return other->record;
    co_return base::fail(Code::conflict, "DIRECTORY_BUSY",
                         fmt::format("Task {} is taking this directory in; wait for it or cancel it.", *busy), "",
                         "path");
  }
  Job job{std::move(asker), nullptr, record.path, record.collection, record.watch};
  auto begun = co_await parts.tasks.begin(job.asker.tenant, std::move(record));
  if (!begun) {
    leave(place);
    co_return std::unexpected(std::move(begun).error());
  }
  job.task = *std::move(begun);
  const auto started = job.task->record();
  {
    const std::lock_guard lock(mutex);
    active[place] = started.task_id;
  }
  if (!scope.spawn(run_directory(std::move(job)))) {
    leave(place);
    co_return base::fail(Code::unavailable, "SHUTTING_DOWN", "The server is shutting down; try again soon.");
  }
  co_return started;
}

core::Task<> DirectoryIngest::State::run_directory(Job job) {
  async::CancelSource either;
  const async::CancelCallback by_client(job.task->token(), [&either] { either.cancel(); });
  const async::CancelCallback by_stop(scope.token(), [&either] { either.cancel(); });
  const auto context = in_background(std::move(job.asker), *job.task, either.token());
  auto result = co_await follow(context, job);
  leave({job.task->tenant(), job.collection, job.root});
  co_await conclude(*job.task, std::move(result));
}

core::Task<base::Result<>> DirectoryIngest::State::follow(const core::RequestContext& context, Job& job) {
  if (!job.watch) co_return co_await sync.run(context, *job.task, job.root, job.collection);
  std::unique_ptr<TreeWatch> watch;
  const auto begin_watch = [this, &job, &watch]() -> base::Result<> {
    TESSERA_TRY(watch, parts.files.watch(job.root, options.bounds));
    return {};
  };
  while (true) {
    // Before the pass, so that nothing falls between. Without a watch the directory is looked at now and then.
    if (!watch) std::ignore = co_await parts.pool.run(begin_watch, context.cancel);
    const auto pass = co_await sync.run(context, *job.task, job.root, job.collection);
    if (context.cancel.cancelled()) co_return base::fail(Code::cancelled, "TASK_CANCELLED", "The task was cancelled.");
    job.task->update([&](core::TaskRecord& record) {
      record.state = "watching";
      record.error = pass ? "" : pass.error().message;  // e.g. the directory is gone; it may come back
    });
    co_await job.task->persist();
    if (!pass) watch.reset();  // the directory may be another one when it comes back
    const auto look_again = base::SystemClock().now() + options.poll_every;
    auto why = async::Wake::deadline;
    if (watch) {
      async::WaitBounds bounds;
      bounds.token = context.cancel;
      if (!watch->covers_everything()) bounds.deadline = look_again;
      why = co_await watch->changed(std::move(bounds));
    } else if (!co_await async::sleep_until(look_again, context.cancel)) {
      why = async::Wake::cancelled;
    }
    if (why == async::Wake::cancelled)
      co_return base::fail(Code::cancelled, "TASK_CANCELLED", "The task was cancelled.");
    // Editors write in several steps; a short quiet time makes one pass of them.
    if (!co_await async::sleep_for(options.settle, context.cancel)) {
      co_return base::fail(Code::cancelled, "TASK_CANCELLED", "The task was cancelled.");
    }
  }
}

core::Task<> DirectoryIngest::State::conclude(TaskRegistry::Handle& task, base::Result<> result) {
  if (result) {
    co_await task.finish("done");
  } else if (task.token().cancelled()) {
    co_await task.finish("cancelled");
  } else if (scope.token().cancelled()) {
    // Watching goes on at the next start; other work has to be asked for again.
    const bool watch = task.record().watch;
    co_await task.finish(watch ? "watching" : "interrupted",
                         watch ? "" : "The server stopped while the task ran; start it again.");
  } else {
    parts.log.failure("task_failed", result.error());
    co_await task.finish("failed", result.error().message);
  }
}

core::Task<base::Result<ScanReport>> DirectoryIngest::scan(const core::RequestContext& context,
                                                           DirectoryRequest request) {
  TESSERA_CO_TRY(auto root, co_await state_->allowed_path(std::move(request.path)));
  co_return co_await state_->sync.compare(context, std::move(root), std::move(request.collection));
}

core::Task<base::Result<core::TaskRecord>> DirectoryIngest::reindex(const core::RequestContext& context,
                                                                    std::string collection) {
  if (!collection.empty()) {
    core::CollectionName name{context.tenant, collection};
    TESSERA_CO_CHECK(co_await state_->parts.store.find_collection(std::move(name)));
  }
  core::TaskRecord record;
  record.kind = "reindex";
  record.collection = collection;
  record.key_id = context.key_id;
  TESSERA_CO_TRY(auto task, co_await state_->parts.tasks.begin(context.tenant, std::move(record)));
  const auto started = task->record();
  if (!state_->scope.spawn(state_->run_reindex(context, std::move(task), std::move(collection)))) {
    co_return base::fail(Code::unavailable, "SHUTTING_DOWN", "The server is shutting down; try again soon.");
  }
  co_return started;
}

core::Task<> DirectoryIngest::State::run_reindex(core::RequestContext asker, std::shared_ptr<TaskRegistry::Handle> task,
                                                 std::string collection) {
  async::CancelSource either;
  const async::CancelCallback by_client(task->token(), [&either] { either.cancel(); });
  const async::CancelCallback by_stop(scope.token(), [&either] { either.cancel(); });
  const auto context = in_background(std::move(asker), *task, either.token());
  auto result = co_await refresh_all(context, *task, std::move(collection));
  if (result) {
    async::WaitBounds bounds;
    bounds.token = context.cancel;
    result = co_await parts.feed.rebuild(std::move(bounds));
  }
  co_await conclude(*task, std::move(result));
}

core::Task<base::Result<>> DirectoryIngest::State::refresh_all(const core::RequestContext& context,
                                                               TaskRegistry::Handle& task, std::string collection) {
  TESSERA_CO_TRY(const auto collections, co_await parts.store.list_collections(context.tenant));
  task.update([&](core::TaskRecord& record) {
    for (const auto& each : collections) {
      if (collection.empty() || each.name.name == collection) record.total += each.documents;
    }
  });
  core::PageRequest page;
  page.limit = 500;
  do {
    TESSERA_CO_TRY(auto heads, co_await parts.store.list_documents(context.tenant, collection, page));
    for (auto& head : heads.items) {
      if (context.cancel.cancelled())
        co_return base::fail(Code::cancelled, "TASK_CANCELLED", "The task was cancelled.");
      const std::string id = head.document_id;
      const auto refreshed = co_await parts.ingest.refresh(context, std::move(head));
      // Deleted or written anew since it was listed: nothing to do.
      const bool moot =
          !refreshed && (refreshed.error().code == Code::not_found || refreshed.error().name == "DOCUMENT_CHANGED");
      if (!refreshed && !moot) task.fail_item(id, refreshed.error());
      task.update([&](core::TaskRecord& record) {
        ++record.done;
        if (refreshed) ++(*refreshed ? record.updated : record.unchanged);
      });
      co_await task.persist_if_due();
    }
    page.cursor = std::move(heads.next_cursor);
  } while (!page.cursor.empty());
  co_return base::Result<>{};
}

core::Task<base::Result<>> DirectoryIngest::resume() {
  TESSERA_CO_TRY(auto watching, co_await state_->parts.tasks.recover());
  for (auto& [tenant, record] : watching) {
    // The allowed roots may have changed since.
    const auto path = co_await state_->allowed_path(record.path);
    if (path && *path == record.path) {
      record.added = record.updated = record.unchanged = record.deleted = 0;
      core::RequestContext asker;
      asker.tenant = std::move(tenant);
      asker.key_id = record.key_id;
      TESSERA_CO_CHECK(co_await state_->launch(std::move(asker), std::move(record)));
      continue;
    }
    const auto why =
        path ? base::make_error(Code::conflict, "DIRECTORY_MOVED", "The directory's path leads elsewhere now.")
             : path.error();
    TESSERA_CO_TRY(const auto task, co_await state_->parts.tasks.begin(std::move(tenant), std::move(record)));
    co_await task->finish("failed", why.message);
  }
  co_return base::Result<>{};
}

bool DirectoryIngest::stop(base::Millis timeout) {
  state_->scope.cancel();
  return state_->scope.join_blocking(timeout);
}

}  // namespace tessera::rag
