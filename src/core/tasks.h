#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/documents.h"

namespace tessera::core {

/// One document that a task could not take in.
struct TaskFailure {
  std::string item;  ///< file name or line
  base::Error error;
};

/// Long work that a client started: directory ingest, reindex, vault scan. `failures` holds the first kTaskFailuresMax;
/// `failed` counts all.
struct TaskRecord {
  std::string task_id;
  std::string kind;  ///< "ingest_directory", "scan_vault", "reindex"
  std::string collection;
  std::string path;    ///< for directory work
  std::string key_id;  ///< of the key that asked for it, whose budgets count what it costs; empty: none
  bool watch = false;  ///< keeps following the directory until cancelled; resumed at start
  std::string state;   ///< "running", "watching", "done", "failed", "cancelled", "interrupted"
  int64_t total = 0;   ///< 0 while unknown
  int64_t done = 0;    ///< all that were looked at
  int64_t added = 0;
  int64_t updated = 0;
  int64_t unchanged = 0;
  int64_t deleted = 0;
  int64_t failed = 0;
  std::vector<TaskFailure> failures;
  std::string error;  ///< why the task as a whole failed
  int64_t created_at_ms = 0;
  int64_t updated_at_ms = 0;
};

inline constexpr size_t kTaskFailuresMax = 100;

/// Keeps task records over restarts. Thread-safe. Errors: not_found (TASK_NOT_FOUND), unavailable.
class TaskStore {
 public:
  virtual ~TaskStore() = default;
  virtual Task<base::Result<>> save_task(Tenant tenant, TaskRecord record) = 0;
  virtual Task<base::Result<TaskRecord>> find_task(Tenant tenant, std::string task_id) = 0;
  /// Newest first.
  virtual Task<base::Result<Page<TaskRecord>>> list_tasks(Tenant tenant, PageRequest page) = 0;
  /// Tasks of all tenants that were running or watching when the process ended, with their tenants. For start-up only.
  virtual Task<base::Result<std::vector<std::pair<Tenant, TaskRecord>>>> unfinished_tasks() = 0;
};

}  // namespace tessera::core
