#include "llm/routing/breaker.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace tessera::llm {
namespace {

using base::Millis;
using State = Breaker::State;

TEST(Breaker, OpensAfterFailuresInARowOnly) {
  base::ManualClock clock;
  Breaker breaker({.failures_max = 3});
  for (int i = 0; i < 10; ++i) {
    breaker.failed(breaker.ask(clock.now()), clock.now());
    breaker.failed(breaker.ask(clock.now()), clock.now());
    breaker.succeeded(breaker.ask(clock.now()));
  }
  EXPECT_EQ(breaker.state(), State::closed);
  for (int i = 0; i < 3; ++i) breaker.failed(breaker.ask(clock.now()), clock.now());
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_FALSE(breaker.ask(clock.now()).granted);
  EXPECT_EQ(breaker.retry_in(clock.now()), Millis(5000));
}

TEST(Breaker, ProbesOneAtATimeWithGrowingPauses) {
  base::ManualClock clock;
  std::vector<State> changes;
  Breaker breaker({.failures_max = 1, .open_min = Millis(1000), .open_max = Millis(3000)},
                  [&changes](State state) { changes.push_back(state); });
  breaker.failed(breaker.ask(clock.now()), clock.now());
  for (const int pause : {1000, 2000, 3000, 3000}) {
    clock.advance(Millis(pause - 1));
    EXPECT_FALSE(breaker.ready(clock.now()));
    clock.advance(Millis(1));
    EXPECT_TRUE(breaker.ready(clock.now()));
    const auto probe = breaker.ask(clock.now());
    EXPECT_TRUE(probe.probe);
    EXPECT_FALSE(breaker.ask(clock.now()).granted);
    breaker.failed(probe, clock.now());
  }
  clock.advance(Millis(3000));
  // A probe whose caller left frees the place for the next.
  breaker.abandoned(breaker.ask(clock.now()));
  breaker.succeeded(breaker.ask(clock.now()));
  EXPECT_EQ(breaker.state(), State::closed);
  breaker.failed(breaker.ask(clock.now()), clock.now());
  EXPECT_EQ(breaker.retry_in(clock.now()), Millis(1000));
  EXPECT_EQ(changes.front(), State::open);
  EXPECT_EQ(changes.back(), State::open);
}

TEST(Breaker, CallsFromBeforeItOpenedChangeNothing) {
  base::ManualClock clock;
  Breaker breaker({.failures_max = 1, .open_min = Millis(1000), .open_max = Millis(8000)});
  const auto early = breaker.ask(clock.now());
  const auto other = breaker.ask(clock.now());
  breaker.failed(breaker.ask(clock.now()), clock.now());
  breaker.failed(early, clock.now());
  breaker.succeeded(other);
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_EQ(breaker.retry_in(clock.now()), Millis(1000));
}

TEST(Breaker, NeverOpensWhenTurnedOff) {
  base::ManualClock clock;
  Breaker breaker({.failures_max = 0});
  for (int i = 0; i < 100; ++i) breaker.failed(breaker.ask(clock.now()), clock.now());
  EXPECT_EQ(breaker.state(), State::closed);
}

// Whatever happens: while open nothing passes before the pause is over, at most one probe is under way, and an endpoint
// that is well is reached again.
TEST(Breaker, RandomCallsKeepThePromises) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    base::SeededRandom random(seed);
    base::ManualClock clock;
    Breaker breaker({.failures_max = 3, .open_min = Millis(100), .open_max = Millis(1000)});
    std::vector<Breaker::Pass> under_way;
    for (int step = 0; step < 500; ++step) {
      clock.advance(Millis(random.below(60)));
      if (random.below(2) == 0) {
        const bool ready = breaker.ready(clock.now());
        const auto pass = breaker.ask(clock.now());
        ASSERT_EQ(pass.granted, ready);
        if (pass.granted) under_way.push_back(pass);
        ASSERT_LE(std::ranges::count_if(under_way, [&](const auto& each) { return each.probe; }), 1);
      } else if (!under_way.empty()) {
        const size_t at = random.below(under_way.size());
        const auto pass = under_way[at];
        under_way.erase(under_way.begin() + static_cast<int64_t>(at));
        const uint64_t how = random.below(3);
        if (how == 0) breaker.succeeded(pass);
        if (how == 1) breaker.failed(pass, clock.now());
        if (how == 2) breaker.abandoned(pass);
      }
    }
    for (const auto& pass : under_way) breaker.abandoned(pass);
    clock.advance(Millis(1000));
    breaker.succeeded(breaker.ask(clock.now()));
    ASSERT_EQ(breaker.state(), State::closed) << seed;
  }
}

}  // namespace
}  // namespace tessera::llm
