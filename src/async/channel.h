#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "async/waiter.h"
#include "base/result.h"

namespace tessera::async {

/// What became of a try_send.
enum class Sent { sent, full, closed };

/// A bounded queue between coroutines, which may run on different threads. Many senders, many receivers, first in first
/// out. Closing lets receivers drain what was sent, then they get nothing, or the error the channel was closed with.
/// Thread-safe; must outlive its users (share it). Waiting ends at close, never by itself.
template <class T>
class Channel {
 public:
  explicit Channel(size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Waits for room. Errors: cancelled CHANNEL_CLOSED (the receiver left), cancelled CANCELLED, deadline DEADLINE.
  [[nodiscard]] Task<base::Result<void>> send(T value, WaitBounds bounds = {});
  /// `value` is moved from only when sent.
  [[nodiscard]] Sent try_send(T& value);
  [[nodiscard]] Sent try_send(T&& value) { return try_send(value); }

  /// The next value; nullopt after an orderly close. Errors: the close error, cancelled CANCELLED, deadline DEADLINE.
  [[nodiscard]] Task<base::Result<std::optional<T>>> receive(WaitBounds bounds = {});
  /// A value if one is there now.
  [[nodiscard]] std::optional<T> try_receive();

  /// No more sends; what was sent can still be received. The first close counts.
  void close() { close_with(std::nullopt); }
  void close(base::Error error) { close_with(std::move(error)); }
  /// Closes and drops what is queued: the receiver is not interested any more.
  void abandon();

  [[nodiscard]] bool closed() const;
  [[nodiscard]] size_t size() const;

 private:
  void close_with(std::optional<base::Error> error);
  static void wake_one(std::deque<Waiter>& waiters);
  static void wake_all(std::deque<Waiter>& waiters);

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<T> queue_;               // guarded by mutex_
  std::deque<Waiter> senders_;        // guarded by mutex_
  std::deque<Waiter> receivers_;      // guarded by mutex_
  bool closed_ = false;               // guarded by mutex_
  std::optional<base::Error> error_;  // guarded by mutex_
};

/// The error for a wait that ended by `why` (not ready).
base::Error wait_error(Wake why);

}  // namespace tessera::async

#include "async/channel_impl.h"
