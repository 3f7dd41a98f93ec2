#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <mutex>
#include <optional>

#include "async/cancel.h"
#include "async/task.h"
#include "base/clock.h"

namespace tessera::async {

/// Why a wait ended.
enum class Wake { ready, deadline, cancelled };

/// The bounds of a wait. Default: no bound.
struct WaitBounds {
  std::optional<base::SteadyTime> deadline = {};
  CancelToken token = {};
};

/// One suspension of one coroutine: the brick the other primitives are made of. Copies share one state.
/// `wait` is called once; `wake` may come before, during or never, from any thread; the first reason wins. The
/// coroutine resumes on its own executor. A coroutine that is never woken is never destroyed, so whoever keeps waiters
/// wakes them.
class Waiter {
 public:
  Waiter() : state_(std::make_shared<State>()) {}

  /// True when this call decided why the wait ended.
  bool wake(Wake why = Wake::ready) const;  // NOLINT(modernize-use-nodiscard)
  /// Suspends until woken, the deadline or cancellation.
  [[nodiscard]] Task<Wake> wait(WaitBounds bounds = {}) const;

  friend bool operator==(const Waiter&, const Waiter&) = default;

 private:
  using Handler =
      boost::asio::async_result<boost::asio::use_awaitable_t<boost::asio::any_io_executor>, void(Wake)>::handler_type;
  struct State {
    std::mutex mutex;
    std::optional<Wake> why;         // guarded by mutex
    std::optional<Handler> handler;  // guarded by mutex
    bool wake(Wake reason);
  };
  static Task<Wake> suspend(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace tessera::async
