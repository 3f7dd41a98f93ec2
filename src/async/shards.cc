#include "async/shards.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/thread.h"

namespace tessera::async {
namespace {

/// A turn of an idle loop that took this long: somebody else had the core.
constexpr std::chrono::microseconds kCoreTaken{25};
/// A try that finds work saves less than one in vain costs, so of four tries three must find some: each is worth 1, one
/// in vain 3, and who has nothing left sleeps at once kSleeps times before the next try.
constexpr int kCreditMax = 8;
constexpr int kMissCost = 3;
constexpr int kSleeps = 64;

/// Looks for work before an event loop sleeps, where that has paid lately.
class Spinner {
 public:
  Spinner(boost::asio::io_context& context, std::chrono::microseconds spin) : context_(context), spin_(spin) {}

  /// Whether something ran.
  bool look() {
    if (sleeps_ > 0) {
      --sleeps_;
      return false;
    }
    auto last = clock_.now();
    for (const auto until = last + spin_; last < until;) {
      std::this_thread::yield();
      if (context_.poll() > 0 || context_.stopped()) {
        credit_ = std::min(kCreditMax, credit_ + 1);
        return true;
      }
      const auto now = clock_.now();
      if (now - last > kCoreTaken) return rest();
      last = now;
    }
    credit_ -= kMissCost;
    return credit_ > 0 ? false : rest();
  }

 private:
  bool rest() {
    sleeps_ = kSleeps;
    credit_ = 1;
    return false;
  }

  boost::asio::io_context& context_;
  std::chrono::microseconds spin_;
  base::SystemClock clock_;
  int sleeps_ = 0;
  int credit_ = kCreditMax;
};

void run_spinning(boost::asio::io_context& context, std::chrono::microseconds spin) {
  Spinner spinner(context, spin);
  while (!context.stopped()) {
    context.poll();
    if (!spinner.look()) context.run_one();
  }
}

}  // namespace

struct Shards::Shard {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread;
};

Shards::Shards(size_t count, std::chrono::microseconds spin) {
  for (size_t i = 0; i < std::max<size_t>(1, count); ++i) shards_.push_back(std::make_unique<Shard>());
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->thread = std::thread([shard = shards_[i].get(), i, spin] {
      base::begin_thread("shard-" + std::to_string(i), base::ThreadKind::loop);
      if (spin.count() > 0) {
        run_spinning(shard->context, spin);
      } else {
        shard->context.run();
      }
    });
  }
}

Shards::~Shards() {
  stop();
}

boost::asio::io_context& Shards::context(size_t shard) const {
  return shards_.at(shard)->context;
}
boost::asio::any_io_executor Shards::executor(size_t shard) const {
  return context(shard).get_executor();
}

boost::asio::any_io_executor Shards::next_executor() {
  return executor(turn_.fetch_add(1, std::memory_order_relaxed) % shards_.size());
}

void Shards::stop() {
  for (const auto& shard : shards_) {
    shard->work.reset();
    shard->context.stop();
  }
  for (const auto& shard : shards_) {
    if (shard->thread.joinable()) shard->thread.join();
  }
}

}  // namespace tessera::async
