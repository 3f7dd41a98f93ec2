#include "metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace tessera::bench {
namespace {

TEST(Metrics, OneRightDocument) {
  const std::vector<size_t> ranking{7, 3, 9};
  const std::vector<size_t> right{9};
  const Measures found = measure(ranking, right);
  EXPECT_EQ(found.recall, (std::array<double, 3>{0, 1, 1}));
  EXPECT_DOUBLE_EQ(found.reciprocal, 1.0 / 3);
  EXPECT_DOUBLE_EQ(found.ndcg, 0.5);  // 1 / log2(4)
}

// The example of trec_eval's ndcg_cut: gains at ranks 1 and 4 of three right documents.
TEST(Metrics, SeveralRightDocumentsShareTheIdeal) {
  const std::vector<size_t> ranking{1, 10, 11, 2, 12};
  const std::vector<size_t> right{1, 2, 3};
  const Measures found = measure(ranking, right);
  const double ideal = 1 + (1 / std::log2(3.0)) + 0.5;
  EXPECT_DOUBLE_EQ(found.ndcg, (1 / ideal) + (1 / std::log2(5.0) / ideal));
  EXPECT_DOUBLE_EQ(found.reciprocal, 1);
  EXPECT_EQ(found.recall, (std::array<double, 3>{1.0 / 3, 2.0 / 3, 2.0 / 3}));
}

// More right documents than places: the best possible ranking measures 1 in nDCG, but not in recall.
TEST(Metrics, TheIdealHasTenPlaces) {
  std::vector<size_t> right(20);
  std::iota(right.begin(), right.end(), size_t{0});
  const Measures best = measure(right, right);
  EXPECT_DOUBLE_EQ(best.ndcg, 1);
  EXPECT_EQ(best.recall, (std::array<double, 3>{0.05, 0.25, 0.5}));
}

/// The definitions written out in another way: sums over right documents instead of over places.
TEST(Metrics, EqualsTheDefinitionsOnRandomRankings) {
  std::mt19937 random(3);  // NOLINT: the same in every run
  for (int round = 0; round < 2000; ++round) {
    std::vector<size_t> ranking(random() % 25);
    std::iota(ranking.begin(), ranking.end(), size_t{0});
    std::ranges::shuffle(ranking, random);
    std::vector<size_t> right(1 + random() % 15);
    std::iota(right.begin(), right.end(), size_t{random() % 20});
    const Measures found = measure(ranking, right);
    std::vector<double> places;  // of the right documents that are there, from 1
    for (const size_t each : right) {
      const auto at = std::ranges::find(ranking, each);
      if (at != ranking.end()) places.push_back(static_cast<double>(at - ranking.begin()) + 1);
    }
    const auto within = [&](double depth) {
      return static_cast<double>(std::ranges::count_if(places, [&](double place) { return place <= depth; }));
    };
    const auto relevant = static_cast<double>(right.size());
    EXPECT_EQ(found.recall, (std::array<double, 3>{within(1) / relevant, within(5) / relevant, within(10) / relevant}));
    const double first = places.empty() ? 11 : std::ranges::min(places);
    EXPECT_DOUBLE_EQ(found.reciprocal, first <= 10 ? 1 / first : 0);
    double gain = 0;
    for (const double place : places) gain += place <= 10 ? std::log(2) / std::log(place + 1) : 0;
    double ideal = 0;
    for (int place = 1; place <= std::min<int>(10, static_cast<int>(right.size())); ++place) {
      ideal += std::log(2) / std::log(place + 1);
    }
    EXPECT_NEAR(found.ndcg, gain / ideal, 1e-12);
  }
}

TEST(Metrics, BeyondTheTenthCountsNothing) {
  const std::vector<size_t> ranking{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<size_t> tenth{9};
  EXPECT_EQ(measure(ranking, tenth).recall, (std::array<double, 3>{0, 0, 1}));
  EXPECT_DOUBLE_EQ(measure(ranking, tenth).reciprocal, 0.1);
  const std::vector<size_t> eleventh{10};
  EXPECT_EQ(measure(ranking, eleventh).recall, (std::array<double, 3>{0, 0, 0}));
  EXPECT_DOUBLE_EQ(measure(ranking, eleventh).ndcg, 0);
  EXPECT_DOUBLE_EQ(measure(ranking, eleventh).reciprocal, 0);
}

TEST(Metrics, NothingRightOrNothingFoundIsZero) {
  const std::vector<size_t> some{1};
  EXPECT_DOUBLE_EQ(measure(some, {}).ndcg, 0);
  EXPECT_DOUBLE_EQ(measure({}, some).ndcg, 0);
}

TEST(Metrics, MeansAreOverQueries) {
  MeasureMeans means;
  EXPECT_DOUBLE_EQ(means.mean().ndcg, 0);
  means.add({{1, 1, 1}, 1, 1});
  means.add({{0, 0, 1}, 0.1, 0.3});
  EXPECT_DOUBLE_EQ(means.mean().recall[0], 0.5);
  EXPECT_DOUBLE_EQ(means.mean().reciprocal, 0.55);
  EXPECT_DOUBLE_EQ(means.mean().ndcg, 0.65);
  EXPECT_EQ(means.queries(), 2U);
}

}  // namespace
}  // namespace tessera::bench
