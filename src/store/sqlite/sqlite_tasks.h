#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "core/tasks.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {

/// TaskStore over the writer thread and the readers; a view of them, which outlive it.
class SqliteTasks final : public core::TaskStore {
 public:
  SqliteTasks(WriteQueue& writer, ReaderPool& readers, const base::Clock& clock)
      : writer_(writer), readers_(readers), clock_(clock) {}

  core::Task<base::Result<>> save_task(core::Tenant tenant, core::TaskRecord record) override;
  core::Task<base::Result<core::TaskRecord>> find_task(core::Tenant tenant, std::string task_id) override;
  core::Task<base::Result<core::Page<core::TaskRecord>>> list_tasks(core::Tenant tenant,
                                                                    core::PageRequest page) override;
  core::Task<base::Result<std::vector<std::pair<core::Tenant, core::TaskRecord>>>> unfinished_tasks() override;

 private:
  WriteQueue& writer_;
  ReaderPool& readers_;
  const base::Clock& clock_;
};

}  // namespace tessera::store
