#include "llm/routing/lanes.h"

#include <deque>
#include <mutex>

#include "async/channel.h"
#include "observe/cells.h"

namespace tessera::llm {

using async::Waiter;
using base::Code;

struct Lanes::State {
  struct Place {
    Waiter waiter;
    base::SteadyTime since;  // handicap included
  };
  State(LaneOptions given, const base::Clock& time) : options(given), clock(time) {}

  // Hands the freed turn to the earliest who still waits; false when nobody does. With the lock held.
  bool hand_on();
  [[nodiscard]] size_t waiting_now() const { return lanes[0].size() + lanes[1].size(); }

  const LaneOptions options;
  const base::Clock& clock;
  std::mutex mutex;
  size_t in_use = 0;                       // guarded by mutex
  std::array<std::deque<Place>, 2> lanes;  // guarded by mutex; by core::Priority
};

bool Lanes::State::hand_on() {
  while (waiting_now() > 0) {
    const bool background = lanes[0].empty() || (!lanes[1].empty() && lanes[1].front().since < lanes[0].front().since);
    auto& lane = lanes[background ? 1 : 0];
    const bool woken = lane.front().waiter.wake();
    lane.pop_front();
    if (woken) return true;
  }
  return false;
}

Lanes::Lanes(LaneOptions options, const base::Clock& clock) : state_(std::make_shared<State>(options, clock)) {}

void Lanes::Permit::release() {
  const auto state = std::move(state_);
  state_ = nullptr;
  if (!state) return;
  const std::lock_guard lock(state->mutex);
  if (!state->hand_on()) --state->in_use;
}

Lanes::Permit Lanes::try_acquire(bool& granted) {
  const std::lock_guard lock(state_->mutex);
  granted = state_->in_use < state_->options.concurrent_max;
  if (!granted) return {};
  ++state_->in_use;
  return Permit(state_);
}

async::Task<base::Result<Lanes::Permit>> Lanes::acquire(const core::RequestContext& context) {
  const auto state = state_;
  const LaneOptions& options = state->options;
  const bool background = options.priorities && context.priority == core::Priority::background;
  const Waiter waiter;
  auto& lane = state->lanes[background ? 1 : 0];
  {
    const std::lock_guard lock(state->mutex);
    if (state->in_use < options.concurrent_max) {
      ++state->in_use;
      co_return Permit(state);
    }
    if (state->waiting_now() >= options.waiting_max) {
      auto error = base::make_error(Code::exhausted, "TOO_MANY_WAITING",
                                    "too many requests wait for this model; try again later");
      error.retry_after = base::Millis(1000);
      co_return std::unexpected(std::move(error));
    }
    lane.push_back({waiter, state->clock.now() + (background ? options.handicap : base::Millis(0))});
  }
  if (options.queue != nullptr) options.queue->increment();
  const base::Millis patience = background ? options.background_wait : options.interactive_wait;
  async::WaitBounds bounds{.deadline = {}, .token = context.cancel};
  // Timers run on the machine's clock.
  if (options.priorities) bounds.deadline = base::SystemClock().now() + patience;
  const bool own_time =
      context.deadline != base::SteadyTime::max() && (!bounds.deadline || context.deadline < *bounds.deadline);
  if (own_time) bounds.deadline = context.deadline;
  const async::Wake why = co_await waiter.wait(std::move(bounds));
  if (options.queue != nullptr) options.queue->decrement();
  if (why == async::Wake::ready) co_return Permit(state);
  {
    const std::lock_guard lock(state->mutex);
    std::erase_if(lane, [&waiter](const State::Place& place) { return place.waiter == waiter; });
  }
  if (why == async::Wake::cancelled || own_time) co_return std::unexpected(async::wait_error(why));
  auto error = base::make_error(Code::exhausted, "ENDPOINT_BUSY",
                                "this model is busy with other requests; try again in a moment");
  error.retry_after = patience;
  co_return std::unexpected(std::move(error));
}

bool Lanes::full() const {
  const std::lock_guard lock(state_->mutex);
  return state_->in_use >= state_->options.concurrent_max;
}

size_t Lanes::in_use() const {
  const std::lock_guard lock(state_->mutex);
  return state_->in_use;
}

size_t Lanes::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting_now();
}

}  // namespace tessera::llm
