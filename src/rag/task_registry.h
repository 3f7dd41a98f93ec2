#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/cancel.h"
#include "async/waiter.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/result.h"
#include "core/tasks.h"

namespace tessera::rag {

/// A task's record at some moment; `revision` grows with every change, so "what is new since" is one number.
struct TaskSnapshot {
  core::TaskRecord record;
  uint64_t revision = 0;
  bool finished = false;  ///< done, failed, cancelled or interrupted: no further revision
};

struct TaskRegistryOptions {
  size_t running_max = 64;           ///< tasks at work over all tenants
  size_t finished_max = 256;         ///< kept in memory; older ones are read from the store
  base::Millis persist_every{1000};  ///< progress is written to the store at most so often
};

/// The long tasks of this process: live progress, cancellation, history over restarts. Thread-safe. A follower reads
/// the latest state, so a slow one misses intermediate numbers and never makes anything grow. Records are persisted at
/// start, now and then, and at the end; a failing store is logged and does not stop the work.
class TaskRegistry {
 public:
  class Handle;

  TaskRegistry(core::TaskStore& store, const base::Clock& clock, const base::IdSource& ids, base::Logger& log,
               TaskRegistryOptions options = {});
  ~TaskRegistry();
  TaskRegistry(const TaskRegistry&) = delete;
  TaskRegistry& operator=(const TaskRegistry&) = delete;

  /// Registers and persists a running task; task_id is made when empty. Errors: exhausted TOO_MANY_TASKS, the store's.
  core::Task<base::Result<std::shared_ptr<Handle>>> begin(core::Tenant tenant, core::TaskRecord record);
  /// Live if it runs here, else from the store. Errors: not_found TASK_NOT_FOUND.
  core::Task<base::Result<TaskSnapshot>> find(core::Tenant tenant, std::string task_id);
  /// Waits until the task has a revision above `after`; returns at once when it finished. For event streams.
  core::Task<base::Result<TaskSnapshot>> follow(core::Tenant tenant, std::string task_id, uint64_t after,
                                                async::WaitBounds bounds = {});
  /// Newest first, live numbers where there are any.
  core::Task<base::Result<core::Page<core::TaskRecord>>> list(core::Tenant tenant, core::PageRequest page);
  /// Asks a running task to stop; its state becomes "cancelled" when it has. Finished tasks are left as they are.
  core::Task<base::Result<TaskSnapshot>> cancel(core::Tenant tenant, std::string task_id);
  /// Tasks at work now, watching ones included.
  [[nodiscard]] size_t running() const;
  /// For start-up: what ran when the process ended. Running ones are marked "interrupted"; watching ones are returned
  /// to be started again under their id.
  core::Task<base::Result<std::vector<std::pair<core::Tenant, core::TaskRecord>>>> recover();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The worker's end of a task. Thread-safe. A task whose handle goes away without `finish` is marked "interrupted"
/// in memory (the next start marks it in the store).
class TaskRegistry::Handle {
 public:
  struct Entry;
  Handle(std::shared_ptr<State> registry, std::shared_ptr<Entry> entry);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] async::CancelToken token() const;
  [[nodiscard]] core::TaskRecord record() const;
  [[nodiscard]] const core::Tenant& tenant() const;
  /// Changes the record under the lock and wakes followers. `change` must be quick.
  void update(const std::function<void(core::TaskRecord&)>& change);
  /// Counts one failed document and keeps its error while there is room.
  void fail_item(std::string item, base::Error error);
  /// Writes progress to the store when it is due.
  core::Task<> persist_if_due();
  /// Writes it now, e.g. when the state became "watching".
  core::Task<> persist();
  /// Final state: "done", "failed", "cancelled" or (at shutdown) "watching"/"interrupted", persisted.
  core::Task<> finish(std::string state, std::string error = {});

 private:
  void end(std::string_view state, std::string_view error);

  std::shared_ptr<State> registry_;
  std::shared_ptr<Entry> entry_;
};

}  // namespace tessera::rag
