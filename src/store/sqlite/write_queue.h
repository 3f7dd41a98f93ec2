#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "async/task.h"
#include "async/waiter.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/documents.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/read_cache.h"

namespace tessera::store {

/// The last numbers given out. None is given twice, so keys of deleted things stay unused.
struct Counters {
  int64_t sequence = 0;
  int64_t collection_id = 0;
  int64_t document_key = 0;
  int64_t chunk_key = 0;
  int64_t text_key = 0;
  int64_t session_key = 0;
  bool operator==(const Counters&) const = default;
};

/// What a write works with, on the writer thread, inside the transaction.
struct WriteScope {
  Connection& db;
  Counters& counters;
  std::vector<core::StoreChange>& changes;  ///< told to the listener after the commit
};

struct WriteQueueOptions {
  size_t waiting_max = 4096;
  size_t bytes_max = 256 * 1024 * 1024;
  size_t group_max = 256;
  int64_t checkpoint_pages = 4000;
  std::function<void(size_t writes, std::chrono::nanoseconds took)> on_commit = {};  ///< on the writer thread
  ReadCache* cache = nullptr;  ///< told of changes before they are acknowledged; outlives the queue; may be null
};

/// About one write.
struct WriteHints {
  size_t bytes = 0;   ///< about what it occupies in memory
  bool more = false;  ///< another follows at once: the writer waits for it a moment, so that both share a commit
};

/// The writer thread: merges waiting writes into one transaction (group commit), each under a savepoint so that one
/// refused write fails alone, and completes them after the commit is synced and the listener was told. When storage
/// fails, the members of the group are tried again one by one. Thread-safe. Stops: `stop` completes what waits.
class WriteQueue {
 public:
  /// Starts the thread. `clock` and `logger` outlive the queue.
  static base::Result<std::unique_ptr<WriteQueue>> start(std::unique_ptr<Connection> connection,
                                                         WriteQueueOptions options, const base::Clock& clock,
                                                         base::Logger& logger);
  ~WriteQueue();
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  /// Runs `apply(WriteScope&)`, which returns a Result, on the writer thread; completes when that is durable. `apply`
  /// may run twice (after a failed group) and is never abandoned.
  /// Errors: apply's own; exhausted STORE_BUSY; unavailable SHUTTING_DOWN, STORAGE_FULL, STORAGE_FAILED.
  template <class F>
  async::Task<std::invoke_result_t<F&, WriteScope&>> run(F apply, WriteHints hints = {}) {
    using R = std::invoke_result_t<F&, WriteScope&>;
    // Shared with the writer thread, which may be at it when the caller is destroyed.
    struct Whole : Job {
      explicit Whole(F f) : function(std::move(f)) {}
      base::Result<> apply(WriteScope& scope) override {
        result = function(scope);
        if (!result) return std::unexpected(result.error());
        return {};
      }
      F function;
      R result = std::unexpected(base::Error{});
    };
    const auto job = std::make_shared<Whole>(std::move(apply));
    job->hints = hints;
    if (auto error = push(job)) co_return std::unexpected(*std::move(error));
    co_await job->done.wait();
    if (job->failure) co_return std::unexpected(*std::move(job->failure));
    co_return std::move(job->result);
  }

  void set_listener(core::ChangeListener listener);
  [[nodiscard]] int64_t last_sequence() const { return last_sequence_.load(); }
  /// Writes that wait for the thread.
  [[nodiscard]] size_t waiting() const;
  /// Writes that were asked for since the start.
  [[nodiscard]] uint64_t total() const;
  /// Whether the thread is writing.
  [[nodiscard]] bool busy() const { return busy_.load(); }
  /// Refuses new writes, completes the waiting ones, joins. Idempotent; from one thread.
  void stop();

 private:
  struct Job {
    virtual ~Job() = default;
    virtual base::Result<> apply(WriteScope& scope) = 0;
    WriteHints hints;
    async::Waiter done;
    std::vector<core::StoreChange> changes;
    std::optional<base::Error> failure;
  };
  using Group = std::vector<std::shared_ptr<Job>>;

  WriteQueue(std::unique_ptr<Connection> connection, WriteQueueOptions options, const base::Clock& clock,
             base::Logger& logger);
  std::optional<base::Error> push(std::shared_ptr<Job> job);
  Group take();
  void loop();
  void commit(const Group& group);
  base::Result<> transact(const Group& group);
  base::Result<> apply_one(Job& job, bool alone);
  base::Result<> guarded(Job& job);
  void tell(const core::ChangeListener& listener, const core::StoreChange& change);
  base::Result<> save_counters();
  void complete(const Group& group);

  const WriteQueueOptions options_;
  const base::Clock& clock_;
  base::Logger& logger_;

  // Of the writer thread.
  std::unique_ptr<Connection> db_;
  Counters counters_;
  Counters saved_;

  std::atomic<int64_t> last_sequence_{0};
  std::atomic<bool> busy_{false};

  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::shared_ptr<Job>> waiting_;  // guarded by mutex_
  size_t bytes_ = 0;                          // guarded by mutex_; waiting and being written
  uint64_t total_ = 0;                        // guarded by mutex_
  bool stopping_ = false;                     // guarded by mutex_
  core::ChangeListener listener_;             // guarded by mutex_

  std::thread thread_;
};

}  // namespace tessera::store
