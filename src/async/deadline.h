#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "async/cancel.h"
#include "async/task.h"
#include "async/waiter.h"
#include "base/result.h"

namespace tessera::async {

/// Sleeps until `when` (steady clock). Errors: cancelled CANCELLED.
Task<base::Result<void>> sleep_until(base::SteadyTime when, CancelToken token = {});
/// The same for a duration from now.
Task<base::Result<void>> sleep_for(base::Millis duration, CancelToken token = {});

/// A token of its own that fires with its parent, at a deadline, or by hand. Lives in a coroutine (its timer runs on
/// that coroutine's executor). Not thread-safe, its token is.
class DeadlineSource {
 public:
  /// No deadline: pass SteadyTime::max().
  DeadlineSource(const boost::asio::any_io_executor& executor, base::SteadyTime deadline,
                 const CancelToken& parent = {});
  ~DeadlineSource();
  DeadlineSource(const DeadlineSource&) = delete;
  DeadlineSource& operator=(const DeadlineSource&) = delete;

  [[nodiscard]] CancelToken token() const;
  /// Whether it was the deadline (rather than the parent) that fired.
  [[nodiscard]] bool expired() const;
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
  CancelCallback parent_;
};

/// Awaits `make(token)`, where the token fires at the deadline or with `parent`. The task is never abandoned: it must
/// heed its token. When the deadline fired and the task gave `cancelled`, the result is deadline DEADLINE.
template <class F>
std::invoke_result_t<F&, CancelToken> with_deadline(base::SteadyTime deadline, CancelToken parent, F make) {
  DeadlineSource source(co_await boost::asio::this_coro::executor, deadline, parent);
  auto result = co_await make(source.token());
  if (!result && source.expired() && result.error().code == base::Code::cancelled) {
    co_return base::fail(base::Code::deadline, "DEADLINE",
                         "the time allowed for this ran out; try again or allow more");
  }
  co_return result;
}

}  // namespace tessera::async
