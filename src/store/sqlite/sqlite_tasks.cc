#include "store/sqlite/sqlite_tasks.h"

#include <limits>

#include "store/rules.h"
#include "store/sqlite/codec.h"

namespace tessera::store {
namespace {

using core::Task;
using core::TaskRecord;

base::Result<TaskRecord> task_row(const Query& query) {
  TaskRecord task;
  task.task_id = query.string(1);
  task.kind = query.string(2);
  task.collection = query.string(3);
  task.path = query.string(4);
  task.watch = query.integer(5) != 0;
  task.state = query.string(6);
  task.total = query.integer(7);
  task.done = query.integer(8);
  task.added = query.integer(9);
  task.updated = query.integer(10);
  task.unchanged = query.integer(11);
  task.deleted = query.integer(12);
  task.failed = query.integer(13);
  TESSERA_TRY(task.failures, failures_from_json(query.text(14)));
  task.error = query.string(15);
  task.created_at_ms = query.integer(16);
  task.updated_at_ms = query.integer(17);
  task.key_id = query.string(18);
  return task;
}

base::Result<> write_task(WriteScope& scope, const core::Tenant& tenant, const TaskRecord& t,
                          const std::string& failures) {
  return run(scope.db, "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             tenant.app_id, t.task_id, t.kind, t.collection, t.path, t.watch, t.state, t.total, t.done, t.added,
             t.updated, t.unchanged, t.deleted, t.failed, failures, t.error, t.created_at_ms, t.updated_at_ms,
             t.key_id);
}

base::Result<TaskRecord> read_task(Connection& db, const core::Tenant& tenant, const std::string& task_id) {
  Query query(db, "SELECT * FROM tasks WHERE app_id = ? AND task_id = ?", tenant.app_id, task_id);
  if (!query.next()) {
    TESSERA_CHECK(query.finish());
    return std::unexpected(task_not_found());
  }
  return task_row(query);
}

base::Result<core::Page<TaskRecord>> read_tasks(Connection& db, const core::Tenant& tenant,
                                                const core::PageRequest& request) {
  CursorPoint point{.number = std::numeric_limits<int64_t>::max(), .text = ""};
  if (!request.cursor.empty()) {
    TESSERA_TRY(point, decode_cursor('t', request.cursor));
  }
  const int64_t limit = page_limit(request);
  core::Page<TaskRecord> page;
  Query query(db,
              "SELECT * FROM tasks WHERE app_id = ? AND (created_at_ms, task_id) < (?, ?) "
              "ORDER BY created_at_ms DESC, task_id DESC LIMIT ?",
              tenant.app_id, point.number, point.text, limit + 1);
  while (query.next()) {
    if (static_cast<int64_t>(page.items.size()) == limit) {
      const TaskRecord& last = page.items.back();
      page.next_cursor = encode_cursor('t', {.number = last.created_at_ms, .text = last.task_id});
      return page;
    }
    TESSERA_TRY(TaskRecord task, task_row(query));
    page.items.push_back(std::move(task));
  }
  TESSERA_CHECK(query.finish());
  return page;
}

using Unfinished = std::vector<std::pair<core::Tenant, TaskRecord>>;

base::Result<Unfinished> read_unfinished(Connection& db) {
  Unfinished found;
  Query query(db, "SELECT * FROM tasks WHERE state IN ('running', 'watching') ORDER BY app_id, task_id");
  while (query.next()) {
    TESSERA_TRY(TaskRecord task, task_row(query));
    found.emplace_back(core::Tenant{query.string(0)}, std::move(task));
  }
  TESSERA_CHECK(query.finish());
  return found;
}

}  // namespace

Task<base::Result<>> SqliteTasks::save_task(core::Tenant tenant, TaskRecord record) {
  TESSERA_CO_CHECK(check_task(tenant, record));
  complete_task(record, clock_.unix_ms());
  std::string failures = failures_to_json(record.failures);
  co_return co_await writer_.run(
      [tenant = std::move(tenant), record = std::move(record), failures = std::move(failures)](WriteScope& scope) {
        return write_task(scope, tenant, record, failures);
      });
}

Task<base::Result<TaskRecord>> SqliteTasks::find_task(core::Tenant tenant, std::string task_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_task(db, tenant, task_id); });
}

Task<base::Result<core::Page<TaskRecord>>> SqliteTasks::list_tasks(core::Tenant tenant, core::PageRequest page) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  co_return co_await readers_.run([&](Connection& db) { return read_tasks(db, tenant, page); });
}

Task<base::Result<Unfinished>> SqliteTasks::unfinished_tasks() {
  co_return co_await readers_.run([](Connection& db) { return read_unfinished(db); });
}

}  // namespace tessera::store
