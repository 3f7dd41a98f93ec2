#include "async/deadline.h"

#include <atomic>
#include <boost/asio/steady_timer.hpp>

#include "async/channel.h"

namespace tessera::async {

Task<base::Result<void>> sleep_until(base::SteadyTime when, CancelToken token) {
  const Waiter waiter;
  const Wake why = co_await waiter.wait({.deadline = when, .token = std::move(token)});
  if (why == Wake::cancelled) co_return std::unexpected(wait_error(why));
  co_return base::Result<void>{};
}

Task<base::Result<void>> sleep_for(base::Millis duration, CancelToken token) {
  return sleep_until(base::SystemClock().now() + duration, std::move(token));
}

struct DeadlineSource::State {
  explicit State(const boost::asio::any_io_executor& executor) : timer(executor) {}
  CancelSource source;
  boost::asio::steady_timer timer;
  std::atomic<bool> expired{false};
};

DeadlineSource::DeadlineSource(const boost::asio::any_io_executor& executor, base::SteadyTime deadline,
                               const CancelToken& parent)
    : state_(std::make_shared<State>(executor)), parent_(parent, [state = state_] { state->source.cancel(); }) {
  if (deadline == base::SteadyTime::max()) return;
  state_->timer.expires_at(deadline);
  state_->timer.async_wait([state = state_](const boost::system::error_code& error) {
    if (error) return;
    if (!state->source.token().cancelled()) state->expired = true;
    state->source.cancel();
  });
}

DeadlineSource::~DeadlineSource() {
  state_->timer.cancel();
}

CancelToken DeadlineSource::token() const {
  return state_->source.token();
}
bool DeadlineSource::expired() const {
  return state_->expired;
}
void DeadlineSource::cancel() {
  state_->source.cancel();
}

}  // namespace tessera::async
