#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "async/blocking_pool.h"
#include "async/cancel.h"
#include "async/channel.h"
#include "async/deadline.h"
#include "async/event.h"
#include "async/limiter.h"
#include "async/run_blocking.h"
#include "async/run_on.h"
#include "async/shards.h"
#include "async/task_scope.h"
#include "base/random.h"

namespace tessera::async {
namespace {

using base::Code;
using base::Result;
using namespace std::chrono_literals;

base::SteadyTime soon(base::Millis in = 20ms) {
  return base::SystemClock().now() + in;
}
base::SteadyTime past() {
  return base::SystemClock().now() - 1ms;
}

// --- cancellation -------------------------------------------------------------------------------------------------

TEST(Cancel, RunsEachCallbackOnce) {
  CancelSource source;
  int calls = 0;
  const CancelCallback first(source.token(), [&] { ++calls; });
  {
    const CancelCallback gone(source.token(), [&] { calls += 100; });
  }
  EXPECT_FALSE(source.token().cancelled());
  source.cancel();
  source.cancel();
  EXPECT_TRUE(source.token().cancelled());
  EXPECT_EQ(calls, 1);
  const CancelCallback late(source.token(), [&] { ++calls; });
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(CancelToken().cancelled());
  EXPECT_FALSE(CancelToken().can_cancel());
}

TEST(Cancel, DestructionWaitsForARunningCallback) {
  for (int round = 0; round < 200; ++round) {
    CancelSource source;
    auto alive = std::make_unique<std::atomic<bool>>(true);
    auto callback = std::make_unique<CancelCallback>(source.token(), [flag = alive.get()] { flag->store(false); });
    std::thread canceller([&] { source.cancel(); });
    callback.reset();
    alive.reset();  // a callback still running would write to freed memory
    canceller.join();
  }
}

TEST(Cancel, ACallbackMayDestroyAnother) {
  CancelSource source;
  bool ran = false;
  auto victim = std::make_unique<CancelCallback>(source.token(), [&] { ran = true; });
  const CancelCallback killer(source.token(), [&] { victim.reset(); });
  source.cancel();  // the latest registered runs first
  EXPECT_FALSE(ran);
  EXPECT_EQ(victim, nullptr);
}

// --- waiting ------------------------------------------------------------------------------------------------------

TEST(Waiter, TheFirstReasonWins) {
  sync_wait([]() -> Task<> {
    const Waiter early;
    EXPECT_TRUE(early.wake());
    EXPECT_FALSE(early.wake(Wake::cancelled));
    EXPECT_EQ(co_await early.wait({.deadline = past()}), Wake::ready);
    EXPECT_EQ(co_await Waiter().wait({.deadline = past()}), Wake::deadline);
    CancelSource source;
    source.cancel();
    EXPECT_EQ(co_await Waiter().wait({.token = source.token()}), Wake::cancelled);
  }());
}

TEST(Waiter, WakesAcrossThreads) {
  for (int round = 0; round < 500; ++round) {
    const Waiter waiter;
    std::thread waker([waiter] { waiter.wake(); });
    EXPECT_EQ(sync_wait(waiter.wait()), Wake::ready);
    waker.join();
  }
}

TEST(Waiter, RacesOfWakeDeadlineAndCancelEndOnce) {
  Shards shards(1);
  TaskScope scope(shards.executor(0));
  std::array<std::atomic<int>, 3> outcomes{};
  for (int round = 0; round < 500; ++round) {
    const Waiter waiter;
    CancelSource source;
    scope.spawn([&outcomes, waiter, token = source.token()]() -> Task<> {
      const Wake why = co_await waiter.wait({.deadline = base::SystemClock().now() + 100us, .token = token});
      ++outcomes[static_cast<size_t>(why)];
    });
    if (round % 3 == 0) waiter.wake();
    if (round % 3 == 1) source.cancel();
  }
  EXPECT_TRUE(scope.join_blocking(10s));
  EXPECT_EQ(outcomes[0] + outcomes[1] + outcomes[2], 500);
}

TEST(Event, StaysSet) {
  Event event;
  EXPECT_EQ(sync_wait(event.wait({.deadline = past()})), Wake::deadline);
  std::thread setter([&] { event.set(); });
  EXPECT_EQ(sync_wait(event.wait()), Wake::ready);
  setter.join();
  EXPECT_EQ(sync_wait(event.wait()), Wake::ready);
  EXPECT_TRUE(event.is_set());
}

TEST(Doorbell, RingsMergeAndEachLetsOneThrough) {
  Doorbell bell;
  bell.ring();
  bell.ring();
  EXPECT_EQ(sync_wait(bell.wait()), Wake::ready);
  EXPECT_EQ(sync_wait(bell.wait({.deadline = past()})), Wake::deadline);
  std::thread ringer([&] { bell.ring(); });
  EXPECT_EQ(sync_wait(bell.wait()), Wake::ready);
  ringer.join();
}

// --- scopes -------------------------------------------------------------------------------------------------------

TEST(TaskScope, CancelsAndJoinsItsChildren) {
  Shards shards(2);
  CancelSource parent;
  TaskScope scope(shards.executor(0), parent.token());
  std::atomic<int> cancelled{0};
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(scope.spawn_on(shards.next_executor(), [&](CancelToken token) -> Task<> {
      const auto slept = co_await sleep_until(soon(1h), token);
      if (!slept && slept.error().code == Code::cancelled) ++cancelled;
    }));
  }
  EXPECT_FALSE(scope.join_blocking(1ms));
  EXPECT_FALSE(scope.spawn([]() -> Task<> { co_return; }));
  parent.cancel();
  EXPECT_TRUE(scope.join_blocking(10s));
  EXPECT_EQ(cancelled, 10);
  EXPECT_EQ(scope.running(), 0U);
}

TEST(TaskScope, JoinsFromACoroutine) {
  sync_wait([]() -> Task<> {
    TaskScope scope(co_await boost::asio::this_coro::executor);
    int done = 0;
    Event go_on;
    scope.spawn([&]() -> Task<> {
      (void)co_await go_on.wait();
      ++done;
    });
    EXPECT_FALSE(co_await scope.join(1ms));
    go_on.set();
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(done, 1);
  }());
}

TEST(TaskScope, ReportsAnEscapedException) {
  Shards shards(1);
  std::promise<std::string> what;
  TaskScope scope(shards.executor(0), {}, [&](std::exception_ptr failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& thrown) {
      what.set_value(thrown.what());
    }
  });
  scope.spawn([]() -> Task<> {
    throw std::runtime_error("lost");
    co_return;
  });
  EXPECT_EQ(what.get_future().get(), "lost");
  EXPECT_TRUE(scope.join_blocking());
}

