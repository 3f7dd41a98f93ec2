#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "async/waiter.h"
#include "base/result.h"
#include "base/thread.h"

namespace tessera::async {

struct BlockingPoolOptions {
  std::string name = "blocking";  ///< thread name, and the "what" of error messages
  base::ThreadKind kind = base::ThreadKind::worker;
  size_t threads = 4;
  size_t queue_max = 1024;        ///< waiting jobs; beyond that `run` answers exhausted
  base::Millis retry_after{500};  ///< told to the caller of a full pool
};

namespace detail {
template <class T>
struct Flatten {
  using type = base::Result<T>;
};
template <class T>
struct Flatten<base::Result<T>> {
  using type = base::Result<T>;
};
}  // namespace detail

/// N threads for work that blocks (SQLite, PDF, index builds), behind a bounded queue, first come first served.
/// Thread-safe. Must outlive its callers. Stops: `stop` refuses new jobs, fails the waiting ones, joins the running
/// ones.
class BlockingPool {
 public:
  explicit BlockingPool(BlockingPoolOptions options = {});
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs `f` on a pool thread, then resumes the caller on its own executor. `f` returns T or Result<T>; the task gives
  /// Result<T>. Errors: f's own; exhausted POOL_FULL with retry_after; unavailable SHUTTING_DOWN; cancelled CANCELLED
  /// when the token fired before `f` began (a running `f` is never abandoned); internal INTERNAL when `f` threw.
  template <class F>
  [[nodiscard]] Task<typename detail::Flatten<std::invoke_result_t<F&>>::type> run(F f, CancelToken token = {}) {
    typename detail::Flatten<std::invoke_result_t<F&>>::type result = std::unexpected(base::Error{});
    const auto body = [&] {
      if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
        f();
        result = {};
      } else {
        result = f();
      }
    };
    // `body` refers to this frame, which stays until execute returns.
    if (auto error = co_await execute(std::cref(body), std::move(token))) co_return std::unexpected(*std::move(error));
    co_return result;
  }

  /// Idempotent; blocks until running jobs end.
  void stop();
  [[nodiscard]] size_t waiting() const;

 private:
  struct State;
  Task<std::optional<base::Error>> execute(std::function<void()> body, CancelToken token);
  std::unique_ptr<State> state_;
};

}  // namespace tessera::async
