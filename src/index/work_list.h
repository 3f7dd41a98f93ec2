#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>

namespace tessera::index {

/// Which collections may have something to maintain, for one thread that does it. Collections that stay in the list are
/// taken in turn. Thread-safe; stopped before its thread is joined.
class WorkList {
 public:
  void add(int64_t collection) {
    const std::lock_guard lock(mutex_);
    if (collections_.insert(collection).second) wake_.notify_one();
  }

  /// The next collection; waits for one, at most `patience` if given, and then a little for others, so that a stream of
  /// changes does not wake its thread with each. Nothing: stopped, or patience is at an end.
  std::optional<int64_t> next(std::optional<std::chrono::milliseconds> patience) {
    std::unique_lock lock(mutex_);
    const auto due = [this] { return stop_ || !collections_.empty(); };
    if (!due()) {
      if (patience) {
        wake_.wait_for(lock, *patience, due);
      } else {
        wake_.wait(lock, due);
      }
      if (due()) stopped_.wait_for(lock, kGathering, [this] { return stop_.load(); });
    }
    if (stop_ || collections_.empty()) return std::nullopt;
    auto at = collections_.upper_bound(last_);
    if (at == collections_.end()) at = collections_.begin();
    last_ = *at;
    collections_.erase(at);
    return last_;
  }

  /// Returns after so long, or when stopped.
  void pause(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, time, [this] { return stop_.load(); });
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_all();
    stopped_.notify_all();
  }
  /// Set by stop(): running work ends early.
  [[nodiscard]] const std::atomic<bool>& stop_flag() const { return stop_; }

 private:
  static constexpr std::chrono::milliseconds kGathering{10};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable stopped_;
  std::set<int64_t> collections_;  // guarded by mutex_
  int64_t last_ = 0;               // the collection taken last
  std::atomic<bool> stop_{false};
};

}  // namespace tessera::index