TEST(TaskScopeDeathTest, DestructionWithChildrenAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        boost::asio::io_context context;
        TaskScope scope(context.get_executor());
        scope.spawn([]() -> Task<> { co_return; });
      },
      "before it was joined");
}

// --- deadlines ----------------------------------------------------------------------------------------------------

TEST(Deadline, TurnsCancellationIntoDeadlineOnlyWhenItWasTheDeadline) {
  const auto wait_long = [](CancelToken token) -> Task<Result<void>> {
    return sleep_until(soon(1h), std::move(token));
  };
  const auto late = sync_wait(with_deadline(past(), {}, wait_long));
  EXPECT_EQ(late.error().code, Code::deadline);
  CancelSource source;
  source.cancel();
  const auto stopped = sync_wait(with_deadline(soon(1h), source.token(), wait_long));
  EXPECT_EQ(stopped.error().code, Code::cancelled);
  const auto quick = sync_wait(with_deadline(soon(1h), {}, [](CancelToken) -> Task<Result<int>> { co_return 7; }));
  EXPECT_EQ(quick.value(), 7);
}

// --- channels -----------------------------------------------------------------------------------------------------

TEST(Channel, KeepsOrderAndEndsInOrder) {
  Channel<std::unique_ptr<int>> channel(2);
  EXPECT_EQ(channel.try_send(std::make_unique<int>(1)), Sent::sent);
  EXPECT_EQ(channel.try_send(std::make_unique<int>(2)), Sent::sent);
  auto third = std::make_unique<int>(3);
  EXPECT_EQ(channel.try_send(third), Sent::full);
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(sync_wait(channel.send(std::move(third), {.deadline = past()})).error().code, Code::deadline);
  EXPECT_EQ(**channel.try_receive(), 1);
  channel.close();
  EXPECT_EQ(channel.try_send(std::make_unique<int>(4)), Sent::closed);
  EXPECT_EQ(sync_wait(channel.send(std::make_unique<int>(4))).error().name, "CHANNEL_CLOSED");
  EXPECT_EQ(**sync_wait(channel.receive()).value(), 2);
  EXPECT_EQ(sync_wait(channel.receive()).value(), std::nullopt);
}

