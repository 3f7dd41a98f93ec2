#include "rag/task_registry.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

namespace tessera::rag {

namespace {

using base::Code;

TaskSnapshot stored_snapshot(core::TaskRecord record) {
  TaskSnapshot snapshot;
  snapshot.revision = static_cast<uint64_t>(std::max<int64_t>(1, record.updated_at_ms));
  snapshot.record = std::move(record);
  snapshot.finished = true;
  return snapshot;
}

}  // namespace

struct TaskRegistry::Handle::Entry {
  core::Tenant tenant;
  async::CancelSource cancel;

  std::mutex mutex;
  core::TaskRecord record;  // guarded by mutex, as all below
  uint64_t revision = 1;
  bool finished = false;
  base::SteadyTime persisted_at;
  std::vector<async::Waiter> waiters;

  TaskSnapshot snapshot_locked() const { return {record, revision, finished}; }
  TaskSnapshot snapshot() {
    const std::lock_guard lock(mutex);
    return snapshot_locked();
  }
};

struct TaskRegistry::State {
  using Entry = Handle::Entry;
  using Key = std::pair<core::Tenant, std::string>;

  State(core::TaskStore& s, const base::Clock& c, const base::IdSource& i, base::Logger& l, TaskRegistryOptions o)
      : store(s), clock(c), ids(i), log(l), options(o) {}

  core::TaskStore& store;
  const base::Clock& clock;
  const base::IdSource& ids;
  base::Logger& log;
  const TaskRegistryOptions options;

  std::mutex mutex;
  std::map<Key, std::shared_ptr<Entry>> entries;  // guarded by mutex
  std::deque<Key> finished;                       // guarded by mutex; oldest first
  size_t running = 0;                             // guarded by mutex

  std::shared_ptr<Entry> find(const core::Tenant& tenant, const std::string& task_id) {
    const std::lock_guard lock(mutex);
    const auto it = entries.find(Key{tenant, task_id});
    return it == entries.end() ? nullptr : it->second;
  }

  base::Result<> admit(const Key& key, const std::shared_ptr<Entry>& entry) {
    const std::lock_guard lock(mutex);
    if (running >= options.running_max) {
      auto error = base::make_error(Code::exhausted, "TOO_MANY_TASKS",
                                    "Too many tasks are running; wait for one to end or cancel one.");
      error.retry_after = base::Millis(5000);
      return std::unexpected(std::move(error));
    }
    if (const auto it = entries.find(key); it != entries.end()) {
      if (!it->second->snapshot().finished)
        return base::fail(Code::conflict, "TASK_EXISTS", "A task with this id is running.");
      std::erase(finished, key);
    }
    ++running;
    entries[key] = entry;
    return {};
  }

  void retire(const std::shared_ptr<Entry>& entry) {
    const std::lock_guard lock(mutex);
    --running;
    finished.push_back({entry->tenant, entry->snapshot().record.task_id});
    while (finished.size() > options.finished_max) {
      entries.erase(finished.front());
      finished.pop_front();
    }
  }
};

TaskRegistry::TaskRegistry(core::TaskStore& store, const base::Clock& clock, const base::IdSource& ids,
                           base::Logger& log, TaskRegistryOptions options)
    : state_(std::make_shared<State>(store, clock, ids, log, options)) {}

TaskRegistry::~TaskRegistry() = default;

size_t TaskRegistry::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->running;
}

core::Task<base::Result<std::shared_ptr<TaskRegistry::Handle>>> TaskRegistry::begin(core::Tenant tenant,
                                                                                    core::TaskRecord record) {
  const auto entry = std::make_shared<Handle::Entry>();
  if (record.task_id.empty()) record.task_id = state_->ids.next();
  if (record.created_at_ms == 0) record.created_at_ms = state_->clock.unix_ms();
  record.updated_at_ms = state_->clock.unix_ms();
  record.state = "running";
  record.error.clear();
  entry->tenant = tenant;
  entry->record = record;
  // Milliseconds as the first number: a follower's number of before a restart stays below.
  entry->revision = static_cast<uint64_t>(std::max<int64_t>(1, record.updated_at_ms));
  entry->persisted_at = state_->clock.now();
  TESSERA_CO_CHECK(state_->admit({tenant, record.task_id}, entry));
  auto handle = std::make_shared<Handle>(state_, entry);
  TESSERA_CO_CHECK(co_await state_->store.save_task(std::move(tenant), std::move(record)));
  co_return handle;
}

core::Task<base::Result<TaskSnapshot>> TaskRegistry::find(core::Tenant tenant, std::string task_id) {
  if (const auto entry = state_->find(tenant, task_id)) co_return entry->snapshot();
  TESSERA_CO_TRY(auto record, co_await state_->store.find_task(std::move(tenant), std::move(task_id)));
  co_return stored_snapshot(std::move(record));
}

