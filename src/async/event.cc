#include "async/event.h"

#include <algorithm>

namespace tessera::async {

void Event::set() {
  const std::lock_guard lock(mutex_);
  set_ = true;
  for (const auto& waiter : waiters_) waiter.wake();
  waiters_.clear();
}

bool Event::is_set() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

Task<Wake> Event::wait(WaitBounds bounds) {
  const Waiter waiter;
  {
    const std::lock_guard lock(mutex_);
    if (set_) co_return Wake::ready;
    waiters_.push_back(waiter);
  }
  const Wake why = co_await waiter.wait(std::move(bounds));
  if (why != Wake::ready) {
    const std::lock_guard lock(mutex_);
    std::erase(waiters_, waiter);
  }
  co_return why;
}

void Doorbell::ring() {
  const std::lock_guard lock(mutex_);
  while (!waiters_.empty()) {
    const bool woken = waiters_.front().wake();
    waiters_.pop_front();
    if (woken) return;
  }
  rung_ = true;
}

Task<Wake> Doorbell::wait(WaitBounds bounds) {
  const Waiter waiter;
  {
    const std::lock_guard lock(mutex_);
    if (rung_) {
      rung_ = false;
      co_return Wake::ready;
    }
    waiters_.push_back(waiter);
  }
  const Wake why = co_await waiter.wait(std::move(bounds));
  if (why != Wake::ready) {
    const std::lock_guard lock(mutex_);
    std::erase(waiters_, waiter);
  }
  co_return why;
}

}  // namespace tessera::async