TEST(Channel, GivesItsErrorAfterWhatWasSent) {
  Channel<int> channel(4);
  EXPECT_EQ(channel.try_send(1), Sent::sent);
  channel.close(base::make_error(Code::upstream, "BROKE", "it broke"));
  channel.close();
  EXPECT_EQ(sync_wait(channel.receive()).value(), 1);
  EXPECT_EQ(sync_wait(channel.receive()).error().name, "BROKE");
}

TEST(Channel, BoundsOfReceive) {
  Channel<int> channel(1);
  EXPECT_EQ(sync_wait(channel.receive({.deadline = past()})).error().code, Code::deadline);
  CancelSource source;
  source.cancel();
  EXPECT_EQ(sync_wait(channel.receive({.token = source.token()})).error().code, Code::cancelled);
  EXPECT_EQ(channel.try_send(5), Sent::sent);
  EXPECT_EQ(sync_wait(channel.receive({.token = source.token()})).value(), 5);
}

TEST(Channel, AbandonFreesWaitingSenders) {
  Shards shards(1);
  TaskScope scope(shards.executor(0));
  Channel<int> channel(1);
  std::promise<std::string> outcome;
  EXPECT_EQ(channel.try_send(1), Sent::sent);
  scope.spawn([&]() -> Task<> {
    const auto sent = co_await channel.send(2);
    outcome.set_value(sent ? "sent" : sent.error().name);
  });
  channel.abandon();
  EXPECT_EQ(outcome.get_future().get(), "CHANNEL_CLOSED");
  EXPECT_EQ(channel.size(), 0U);
  EXPECT_TRUE(scope.join_blocking());
}

TEST(Channel, ManyThreadsLoseAndDoubleNothing) {
  Shards shards(4);
  TaskScope senders(shards.executor(0));
  TaskScope receivers(shards.executor(0));
  Channel<int> channel(3);
  constexpr int kSenders = 6;
  constexpr int kEach = 400;
  std::vector<std::atomic<int>> seen(kSenders * kEach);
  for (int s = 0; s < kSenders; ++s) {
    senders.spawn_on(shards.next_executor(), [&, s]() -> Task<> {
      for (int i = 0; i < kEach; ++i) {
        // Bounds that sometimes strike, so that giving up and being served race.
        WaitBounds bounds;
        if (i % 7 == 0) bounds.deadline = base::SystemClock().now() + 50us;
        Result<void> sent;
        do sent = co_await channel.send(s * kEach + i, bounds);
        while (!sent && (bounds.deadline = base::SystemClock().now() + 1ms, true));
      }
    });
  }
  for (int r = 0; r < 5; ++r) {
    receivers.spawn_on(shards.next_executor(), [&, r]() -> Task<> {
      while (true) {
        WaitBounds bounds;
        if (r % 2 == 0) bounds.deadline = base::SystemClock().now() + 100us;
        auto got = co_await channel.receive(bounds);
        if (!got) continue;
        if (!*got) co_return;
        ++seen[static_cast<size_t>(**got)];
      }
    });
  }
  EXPECT_TRUE(senders.join_blocking(30s));
  channel.close();
  EXPECT_TRUE(receivers.join_blocking(30s));
  for (const auto& count : seen) ASSERT_EQ(count, 1);
}

/// Random operations on a channel against a plain deque. Single-threaded: a pending operation is a child that has not
/// ended.
class ChannelModel {
 public:
  explicit ChannelModel(uint64_t seed)
      : random_(seed), capacity_(1 + random_.below(4)), channel_(capacity_), scope_(context_.get_executor()) {}

  void run() {
    for (int step = 0; step < 300; ++step) {
      switch (random_.below(step > 250 ? 6 : 5)) {
        case 0:
          send();
          break;
        case 1:
          receive();
          break;
        case 2:
          try_send();
          break;
        case 3:
          try_receive();
          break;
        case 4:
          cancel_one();
          break;
        default:
          close();
          break;
      }
      settle();
      check();
    }
    close();
    for (auto& source : sources_) source.cancel();
    settle();
    EXPECT_EQ(scope_.running(), 0U);
    // First in, first out: with one loop and in-order waiting, what came out is what went in.
    EXPECT_EQ(received_, std::vector<int>(accepted_.begin(), accepted_.begin() + static_cast<long>(received_.size())));
    while (const auto value = channel_.try_receive()) received_.push_back(*value);
    EXPECT_EQ(received_, accepted_);
  }