core::Task<base::Result<TaskSnapshot>> TaskRegistry::follow(core::Tenant tenant, std::string task_id, uint64_t after,
                                                            async::WaitBounds bounds) {
  const auto entry = state_->find(tenant, task_id);
  if (!entry) co_return co_await find(std::move(tenant), std::move(task_id));
  while (true) {
    async::Waiter waiter;
    {
      const std::lock_guard lock(entry->mutex);
      if (entry->finished || entry->revision > after) co_return entry->snapshot_locked();
      entry->waiters.push_back(waiter);
    }
    const auto why = co_await waiter.wait(bounds);
    if (why == async::Wake::ready) continue;
    const std::lock_guard lock(entry->mutex);
    std::erase(entry->waiters, waiter);
    if (why == async::Wake::cancelled) {
      co_return base::fail(Code::cancelled, "REQUEST_CANCELLED", "The request was cancelled.");
    }
    co_return base::fail(Code::deadline, "DEADLINE_EXCEEDED", "Nothing happened in the time given.");
  }
}

core::Task<base::Result<core::Page<core::TaskRecord>>> TaskRegistry::list(core::Tenant tenant, core::PageRequest page) {
  TESSERA_CO_TRY(auto records, co_await state_->store.list_tasks(tenant, std::move(page)));
  for (auto& record : records.items) {
    if (const auto entry = state_->find(tenant, record.task_id)) record = entry->snapshot().record;
  }
  co_return records;
}

core::Task<base::Result<TaskSnapshot>> TaskRegistry::cancel(core::Tenant tenant, std::string task_id) {
  if (const auto entry = state_->find(tenant, task_id)) {
    entry->cancel.cancel();
    co_return entry->snapshot();
  }
  co_return co_await find(std::move(tenant), std::move(task_id));
}

core::Task<base::Result<std::vector<std::pair<core::Tenant, core::TaskRecord>>>> TaskRegistry::recover() {
  std::vector<std::pair<core::Tenant, core::TaskRecord>> watching;
  TESSERA_CO_TRY(auto unfinished, co_await state_->store.unfinished_tasks());
  for (auto& [tenant, record] : unfinished) {
    const auto live = state_->find(tenant, record.task_id);
    if (live && !live->snapshot().finished) continue;  // of this process
    if (record.watch) {
      watching.emplace_back(std::move(tenant), std::move(record));
      continue;
    }
    record.state = "interrupted";
    record.error = "The server stopped while the task ran; start it again.";
    record.updated_at_ms = state_->clock.unix_ms();
    TESSERA_CO_CHECK(co_await state_->store.save_task(std::move(tenant), std::move(record)));
  }
  co_return watching;
}

TaskRegistry::Handle::Handle(std::shared_ptr<State> registry, std::shared_ptr<Entry> entry)
    : registry_(std::move(registry)), entry_(std::move(entry)) {}

TaskRegistry::Handle::~Handle() {
  if (entry_->snapshot().finished) return;
  end("interrupted", "The task ended without a result.");
  registry_->retire(entry_);
}

async::CancelToken TaskRegistry::Handle::token() const {
  return entry_->cancel.token();
}

core::TaskRecord TaskRegistry::Handle::record() const {
  return entry_->snapshot().record;
}

const core::Tenant& TaskRegistry::Handle::tenant() const {
  return entry_->tenant;
}

void TaskRegistry::Handle::update(const std::function<void(core::TaskRecord&)>& change) {
  std::vector<async::Waiter> waiters;
  {
    const std::lock_guard lock(entry_->mutex);
    change(entry_->record);
    entry_->record.updated_at_ms = registry_->clock.unix_ms();
    ++entry_->revision;
    waiters.swap(entry_->waiters);
  }
  for (const auto& waiter : waiters) waiter.wake();
}

void TaskRegistry::Handle::fail_item(std::string item, base::Error error) {
  update([&](core::TaskRecord& record) {
    ++record.failed;
    if (record.failures.size() < core::kTaskFailuresMax) record.failures.push_back({std::move(item), std::move(error)});
  });
}

core::Task<> TaskRegistry::Handle::persist_if_due() {
  {
    const std::lock_guard lock(entry_->mutex);
    const auto now = registry_->clock.now();
    if (now - entry_->persisted_at < registry_->options.persist_every) co_return;
    entry_->persisted_at = now;
  }
  co_await persist();
}

core::Task<> TaskRegistry::Handle::persist() {
  const auto saved = co_await registry_->store.save_task(entry_->tenant, record());
  if (!saved) registry_->log.failure("task_not_saved", saved.error());
}

core::Task<> TaskRegistry::Handle::finish(std::string state, std::string error) {
  update([&](core::TaskRecord& record) {
    record.state = state;
    record.error = error;
  });
  co_await persist();  // before followers see the end: what they saw ended is ended after a restart, too
  end(state, error);
  registry_->retire(entry_);
}

void TaskRegistry::Handle::end(std::string_view state, std::string_view error) {
  std::vector<async::Waiter> waiters;
  {
    const std::lock_guard lock(entry_->mutex);
    entry_->record.state = state;
    entry_->record.error = error;
    entry_->finished = true;
    ++entry_->revision;
    waiters.swap(entry_->waiters);
  }
  for (const auto& waiter : waiters) waiter.wake();
}

}  // namespace tessera::rag
