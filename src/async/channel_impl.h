#pragma once

// The bodies of channel.h's templates.

#include "async/channel.h"

namespace tessera::async {

template <class T>
void Channel<T>::wake_one(std::deque<Waiter>& waiters) {
  while (!waiters.empty()) {
    const bool woken = waiters.front().wake();
    waiters.pop_front();
    if (woken) return;
  }
}

template <class T>
void Channel<T>::wake_all(std::deque<Waiter>& waiters) {
  for (const auto& waiter : waiters) waiter.wake();
  waiters.clear();
}

template <class T>
Task<base::Result<void>> Channel<T>::send(T value, WaitBounds bounds) {
  while (true) {
    std::optional<Waiter> waiter;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) {
        co_return base::fail(base::Code::cancelled, "CHANNEL_CLOSED", "the receiver has stopped listening");
      }
      if (queue_.size() < capacity_) {
        queue_.push_back(std::move(value));
        wake_one(receivers_);
        co_return base::Result<void>{};
      }
      senders_.push_back(waiter.emplace());
    }
    const Wake why = co_await waiter->wait(bounds);
    if (why == Wake::ready) continue;
    const std::lock_guard lock(mutex_);
    std::erase(senders_, *waiter);
    co_return std::unexpected(wait_error(why));
  }
}

template <class T>
Sent Channel<T>::try_send(T& value) {
  const std::lock_guard lock(mutex_);
  if (closed_) return Sent::closed;
  if (queue_.size() >= capacity_) return Sent::full;
  queue_.push_back(std::move(value));
  wake_one(receivers_);
  return Sent::sent;
}

template <class T>
Task<base::Result<std::optional<T>>> Channel<T>::receive(WaitBounds bounds) {
  while (true) {
    std::optional<Waiter> waiter;
    {
      const std::lock_guard lock(mutex_);
      if (!queue_.empty()) {
        std::optional<T> value(std::move(queue_.front()));
        queue_.pop_front();
        wake_one(senders_);
        co_return value;
      }
      if (error_) co_return std::unexpected(*error_);
      if (closed_) co_return std::optional<T>{};
      receivers_.push_back(waiter.emplace());
    }
    const Wake why = co_await waiter->wait(bounds);
    if (why == Wake::ready) continue;
    const std::lock_guard lock(mutex_);
    std::erase(receivers_, *waiter);
    co_return std::unexpected(wait_error(why));
  }
}

template <class T>
std::optional<T> Channel<T>::try_receive() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return std::nullopt;
  std::optional<T> value(std::move(queue_.front()));
  queue_.pop_front();
  wake_one(senders_);
  return value;
}

template <class T>
void Channel<T>::abandon() {
  close_with(std::nullopt);
  std::deque<T> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(queue_);
}

template <class T>
void Channel<T>::close_with(std::optional<base::Error> error) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  closed_ = true;
  error_ = std::move(error);
  wake_all(senders_);
  wake_all(receivers_);
}

template <class T>
bool Channel<T>::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

template <class T>
size_t Channel<T>::size() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

}  // namespace tessera::async
