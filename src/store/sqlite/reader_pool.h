#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "async/blocking_pool.h"
#include "base/result.h"
#include "store/sqlite/connection.h"

namespace tessera::store {

/// Read-only connections, lent one at a time; who finds none waits (a read takes well under a millisecond).
/// Thread-safe.
class ReaderPool {
 public:
  ReaderPool(std::vector<std::unique_ptr<Connection>> connections, async::BlockingPool& pool)
      : size_(connections.size()), idle_(std::move(connections)), pool_(pool) {}

  /// Connections, those lent, and the reads so far.
  struct Stats {
    size_t connections = 0;
    size_t busy = 0;
    uint64_t reads = 0;
  };
  [[nodiscard]] Stats stats() const {
    const std::lock_guard lock(mutex_);
    return {size_, size_ - idle_.size(), reads_};
  }

  /// Runs `read(Connection&)`, which returns a Result, on the blocking pool. Errors: read's; exhausted POOL_FULL.
  template <class F>
  async::Task<std::invoke_result_t<F&, Connection&>> run(F read) {
    // The pool finishes a job before the task that waits for it is resumed, so this frame outlives the job.
    co_return co_await pool_.run([this, &read] { return with(read); });
  }

  /// The same on this thread.
  template <class F>
  std::invoke_result_t<F&, Connection&> with(F& read) const {
    const Lease lease(*this);
    return read(*lease.connection);
  }

 private:
  struct Lease {
    explicit Lease(const ReaderPool& from) : owner(from), connection(from.acquire()) {}
    ~Lease() { owner.release(std::move(connection)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    const ReaderPool& owner;
    std::unique_ptr<Connection> connection;
  };

  std::unique_ptr<Connection> acquire() const {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [this] { return !idle_.empty(); });
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    ++reads_;
    return connection;
  }
  void release(std::unique_ptr<Connection> connection) const {
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(connection));  // last in, first out: warm caches first
    }
    returned_.notify_one();
  }

  const size_t size_;
  mutable std::mutex mutex_;
  mutable std::condition_variable returned_;
  mutable uint64_t reads_ = 0;                             // guarded by mutex_
  mutable std::vector<std::unique_ptr<Connection>> idle_;  // guarded by mutex_
  async::BlockingPool& pool_;
};

}  // namespace tessera::store
