#include "account/limits.h"

#include <gmock/gmock.h>

#include <deque>
#include <random>
#include <thread>

#include "base/random.h"

namespace tessera::account {
namespace {

using base::Millis;

/// Uses by their second, added up anew for each question.
struct Model {
  int64_t limit;
  std::deque<std::pair<int64_t, int64_t>> uses;  // second, amount

  int64_t used(int64_t now_ms) const {
    int64_t sum = 0;
    for (const auto& [second, amount] : uses) sum += second > now_ms / 1000 - 61 ? amount : 0;
    return sum;
  }
};

TEST(RateWindow, FollowsTheModel) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  base::SeededRandom random(seed);
  for (int round = 0; round < 20; ++round) {
    base::ManualClock clock;
    const auto limit = static_cast<int64_t>(1 + random.below(200));
    RateWindow window(limit);
    Model model{.limit = limit, .uses = {}};
    std::vector<std::tuple<RateWindow::Mark, int64_t>> taken;
    int64_t ms = 0;
    for (int step = 0; step < 2000; ++step) {
      const auto by = static_cast<int64_t>(random.below(20) == 0 ? random.below(90'000) : random.below(900));
      clock.advance(Millis(by));
      ms += by;
      const auto amount = static_cast<int64_t>(random.below(30));
      if (random.below(4) == 0 && !taken.empty()) {
        const auto [mark, before] = taken.back();
        taken.pop_back();
        window.correct(mark, before, amount, clock.now());
        const bool more = amount > before;
        model.uses.emplace_back(more ? ms / 1000 : mark.second, amount - before);
      } else {
        const bool fits = model.used(ms) + amount <= limit;
        const Millis wait = amount <= limit ? window.wait(amount, clock.now()) : Millis(0);
        const auto mark = window.take(amount, clock.now());
        ASSERT_EQ(mark.has_value(), fits);
        if (mark) {
          model.uses.emplace_back(ms / 1000, amount);
          taken.emplace_back(*mark, amount);
        } else if (amount <= limit) {
          EXPECT_GT(model.used(ms + wait.count() - 1) + amount, limit) << "no sooner";
          EXPECT_LE(model.used(ms + wait.count()) + amount, limit) << "no later";
        }
      }
      ASSERT_EQ(window.remaining(clock.now()), std::max<int64_t>(0, limit - model.used(ms)));
      EXPECT_EQ(model.used(ms + window.reset(clock.now()).count()), 0);
    }
  }
}

TEST(KeyMeter, RefusesRequestsAboveTheLimitAndSaysHowLongToWait) {
  base::ManualClock clock;
  KeyMeter meter(2, 0);
  EXPECT_TRUE(meter.admit_request(clock.now()));
  clock.advance(Millis(10'500));
  EXPECT_TRUE(meter.admit_request(clock.now()));
  const auto refused = meter.admit_request(clock.now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::exhausted);
  EXPECT_EQ(refused.error().name, "RATE_LIMITED");
  EXPECT_EQ(refused.error().retry_after, Millis(50'500));
  EXPECT_THAT(refused.error().message, testing::HasSubstr("2 requests a minute. Try again in 51 s"));
  const auto reading = *meter.requests(clock.now());
  EXPECT_EQ(reading.limit, 2);
  EXPECT_EQ(reading.remaining, 0);
  EXPECT_EQ(reading.reset, Millis(60'500));
  EXPECT_FALSE(meter.tokens(clock.now()));
  clock.advance(Millis(50'500));
  EXPECT_TRUE(meter.admit_request(clock.now()));
}

TEST(KeyMeter, CountsTokensByTheEstimateUntilTheyAreSettled) {
  base::ManualClock clock;
  KeyMeter meter(0, 1000);
  const auto first = *meter.hold_tokens(600, clock.now());
  EXPECT_EQ(meter.hold_tokens(600, clock.now()).error().name, "TOKENS_LIMITED");
  meter.settle_tokens(first, 100, clock.now());
  const auto second = *meter.hold_tokens(600, clock.now());
  meter.settle_tokens(second, 1200, clock.now());
  EXPECT_EQ(meter.tokens(clock.now())->remaining, 0);
  EXPECT_EQ(meter.admit_request(clock.now()).error().name, "TOKENS_LIMITED");
  EXPECT_FALSE(meter.hold_tokens(0, clock.now())) << "over the limit by what was really used";
  clock.advance(Millis(61'000));
  EXPECT_TRUE(meter.hold_tokens(50'000, clock.now())) << "more than a minute's worth gets an empty minute";
  EXPECT_FALSE(meter.hold_tokens(1, clock.now()));
}

TEST(KeyMeter, AdmitsExactlyTheLimitFromManyThreads) {
  const base::ManualClock clock;
  KeyMeter meter(1000, 0);
  std::atomic<int> admitted = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 500; ++n) admitted += meter.admit_request(clock.now()) ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(admitted, 1000);
}

}  // namespace
}  // namespace tessera::account
