#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "core/tasks.h"

namespace tessera::store {

/// TaskStore in a map.
class MemoryTasks final : public core::TaskStore {
 public:
  explicit MemoryTasks(const base::Clock& clock) : clock_(clock) {}

  core::Task<base::Result<>> save_task(core::Tenant tenant, core::TaskRecord record) override;
  core::Task<base::Result<core::TaskRecord>> find_task(core::Tenant tenant, std::string task_id) override;
  core::Task<base::Result<core::Page<core::TaskRecord>>> list_tasks(core::Tenant tenant,
                                                                    core::PageRequest page) override;
  core::Task<base::Result<std::vector<std::pair<core::Tenant, core::TaskRecord>>>> unfinished_tasks() override;

 private:
  const base::Clock& clock_;
  std::mutex mutex_;
  std::map<std::pair<core::Tenant, std::string>, core::TaskRecord> tasks_;  // guarded by mutex_
};

}  // namespace tessera::store
