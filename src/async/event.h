#pragma once

#include <deque>
#include <mutex>

#include "async/waiter.h"

namespace tessera::async {

/// Happens once and stays happened; every waiter, past and future, proceeds. Thread-safe. Must outlive its waiters.
class Event {
 public:
  void set();
  [[nodiscard]] bool is_set() const;
  /// ready once set; else the bound that was reached.
  [[nodiscard]] Task<Wake> wait(WaitBounds bounds = {});

 private:
  mutable std::mutex mutex_;
  bool set_ = false;            // guarded by mutex_
  std::deque<Waiter> waiters_;  // guarded by mutex_
};

/// A doorbell: `ring` lets one waiter proceed, or the next one to come; rings without a waiter merge into one.
/// Thread-safe. Must outlive its waiters.
class Doorbell {
 public:
  void ring();
  [[nodiscard]] Task<Wake> wait(WaitBounds bounds = {});

 private:
  std::mutex mutex_;
  bool rung_ = false;           // guarded by mutex_
  std::deque<Waiter> waiters_;  // guarded by mutex_
};

}  // namespace tessera::async
