#include "async/task_scope.h"

#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/assert.h"

namespace tessera::async {

struct TaskScope::State {
  explicit State(FailureHandler handler) : on_failure(std::move(handler)) {}

  void ended(std::exception_ptr failure) {
    if (failure) {
      TESSERA_ASSERT(on_failure && "an exception left a task");
      on_failure(std::move(failure));
    }
    const std::lock_guard lock(mutex);
    if (--running > 0) return;
    idle.notify_all();
    for (const auto& waiter : joiners) waiter.wake();
    joiners.clear();
  }

  const FailureHandler on_failure;
  std::mutex mutex;
  std::condition_variable idle;
  size_t running = 0;          // guarded by mutex
  bool closed = false;         // guarded by mutex
  std::deque<Waiter> joiners;  // guarded by mutex
};

TaskScope::TaskScope(boost::asio::any_io_executor executor, CancelToken parent, FailureHandler on_failure)
    : executor_(std::move(executor)),
      state_(std::make_shared<State>(std::move(on_failure))),
      parent_(parent, [source = source_]() mutable { source.cancel(); }) {}

TaskScope::~TaskScope() {
  close();
  TESSERA_ASSERT(running() == 0 && "a task scope is destroyed before it was joined");
}

bool TaskScope::spawn_on(const boost::asio::any_io_executor& executor, Task<> task) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed) return false;
    ++state_->running;
  }
  boost::asio::co_spawn(executor, std::move(task),
                        [state = state_](std::exception_ptr failure) { state->ended(std::move(failure)); });
  return true;
}

size_t TaskScope::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->running;
}

void TaskScope::close() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

void TaskScope::cancel() {
  close();
  source_.cancel();
}

Task<bool> TaskScope::join(std::optional<base::Millis> timeout) {
  const auto state = state_;
  const Waiter waiter;
  {
    const std::lock_guard lock(state->mutex);
    state->closed = true;
    if (state->running == 0) co_return true;
    state->joiners.push_back(waiter);
  }
  WaitBounds bounds;
  if (timeout) bounds.deadline = base::SystemClock().now() + *timeout;
  const Wake why = co_await waiter.wait(std::move(bounds));
  if (why == Wake::ready) co_return true;
  const std::lock_guard lock(state->mutex);
  std::erase(state->joiners, waiter);
  co_return state->running == 0;
}

bool TaskScope::join_blocking(std::optional<base::Millis> timeout) {
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  const auto done = [this] { return state_->running == 0; };
  if (timeout) return state_->idle.wait_for(lock, *timeout, done);
  state_->idle.wait(lock, done);
  return true;
}

}  // namespace tessera::async
