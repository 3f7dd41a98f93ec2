#include "async/limiter.h"

#include "async/channel.h"

namespace tessera::async {

struct Limiter::State {
  explicit State(LimiterOptions given) : options(given) {}
  const LimiterOptions options;
  std::mutex mutex;
  size_t in_use = 0;           // guarded by mutex
  std::deque<Waiter> waiters;  // guarded by mutex
};

Limiter::Limiter(LimiterOptions options) : state_(std::make_shared<State>(options)) {}

void Limiter::Permit::release() {
  const auto state = std::move(state_);
  state_ = nullptr;
  if (!state) return;
  const std::lock_guard lock(state->mutex);
  // Handed straight to the first who still waits, so nobody overtakes.
  while (!state->waiters.empty()) {
    const bool woken = state->waiters.front().wake();
    state->waiters.pop_front();
    if (woken) return;
  }
  --state->in_use;
}

std::optional<Limiter::Permit> Limiter::try_acquire() {
  const std::lock_guard lock(state_->mutex);
  if (state_->in_use >= state_->options.concurrent_max) return std::nullopt;
  ++state_->in_use;
  return Permit(state_);
}

Task<base::Result<Limiter::Permit>> Limiter::acquire(WaitBounds bounds) {
  const auto state = state_;
  const Waiter waiter;
  {
    const std::lock_guard lock(state->mutex);
    if (state->in_use < state->options.concurrent_max) {
      ++state->in_use;
      co_return Permit(state);
    }
    if (state->waiters.size() >= state->options.waiting_max) {
      auto error =
          base::make_error(base::Code::exhausted, "TOO_MANY_WAITING", "too many requests wait; try again later");
      error.retry_after = state->options.retry_after;
      co_return std::unexpected(std::move(error));
    }
    state->waiters.push_back(waiter);
  }
  const Wake why = co_await waiter.wait(std::move(bounds));
  if (why == Wake::ready) co_return Permit(state);
  const std::lock_guard lock(state->mutex);
  std::erase(state->waiters, waiter);
  co_return std::unexpected(wait_error(why));
}

size_t Limiter::in_use() const {
  const std::lock_guard lock(state_->mutex);
  return state_->in_use;
}

size_t Limiter::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiters.size();
}

}  // namespace tessera::async