 private:
  void settle() {
    context_.restart();
    context_.poll();
  }
  void send() {
    CancelSource& source = sources_.emplace_back();
    scope_.spawn([this, value = next_++, token = source.token()]() -> Task<> {
      ++sending_;
      const auto sent = co_await channel_.send(value, {.token = token});
      --sending_;
      if (sent) accepted_.push_back(value);
    });
  }
  void receive() {
    CancelSource& source = sources_.emplace_back();
    scope_.spawn([this, token = source.token()]() -> Task<> {
      ++receiving_;
      const auto got = co_await channel_.receive({.token = token});
      --receiving_;
      if (got && *got) received_.push_back(**got);
    });
  }
  void try_send() {
    const bool expect_sent = !closed_ && channel_.size() < capacity_;
    int value = next_++;
    EXPECT_EQ(channel_.try_send(value) == Sent::sent, expect_sent);
    if (expect_sent) accepted_.push_back(value);
  }
  void try_receive() {
    const bool expect_value = channel_.size() > 0;
    const auto value = channel_.try_receive();
    EXPECT_EQ(value.has_value(), expect_value);
    if (value) received_.push_back(*value);
  }
  void cancel_one() {
    if (!sources_.empty()) sources_[random_.below(sources_.size())].cancel();
  }
  void close() {
    channel_.close();
    closed_ = true;
  }
  void check() {
    // Nobody waits while they could proceed.
    EXPECT_LE(channel_.size(), capacity_);
    if (sending_ > 0) EXPECT_TRUE(!closed_ && channel_.size() == capacity_);
    if (receiving_ > 0) EXPECT_TRUE(!closed_ && channel_.size() == 0);
    EXPECT_EQ(accepted_.size() - received_.size(), channel_.size());
  }

  base::SeededRandom random_;
  size_t capacity_;
  boost::asio::io_context context_{1};
  Channel<int> channel_;
  TaskScope scope_;
  std::deque<CancelSource> sources_;
  std::vector<int> accepted_;
  std::vector<int> received_;
  int next_ = 0;
  int sending_ = 0;
  int receiving_ = 0;
  bool closed_ = false;
};

TEST(Channel, AgreesWithAModel) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    ChannelModel(seed).run();
    if (HasFailure()) break;
  }
}

// --- the pool -----------------------------------------------------------------------------------------------------

TEST(BlockingPool, RunsElsewhereAndComesBack) {
  BlockingPool pool({.threads = 2});
  Shards shards(1);
  TaskScope scope(shards.executor(0));
  std::promise<bool> right;
  scope.spawn([&]() -> Task<> {
    const auto here = std::this_thread::get_id();
    const auto there = co_await pool.run([] { return std::this_thread::get_id(); });
    right.set_value(there.has_value() && *there != here && std::this_thread::get_id() == here);
  });
  EXPECT_TRUE(right.get_future().get());
  EXPECT_TRUE(scope.join_blocking());
  EXPECT_EQ(sync_wait(pool.run([]() -> Result<int> { return base::fail(Code::conflict, "NO", "no"); })).error().name,
            "NO");
  EXPECT_EQ(*sync_wait(pool.run([p = std::make_unique<int>(3)] { return *p; })), 3);
  EXPECT_TRUE(sync_wait(pool.run([] {})));
  const auto threw = sync_wait(pool.run([]() -> int { throw std::runtime_error("secret words"); }));
  EXPECT_EQ(threw.error().code, Code::internal);
  EXPECT_THAT(threw.error().detail, ::testing::Not(::testing::HasSubstr("secret")));
  CancelSource source;
  source.cancel();
  EXPECT_EQ(sync_wait(pool.run([] { return 1; }, source.token())).error().code, Code::cancelled);
}

