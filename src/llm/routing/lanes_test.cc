#include "llm/routing/lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <vector>

#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "base/random.h"
#include "observe/cells.h"

namespace tessera::llm {
namespace {

using base::Millis;
using core::Priority;

// Callers on one event loop that is run by hand; nobody's time runs out unless a test says so.
class LaneTest : public ::testing::Test {
 protected:
  void open(LaneOptions given) {
    if (given.interactive_wait == Millis(500)) given.interactive_wait = given.background_wait = Millis(600'000);
    given.queue = &queue;
    lanes.emplace(given, clock);
  }
  void call(int who, Priority priority) {
    scope.spawn([this, who, priority]() -> async::Task<> {
      core::RequestContext context;
      context.priority = priority;
      context.cancel = leave.token();
      auto permit = co_await lanes->acquire(context);
      if (permit) {
        served.push_back(who);
        held.push_back(*std::move(permit));
      } else {
        refused.push_back(permit.error().name);
      }
    });
    settle();
  }
  void settle() {
    loop.restart();
    loop.poll();
  }
  void finish_one() {
    ASSERT_FALSE(held.empty());
    held.pop_front();
    settle();
  }
  void TearDown() override {
    leave.cancel();
    held.clear();
    settle();
    scope.close();
  }

  base::ManualClock clock;
  observe::Gauge queue;
  boost::asio::io_context loop;
  async::CancelSource leave;
  async::TaskScope scope{loop.get_executor()};
  std::optional<Lanes> lanes;
  std::deque<Lanes::Permit> held;
  std::vector<int> served;
  std::vector<std::string> refused;
};

TEST_F(LaneTest, PeopleComeBeforeBatches) {
  open({.concurrent_max = 1});
  call(0, Priority::background);
  call(1, Priority::background);
  call(2, Priority::background);
  call(3, Priority::interactive);
  call(4, Priority::interactive);
  EXPECT_EQ(queue.value(), 4);
  for (int i = 0; i < 4; ++i) finish_one();
  EXPECT_EQ(served, (std::vector<int>{0, 3, 4, 1, 2}));
  EXPECT_EQ(queue.value(), 0);
}

TEST_F(LaneTest, BatchesThatWaitedLongComeFirst) {
  open({.concurrent_max = 1, .handicap = Millis(1000)});
  call(0, Priority::interactive);
  call(1, Priority::background);
  clock.advance(Millis(999));
  call(2, Priority::interactive);
  clock.advance(Millis(2));
  call(3, Priority::interactive);
  for (int i = 0; i < 3; ++i) finish_one();
  EXPECT_EQ(served, (std::vector<int>{0, 2, 1, 3}));
}

TEST_F(LaneTest, WithoutPrioritiesFirstComeFirstServed) {
  open({.concurrent_max = 1, .priorities = false});
  call(0, Priority::interactive);
  call(1, Priority::background);
  call(2, Priority::interactive);
  for (int i = 0; i < 2; ++i) finish_one();
  EXPECT_EQ(served, (std::vector<int>{0, 1, 2}));
}

TEST_F(LaneTest, TurnsAwayWhenTheQueueIsFull) {
  open({.concurrent_max = 1, .waiting_max = 2});
  for (int i = 0; i < 4; ++i) call(i, Priority::interactive);
  EXPECT_EQ(refused, (std::vector<std::string>{"TOO_MANY_WAITING"}));
  EXPECT_EQ(lanes->waiting(), 2u);
}

TEST_F(LaneTest, CancelledCallersLeaveTheQueue) {
  open({.concurrent_max = 1});
  call(0, Priority::interactive);
  call(1, Priority::interactive);
  leave.cancel();
  settle();
  EXPECT_EQ(refused, (std::vector<std::string>{"CANCELLED"}));
  EXPECT_EQ(lanes->waiting(), 0u);
  held.clear();
  EXPECT_EQ(lanes->in_use(), 0u);
}

TEST(Lanes, PatienceEnds) {
  base::ManualClock clock;
  Lanes lanes({.concurrent_max = 1, .interactive_wait = Millis(1), .background_wait = Millis(2)}, clock);
  core::RequestContext context;
  const auto first = async::sync_wait(lanes.acquire(context));
  ASSERT_TRUE(first);
  EXPECT_EQ(async::sync_wait(lanes.acquire(context)).error().name, "ENDPOINT_BUSY");
  context.priority = Priority::background;
  const auto background = async::sync_wait(lanes.acquire(context));
  EXPECT_EQ(background.error().name, "ENDPOINT_BUSY");
  EXPECT_EQ(background.error().retry_after, Millis(2));
  context.deadline = base::SystemClock().now();
  EXPECT_EQ(async::sync_wait(lanes.acquire(context)).error().name, "DEADLINE");
}

// Against a sorted list: who comes next is always the earliest, background counted as later by the handicap.
TEST_F(LaneTest, RandomArrivalsAreServedInOrder) {
  open({.concurrent_max = 3, .waiting_max = 1000, .handicap = Millis(50)});
  base::SeededRandom random(11);
  struct Waiting {
    int64_t key;
    Priority priority;
    int who;
  };
  std::vector<Waiting> model;
  std::vector<int> expected;
  size_t in_use = 0;
  int64_t now = 0;
  for (int who = 0; who < 3000; ++who) {
    const auto step = static_cast<int64_t>(random.below(10));
    clock.advance(Millis(step));
    now += step;
    if (random.below(2) == 0) {
      const Priority priority = random.below(2) == 0 ? Priority::interactive : Priority::background;
      call(who, priority);
      if (in_use < 3) {
        ++in_use;
        expected.push_back(who);
      } else {
        model.push_back({now + (priority == Priority::background ? 50 : 0), priority, who});
      }
    } else if (!held.empty()) {
      finish_one();
      if (model.empty()) {
        --in_use;
      } else {
        const auto next = std::ranges::min_element(model, {}, [](const Waiting& each) {
          return std::tuple(each.key, each.priority == Priority::background, each.who);
        });
        expected.push_back(next->who);
        model.erase(next);
      }
    }
    ASSERT_EQ(lanes->in_use(), in_use);
    ASSERT_EQ(lanes->waiting(), model.size());
  }
  EXPECT_EQ(served, expected);
}

}  // namespace
}  // namespace tessera::llm
