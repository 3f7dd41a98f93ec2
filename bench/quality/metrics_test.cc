#include "metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tessera::bench {
namespace {

TEST(Metrics, OneRightDocument) {
  const std::vector<size_t> ranking{7, 3, 9};
  const std::vector<size_t> right{9};
  const Measures found = measure(ranking, right);
  EXPECT_EQ(found.within, (std::array<double, 3>{0, 1, 1}));
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
  EXPECT_EQ(found.within, (std::array<double, 3>{1, 1, 1}));
}

TEST(Metrics, BeyondTheTenthCountsNothing) {
  const std::vector<size_t> ranking{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<size_t> tenth{9};
  EXPECT_EQ(measure(ranking, tenth).within, (std::array<double, 3>{0, 0, 1}));
  EXPECT_DOUBLE_EQ(measure(ranking, tenth).reciprocal, 0.1);
  const std::vector<size_t> eleventh{10};
  EXPECT_EQ(measure(ranking, eleventh).within, (std::array<double, 3>{0, 0, 0}));
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
  EXPECT_DOUBLE_EQ(means.mean().within[0], 0.5);
  EXPECT_DOUBLE_EQ(means.mean().reciprocal, 0.55);
  EXPECT_DOUBLE_EQ(means.mean().ndcg, 0.65);
  EXPECT_EQ(means.queries(), 2U);
}

}  // namespace
}  // namespace tessera::bench
