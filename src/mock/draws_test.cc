#include "mock/draws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tessera::mock {
namespace {

TEST(Draws, TheSameSeedAndStreamGiveTheSameNumbers) {
  Draws a(7, 3);
  Draws b(7, 3);
  Draws other_stream(7, 4);
  Draws other_seed(8, 3);
  for (int i = 0; i < 100; ++i) {
    const uint64_t value = a.next();
    EXPECT_EQ(value, b.next());
    EXPECT_NE(value, other_stream.next());
    EXPECT_NE(value, other_seed.next());
  }
}

std::vector<double> sampled(std::string_view text, size_t count) {
  const auto distribution = Distribution::parse(text);
  EXPECT_TRUE(distribution) << text;
  Draws draws(1, 1);
  std::vector<double> values;
  for (size_t i = 0; i < count; ++i) values.push_back(distribution->sample(draws));
  std::ranges::sort(values);
  return values;
}

TEST(Distribution, FixedIsAlwaysTheSame) {
  for (const char* text : {"200", "200ms", "0.2s", "fixed(200)"}) {
    const auto values = sampled(text, 10);
    EXPECT_DOUBLE_EQ(values.front(), 200) << text;
    EXPECT_DOUBLE_EQ(values.back(), 200) << text;
  }
}

TEST(Distribution, UniformFillsItsRange) {
  for (const char* text : {"100..300", "uniform(100,300)", "uniform(100, 300ms)"}) {
    const auto values = sampled(text, 10'000);
    EXPECT_GE(values.front(), 100);
    EXPECT_LT(values.front(), 101);
    EXPECT_LE(values.back(), 300);
    EXPECT_GT(values.back(), 299);
    EXPECT_NEAR(values[5000], 200, 5);
  }
}

TEST(Distribution, LognormalHasItsMedianAndPercentile) {
  const auto by_sigma = sampled("lognormal(200,0.5)", 50'000);
  EXPECT_NEAR(by_sigma[25'000], 200, 4);
  EXPECT_NEAR(by_sigma[42'067], 200 * 1.6487, 10);  // one sigma above: 84.13 %
  const auto by_percentile = sampled("lognormal(p50=200,p99=900)", 50'000);
  EXPECT_NEAR(by_percentile[25'000], 200, 5);
  EXPECT_NEAR(by_percentile[49'500], 900, 45);
}

TEST(Distribution, NonsenseIsRefused) {
  for (const char* text : {"",
                           "x",
                           "-1",
                           "1e99",
                           "nan",
                           "inf",
                           "300..100",
                           "..",
                           "1..",
                           "uniform(3,1)",
                           "uniform(1)",
                           "lognormal()",
                           "lognormal(1,99)",
                           "lognormal(p50=9,p99=1)",
                           "normal(1,2)",
                           ")",
                           "(,)",
                           "1,2",
                           "200 ms",
                           "uniform(1,2"}) {
    const auto parsed = Distribution::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().name, "BAD_DIRECTIVE");
  }
}

}  // namespace
}  // namespace tessera::mock
