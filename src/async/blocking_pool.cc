#include "async/blocking_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <typeinfo>
#include <vector>

namespace tessera::async {

namespace {

using base::Code;
using base::Error;

/// One call of `run`; lives in its coroutine's frame until the waiter is woken.
struct Job {
  std::function<void()> body;
  CancelToken token;
  Waiter done;
  std::optional<Error> error;
};

void finish(Job& job, std::optional<Error> error) {
  // A copy: the frame that holds the job may be gone before wake returns.
  const Waiter done = job.done;
  job.error = std::move(error);
  done.wake();
}

void perform(Job& job) {
  if (job.token.cancelled()) {
    return finish(job, base::make_error(Code::cancelled, "CANCELLED", "this was cancelled before it began"));
  }
  std::optional<Error> error;
  try {
    job.body();
  } catch (const std::exception& thrown) {
    // The type only: the text may quote a user's words.
    error = base::make_error(Code::internal, "INTERNAL", "an internal error occurred", typeid(thrown).name());
  } catch (...) {
    error = base::make_error(Code::internal, "INTERNAL", "an internal error occurred", "unknown exception");
  }
  finish(job, std::move(error));
}

}  // namespace

struct BlockingPool::State {
  BlockingPoolOptions options;
  std::mutex mutex;
  std::condition_variable work;
  std::deque<Job*> queue;            // guarded by mutex
  bool stopping = false;             // guarded by mutex
  std::vector<std::thread> threads;  // touched by the owner only

  void loop() {
    base::begin_thread(options.name, options.kind);
    std::unique_lock lock(mutex);
    while (true) {
      work.wait(lock, [this] { return stopping || !queue.empty(); });
      if (stopping) return;
      Job* job = queue.front();
      queue.pop_front();
      lock.unlock();
      perform(*job);
      lock.lock();
    }
  }

  [[nodiscard]] std::optional<Error> push(Job& job) {
    {
      const std::lock_guard lock(mutex);
      if (stopping) return shutting_down();
      if (queue.size() >= options.queue_max) {
        auto error = base::make_error(Code::exhausted, "POOL_FULL", "too much work is waiting; try again in a moment",
                                      "pool " + options.name);
        error.retry_after = options.retry_after;
        return error;
      }
      queue.push_back(&job);
    }
    work.notify_one();
    return std::nullopt;
  }

  [[nodiscard]] Error shutting_down() const {
    return base::make_error(Code::unavailable, "SHUTTING_DOWN", "the server is stopping; try another instance",
                            "pool " + options.name);
  }
};

BlockingPool::BlockingPool(BlockingPoolOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  const size_t count = std::max<size_t>(1, state_->options.threads);
  for (size_t i = 0; i < count; ++i) state_->threads.emplace_back([state = state_.get()] { state->loop(); });
}

BlockingPool::~BlockingPool() {
  stop();
}

void BlockingPool::stop() {
  std::deque<Job*> refused;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    refused.swap(state_->queue);
  }
  state_->work.notify_all();
  for (Job* job : refused) finish(*job, state_->shutting_down());
  for (auto& thread : state_->threads) thread.join();
  state_->threads.clear();
}

size_t BlockingPool::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

Task<std::optional<Error>> BlockingPool::execute(std::function<void()> body, CancelToken token) {
  Job job{.body = std::move(body), .token = std::move(token), .done = {}, .error = {}};
  if (auto refused = state_->push(job)) co_return refused;
  // No bounds: the job refers to this frame, so its end must be awaited.
  co_await job.done.wait();
  co_return std::move(job.error);
}

}  // namespace tessera::async
