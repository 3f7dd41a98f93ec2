#include "async/shards.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <ctime>
#include <future>

#include "async/event.h"
#include "async/run_blocking.h"
#include "async/run_on.h"
#include "base/clock.h"

namespace tessera::async {
namespace {

using namespace std::chrono_literals;

std::chrono::nanoseconds processor_time() {
  timespec spent{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

TEST(Shards, ThatSpinDoTheirWorkAndSleepWithoutAny) {
  Shards shards(2, 5ms);
  std::atomic<int> ran = 0;
  for (int i = 0; i < 2000; ++i) {
    std::promise<void> done;
    boost::asio::post(shards.next_executor(), [&] {
      ++ran;
      done.set_value();
    });
    done.get_future().wait();
  }
  EXPECT_EQ(ran, 2000);
  const auto before = processor_time();
  Event never;
  const auto wait = [&]() -> Task<Wake> {
    return never.wait({.deadline = base::SystemClock().now() + 400ms, .token = {}});
  };
  EXPECT_EQ(sync_wait(run_on(shards.executor(0), wait())), Wake::deadline);
  EXPECT_LT(processor_time() - before, 200ms) << "two loops, 400 ms";
  shards.stop();
}

}  // namespace
}  // namespace tessera::async
