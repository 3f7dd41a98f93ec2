#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "async/blocking_pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/accounts.h"
#include "core/conversations.h"
#include "core/documents.h"
#include "core/response_owners.h"
#include "core/tasks.h"

namespace tessera::store {

struct SqliteOptions {
  std::string path;                                  ///< of the database file; missing folders are made
  size_t readers = 4;                                ///< read-only connections
  size_t write_queue_max = 4096;                     ///< waiting writes; beyond that they are answered exhausted
  size_t write_queue_bytes_max = 256 * 1024 * 1024;  ///< and their bytes
  size_t group_max = 256;                            ///< writes that share one transaction
  int64_t cache_kib = 64000;                         ///< page cache of the writer; readers share it in equal parts
  int64_t mmap_bytes = int64_t{1} << 30;             ///< of the file, for readers
  size_t passage_cache_bytes = 32 << 20;             ///< of passages read lately
  int64_t checkpoint_pages = 4000;                   ///< of the log, before it is folded into the file
  /// Called on the writer thread after each write transaction: how many writes shared it, how long it took. May be
  /// empty; must be quick.
  std::function<void(size_t writes, std::chrono::nanoseconds took)> on_commit = {};
  int64_t pages_max = 0;  ///< limit of the file's size for tests; 0: none
};

/// How the store is used.
struct SqliteStats {
  size_t connections = 0;       ///< the writer's and the readers'
  size_t connections_busy = 0;  ///< of these: at work
  uint64_t queries = 0;         ///< reads and writes since the start
  uint64_t cache_hits = 0;      ///< passages found in memory
  uint64_t cache_misses = 0;
  size_t cache_bytes = 0;
};

/// The stores in one SQLite file. A resource; one process at a time (a lock file beside the database).
/// Writes go to one writer thread that merges those waiting into one transaction and acknowledges after it is synced;
/// a caller that goes away does not stop its write. Reads run on the blocking pool over read-only connections.
/// Stops: the destructor completes the waiting writes, then joins. No task of it may be running then.
class SqliteStore {
 public:
  /// Opens or creates the file and brings its schema up to date. Blocking. `pool`, `clock` and `logger` outlive the
  /// store. Errors: unavailable DATABASE_IN_USE, DATABASE_CANNOT_OPEN, DATABASE_DAMAGED; invalid
  /// DATABASE_NOT_OURS, DATABASE_TOO_NEW.
  static base::Result<std::unique_ptr<SqliteStore>> open(SqliteOptions options, async::BlockingPool& pool,
                                                         const base::Clock& clock, base::Logger& logger);
  ~SqliteStore();
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  /// They live as long as the store.
  [[nodiscard]] core::DocumentStore& documents();
  [[nodiscard]] core::ConversationStore& conversations();
  [[nodiscard]] core::TaskStore& tasks();
  [[nodiscard]] core::KeyStore& keys();
  [[nodiscard]] core::Ledger& ledger();
  [[nodiscard]] core::BudgetStore& budgets();
  [[nodiscard]] core::ResponseOwnerStore& responses();
  /// Writes that wait for the writer.
  [[nodiscard]] size_t waiting_writes() const;
  [[nodiscard]] SqliteStats stats() const;

 private:
  struct Parts;
  explicit SqliteStore(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tessera::store
