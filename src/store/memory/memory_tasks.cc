#include "store/memory/memory_tasks.h"

#include <algorithm>

#include "store/rules.h"

namespace tessera::store {

using core::Task;

Task<base::Result<>> MemoryTasks::save_task(core::Tenant tenant, core::TaskRecord record) {
  TESSERA_CO_CHECK(check_task(tenant, record));
  complete_task(record, clock_.unix_ms());
  const std::lock_guard lock(mutex_);
  tasks_.insert_or_assign({tenant, record.task_id}, record);
  co_return base::Result<>{};
}

Task<base::Result<core::TaskRecord>> MemoryTasks::find_task(core::Tenant tenant, std::string task_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  const auto it = tasks_.find({tenant, task_id});
  if (it == tasks_.end()) co_return std::unexpected(task_not_found());
  co_return it->second;
}

Task<base::Result<core::Page<core::TaskRecord>>> MemoryTasks::list_tasks(core::Tenant tenant,
                                                                         core::PageRequest request) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  CursorPoint point;
  if (!request.cursor.empty()) {
    TESSERA_CO_TRY(point, decode_cursor('t', request.cursor));
  }
  std::vector<core::TaskRecord> all;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = tasks_.lower_bound({tenant, ""}); it != tasks_.end() && it->first.first == tenant; ++it) {
      const core::TaskRecord& task = it->second;
      if (!request.cursor.empty() &&
          std::pair(task.created_at_ms, task.task_id) >= std::pair(point.number, point.text)) {
        continue;
      }
      all.push_back(task);
    }
  }
  std::ranges::sort(all, std::greater(), [](const auto& t) { return std::pair(t.created_at_ms, t.task_id); });
  core::Page<core::TaskRecord> page;
  const auto limit = static_cast<size_t>(page_limit(request));
  if (all.size() > limit) {
    all.resize(limit);
    page.next_cursor = encode_cursor('t', {.number = all.back().created_at_ms, .text = all.back().task_id});
  }
  page.items = std::move(all);
  co_return page;
}

Task<base::Result<std::vector<std::pair<core::Tenant, core::TaskRecord>>>> MemoryTasks::unfinished_tasks() {
  std::vector<std::pair<core::Tenant, core::TaskRecord>> found;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, task] : tasks_) {
    if (unfinished(task.state)) found.emplace_back(key.first, task);
  }
  co_return found;
}

}  // namespace tessera::store
