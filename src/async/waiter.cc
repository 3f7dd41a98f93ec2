#include "async/waiter.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

namespace tessera::async {

namespace asio = boost::asio;

bool Waiter::State::wake(Wake reason) {
  // Held while posting: the coroutine passes through this lock when it resumes, so it cannot go on to destroy its event
  // loop while we are still inside the loop's post.
  const std::lock_guard lock(mutex);
  if (why) return false;
  why = reason;
  if (!handler) return true;
  // Posted, never run here: the waker may hold locks that the coroutine is about to take.
  const auto executor = handler->get_executor();
  asio::post(executor, [resume = std::move(*handler), reason]() mutable { std::move(resume)(reason); });
  handler.reset();
  return true;
}

bool Waiter::wake(Wake why) const {
  const auto state = state_;  // this waiter may be gone before wake returns
  return state->wake(why);
}

Task<Wake> Waiter::suspend(std::shared_ptr<State> state) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(Wake)>(
      [state = std::move(state)](Handler handler) {
        std::unique_lock lock(state->mutex);
        if (!state->why) {
          state->handler.emplace(std::move(handler));
          return;
        }
        const Wake reason = *state->why;
        lock.unlock();
        const auto executor = handler.get_executor();
        asio::post(executor, [resume = std::move(handler), reason]() mutable { std::move(resume)(reason); });
      },
      asio::use_awaitable);
}

Task<Wake> Waiter::wait(WaitBounds bounds) const {
  const auto state = state_;
  {
    const std::lock_guard lock(state->mutex);
    if (state->why) co_return *state->why;
  }
  // The callbacks share the state, since an expired timer's callback may run after this frame is gone.
  std::optional<asio::steady_timer> timer;
  if (bounds.deadline) {
    timer.emplace(co_await asio::this_coro::executor, *bounds.deadline);
    timer->async_wait([state](const boost::system::error_code& error) {
      if (!error) state->wake(Wake::deadline);
    });
  }
  std::optional<CancelCallback> on_cancel;
  if (bounds.token.can_cancel()) on_cancel.emplace(bounds.token, [state] { state->wake(Wake::cancelled); });
  const Wake why = co_await suspend(state);
  const std::lock_guard lock(state->mutex);
  co_return why;
}

}  // namespace tessera::async