TEST(BlockingPool, RefusesWhenFullAndFailsTheWaitingOnStop) {
  auto pool = std::make_unique<BlockingPool>(BlockingPoolOptions{.threads = 1, .queue_max = 1, .retry_after = 123ms});
  Shards shards(1);
  TaskScope scope(shards.executor(0));
  std::promise<void> entered;
  std::promise<void> release;
  std::promise<std::string> first;
  std::promise<std::string> second;
  const auto say = [](std::promise<std::string>& into, const Result<void>& result) {
    into.set_value(result ? "ok" : result.error().name);
  };
  scope.spawn([&]() -> Task<> {
    say(first, co_await pool->run([&] {
      entered.set_value();
      release.get_future().wait();
    }));
  });
  entered.get_future().wait();
  scope.spawn([&]() -> Task<> { say(second, co_await pool->run([] {})); });
  while (pool->waiting() == 0) std::this_thread::yield();
  const auto refused = sync_wait(pool->run([] {}));
  EXPECT_EQ(refused.error().name, "POOL_FULL");
  EXPECT_EQ(refused.error().code, Code::exhausted);
  EXPECT_EQ(refused.error().retry_after, 123ms);
  std::thread stopper([&] { pool->stop(); });
  EXPECT_EQ(second.get_future().get(), "SHUTTING_DOWN");
  release.set_value();
  stopper.join();
  EXPECT_EQ(first.get_future().get(), "ok");
  EXPECT_EQ(sync_wait(pool->run([] {})).error().name, "SHUTTING_DOWN");
  EXPECT_TRUE(scope.join_blocking());
}

// --- the limiter --------------------------------------------------------------------------------------------------

TEST(Limiter, AdmitsQueuesAndTurnsAway) {
  Limiter limiter({.concurrent_max = 1, .waiting_max = 1, .retry_after = 9ms});
  auto held = limiter.try_acquire();
  ASSERT_TRUE(held);
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_EQ(sync_wait(limiter.acquire({.deadline = past()})).error().code, Code::deadline);
  Shards shards(1);
  TaskScope scope(shards.executor(0));
  std::promise<bool> got;
  scope.spawn([&]() -> Task<> {
    const auto permit = co_await limiter.acquire();
    got.set_value(permit.has_value());
  });
  while (limiter.waiting() == 0) std::this_thread::yield();
  const auto away = sync_wait(limiter.acquire());
  EXPECT_EQ(away.error().code, Code::exhausted);
  EXPECT_EQ(away.error().retry_after, 9ms);
  held.reset();
  EXPECT_TRUE(got.get_future().get());
  EXPECT_TRUE(scope.join_blocking());
  EXPECT_EQ(limiter.in_use(), 0U);
}

TEST(Limiter, NeverAdmitsTooManyNorLosesAPermit) {
  Shards shards(4);
  TaskScope scope(shards.executor(0));
  Limiter limiter({.concurrent_max = 3, .waiting_max = 1000});
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<int> served{0};
  for (int i = 0; i < 400; ++i) {
    scope.spawn_on(shards.next_executor(), [&, i]() -> Task<> {
      WaitBounds bounds;
      if (i % 3 == 0) bounds.deadline = base::SystemClock().now() + 200us;
      const auto permit = co_await limiter.acquire(bounds);
      if (!permit) co_return;
      const int now = ++inside;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      co_await boost::asio::post(boost::asio::use_awaitable);
      --inside;
      ++served;
    });
  }
  EXPECT_TRUE(scope.join_blocking(30s));
  EXPECT_LE(most, 3);
  EXPECT_GE(served, 266);
  EXPECT_EQ(limiter.in_use(), 0U);
}

TEST(RunOn, RunsThereAndComesBack) {
  Shards shards(1);
  const auto there = [](std::thread::id* ran, bool fail) -> Task<int> {
    *ran = std::this_thread::get_id();
    if (fail) throw std::runtime_error("no");
    co_return 7;
  };
  const auto caller = [&](bool fail) -> Task<int> {
    const auto here = std::this_thread::get_id();
    std::thread::id ran;
    int value = 0;
    std::string thrown;
    try {
      value = co_await run_on(shards.executor(0), there(&ran, fail));
    } catch (const std::runtime_error& error) {
      thrown = error.what();
    }
    EXPECT_NE(ran, std::thread::id());
    EXPECT_NE(ran, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_EQ(thrown, fail ? "no" : "");
    co_return value;
  };
  EXPECT_EQ(sync_wait(caller(false)), 7);
  EXPECT_EQ(sync_wait(caller(true)), 0);
}

TEST(SyncWait, GivesValuesAndExceptions) {
  EXPECT_EQ(sync_wait([]() -> Task<int> { co_return 4; }()), 4);
  EXPECT_THROW(sync_wait([]() -> Task<> {
                 throw std::runtime_error("x");
                 co_return;
               }()),
               std::runtime_error);
}

}  // namespace
}  // namespace tessera::async
