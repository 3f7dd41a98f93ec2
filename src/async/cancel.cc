#include "async/cancel.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace tessera::async {

struct CancelToken::State {
  struct Entry {
    uint64_t id;
    std::function<void()> callback;
  };

  std::atomic<bool> cancelled{false};

  std::mutex mutex;
  std::condition_variable idle;
  uint64_t next_id = 1;        // guarded by mutex
  std::vector<Entry> entries;  // guarded by mutex
  uint64_t running = 0;        // guarded by mutex; the id of the callback being run, 0 when none
  std::thread::id runner;      // guarded by mutex; who runs it
};

bool CancelToken::cancelled() const {
  return state_ && state_->cancelled.load(std::memory_order_acquire);
}

CancelSource::CancelSource() : state_(std::make_shared<CancelToken::State>()) {}

void CancelSource::cancel() {
  // A copy, since a callback may destroy this source.
  const auto state = state_;
  if (state->cancelled.exchange(true, std::memory_order_acq_rel)) return;
  std::unique_lock lock(state->mutex);
  state->runner = std::this_thread::get_id();
  while (!state->entries.empty()) {
    auto entry = std::move(state->entries.back());
    state->entries.pop_back();
    state->running = entry.id;
    lock.unlock();
    entry.callback();
    entry.callback = nullptr;
    lock.lock();
    state->running = 0;
    state->idle.notify_all();
  }
}

CancelCallback::CancelCallback(const CancelToken& token, std::function<void()> callback) : state_(token.state_) {
  if (!state_) return;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->cancelled.load(std::memory_order_acquire)) {
      id_ = state_->next_id++;
      state_->entries.push_back({id_, std::move(callback)});
      return;
    }
  }
  callback();
}

CancelCallback::~CancelCallback() {
  if (!state_ || id_ == 0) return;
  std::unique_lock lock(state_->mutex);
  if (std::erase_if(state_->entries, [this](const auto& entry) { return entry.id == id_; }) > 0) return;
  // Destroyed by a callback on the cancelling thread: waiting would wait for ourselves.
  if (state_->runner == std::this_thread::get_id()) return;
  state_->idle.wait(lock, [this] { return state_->running != id_; });
}

}  // namespace tessera::async
