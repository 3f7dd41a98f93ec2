#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "async/cancel.h"
#include "async/task.h"
#include "async/waiter.h"

namespace tessera::async {

/// Receives an exception that left a task. Runs on the task's executor.
using FailureHandler = std::function<void(std::exception_ptr)>;

/// Owns running coroutines; the only door through which one is started from outside. Thread-safe.
/// Life: open -> closed (refuses new) -> cancelled (children's token fires) -> joined (no child is left) -> destroyed.
/// Destroying a scope that still has children is a bug and aborts. An exception that leaves a task goes to the failure
/// handler; without one it aborts, as it does for std::thread.
class TaskScope {
 public:
  /// Children run on `executor` unless spawn names another. They are cancelled when `parent` is.
  explicit TaskScope(boost::asio::any_io_executor executor, CancelToken parent = {}, FailureHandler on_failure = {});
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Starts a child; false (and the task is destroyed unrun) when the scope is closed.
  bool spawn(Task<> task) { return spawn_on(executor_, std::move(task)); }
  /// Starts the coroutine that `make` returns; `make` and what it captured live until the coroutine ends, so a lambda
  /// with captures is safe here (and nowhere else). `make` takes nothing or the scope's CancelToken.
  template <class F>
    requires std::invocable<F> || std::invocable<F, CancelToken>
  bool spawn(F make) {
    return spawn_on(executor_, std::move(make));
  }
  bool spawn_on(const boost::asio::any_io_executor& executor, Task<> task);
  template <class F>
    requires std::invocable<F> || std::invocable<F, CancelToken>
  bool spawn_on(const boost::asio::any_io_executor& executor, F make) {
    return spawn_on(executor, call(std::move(make), token()));
  }

  /// Fires when the scope (or its parent) is cancelled.
  [[nodiscard]] CancelToken token() const { return source_.token(); }
  [[nodiscard]] size_t running() const;

  /// Refuses new children from now on.
  void close();
  /// Closes, and fires the children's token.
  void cancel();
  /// Closes and waits for the children (cancel first to hurry them). False when `timeout` came first.
  [[nodiscard]] Task<bool> join(std::optional<base::Millis> timeout = {});
  /// The same for a thread that runs no event loop the children need.
  [[nodiscard]] bool join_blocking(std::optional<base::Millis> timeout = {});

 private:
  struct State;
  // The parameter lives in this frame, hence as long as the coroutine it returned.
  template <class F>
  static Task<> call(F make, CancelToken token) {
    if constexpr (std::invocable<F, CancelToken>) {
      co_await make(std::move(token));
    } else {
      co_await make();
    }
  }

  boost::asio::any_io_executor executor_;
  CancelSource source_;
  std::shared_ptr<State> state_;
  CancelCallback parent_;
};

}  // namespace tessera::async
