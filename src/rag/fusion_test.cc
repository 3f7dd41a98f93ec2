#include "rag/fusion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace tessera::rag {
namespace {

using Hits = std::vector<core::IndexHit>;

FusionOptions by_rank(double weight = 1) {
  return {Fusion::reciprocal_rank, weight, 60};
}

std::vector<int64_t> keys(const std::vector<Ranked>& ranked) {
  std::vector<int64_t> found;
  for (const Ranked& each : ranked) found.push_back(each.chunk_key);
  return found;
}

// A dense list of `count` chunks with cosines falling from `best` to `last`, keys from `first_key`.
Hits falling(size_t count, float best, float last, int64_t first_key = 1) {
  Hits hits;
  for (size_t i = 0; i < count; ++i) {
    const float part = count == 1 ? 0 : static_cast<float>(i) / static_cast<float>(count - 1);
    hits.push_back({first_key + static_cast<int64_t>(i), 1, best + (last - best) * part});
  }
  return hits;
}

TEST(Fusion, ReciprocalRankIsNormalisedAndBreaksTiesByCosineThenKey) {
  const Hits words{{1, 1, 9}, {2, 2, 8}};
  const Hits meaning{{1, 1, 0.5F}, {3, 3, 0.4F}};
  const auto ranked = fuse({words, meaning}, by_rank());
  EXPECT_EQ(keys(ranked), (std::vector<int64_t>{1, 3, 2}));
  EXPECT_DOUBLE_EQ(ranked[0].score, 1.0);
  EXPECT_DOUBLE_EQ(ranked[1].score, (1.0 / 62) * 61 / 2);
  EXPECT_DOUBLE_EQ(ranked[2].score, ranked[1].score);
  const Hits same{{7, 7, 2}, {5, 5, 2}};
  EXPECT_EQ(keys(fuse({same, {}}, by_rank())), (std::vector<int64_t>{7, 5}));
}

TEST(Fusion, ReciprocalRankWeighsTheDenseList) {
  const Hits words{{1, 1, 9}, {2, 2, 8}};
  const Hits meaning{{2, 2, 0.5F}, {1, 1, 0.4F}};
  EXPECT_EQ(keys(fuse({words, meaning}, by_rank(0.5))), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(keys(fuse({words, meaning}, by_rank(2))), (std::vector<int64_t>{2, 1}));
  const auto ranked = fuse({words, meaning}, by_rank(0.5));
  EXPECT_DOUBLE_EQ(ranked[0].score, (1.0 + 0.5 * 61 / 62) / 1.5);
}

TEST(Fusion, ScoresAreScaledToTheBestWordsAndTheFloorOfCosines) {
  const Hits words{{1, 1, 10}, {2, 2, 5}};
  Hits meaning = falling(100, 0.6F, 0.2F, 1000);
  meaning[0].chunk_key = 2;  // best by meaning, half the words
  const auto ranked = fuse({words, meaning}, {});
  ASSERT_EQ(ranked.size(), 101U);
  EXPECT_EQ(ranked[0].chunk_key, 1);
  EXPECT_NEAR(ranked[0].score, 1 / 1.4, 1e-9);
  EXPECT_EQ(ranked[1].chunk_key, 2);
  EXPECT_NEAR(ranked[1].score, 0.9 / 1.4, 1e-9);
  EXPECT_NEAR(ranked.back().score, 0, 1e-9);  // the hundredth by meaning alone
}

TEST(Fusion, FlatWordsLetMeaningDecideAndStandingOutWordsDoNot) {
  const Hits meaning = falling(100, 0.6F, 0.2F);
  EXPECT_EQ(fuse({Hits{{50, 1, 10}, {1, 1, 9}}, meaning}, {})[0].chunk_key, 1);
  EXPECT_EQ(fuse({Hits{{50, 1, 10}, {1, 1, 4}}, meaning}, {})[0].chunk_key, 50);
}

TEST(Fusion, ADeeperDenseListChangesNothingForTheBest) {
  const Hits words{{3, 1, 10}, {9, 2, 9}};
  const Hits deep = falling(400, 0.8F, 0.1F);
  const Hits shallow(deep.begin(), deep.begin() + 100);
  const auto a = fuse({words, shallow}, {});
  const auto b = fuse({words, deep}, {});
  ASSERT_EQ(b.size(), 400U);
  for (size_t i = 0; i < 99; ++i) {
    EXPECT_EQ(a[i].chunk_key, b[i].chunk_key);
    EXPECT_DOUBLE_EQ(a[i].score, b[i].score);
  }
  // Below the floor the order is still that of the cosine.
  for (size_t i = 101; i < 400; ++i) EXPECT_EQ(b[i].chunk_key, static_cast<int64_t>(i + 1));
}

TEST(Fusion, AmongFewChunksASmallLeadOfMeaningStaysSmall) {
  const Hits words{{1, 1, 10}, {2, 2, 8}};
  const Hits meaning{{2, 2, 0.50F}, {1, 1, 0.49F}};
  EXPECT_EQ(fuse({words, meaning}, {})[0].chunk_key, 1);
}

TEST(Fusion, AnAbsentEngineHasNoSayAndAnEmptyOneHas) {
  const Hits words{{1, 1, 10}};
  const Hits meaning{{2, 2, 0.5F}};
  EXPECT_DOUBLE_EQ(fuse({words, {}}, {})[0].score, 1);
  EXPECT_DOUBLE_EQ(fuse({{}, meaning}, {})[0].score, 1);
  EXPECT_NEAR(fuse({words, Hits{}}, {})[0].score, 1 / 1.4, 1e-12);
  EXPECT_NEAR(fuse({Hits{}, meaning}, {})[0].score, 0.4 / 1.4, 1e-12);
  EXPECT_TRUE(fuse({}, {}).empty());
  EXPECT_TRUE(fuse({Hits{}, Hits{}}, {}).empty());
  FusionOptions unweighted;
  unweighted.dense_weight = 0;
  EXPECT_EQ(keys(fuse({{}, falling(3, 0.5F, 0.1F)}, unweighted)), (std::vector<int64_t>{1, 2, 3}));
}

TEST(Fusion, NegativeAndEqualCosinesAndScoresOfZeroStayInRange) {
  for (const Hits& meaning : {Hits{{1, 1, -0.1F}, {2, 2, -0.5F}}, Hits{{1, 1, 0.3F}, {2, 2, 0.3F}},
                              Hits{{1, 1, 0}, {2, 2, 0}}, falling(150, 0.2F, -0.9F), falling(150, -0.2F, -0.9F)}) {
    for (const Hits& words : {Hits{{2, 2, 0}}, Hits{{2, 2, 4}}, Hits{}}) {
      for (const Ranked& each : fuse({words, meaning}, {})) {
        EXPECT_GE(each.score, 0);
        EXPECT_LE(each.score, 1);
      }
    }
  }
}

TEST(Fusion, OneListAloneKeepsItsOrderAndStaysInRange) {
  const Hits hits = {{4, 1, 15}, {9, 2, 5}, {2, 3, 0}};
  const auto words = rank_lexical(hits);
  EXPECT_EQ(keys(words), (std::vector<int64_t>{4, 9, 2}));
  EXPECT_DOUBLE_EQ(words[0].score, 0.75);
  EXPECT_DOUBLE_EQ(words[1].score, 0.5);
  EXPECT_EQ(words[1].document_key, 2);
  EXPECT_EQ(words[2].score, 0);
  const Hits near = {{4, 1, 1.0001F}, {9, 2, 0.25F}, {2, 3, -0.5F}};
  const auto meaning = rank_dense(near);
  EXPECT_EQ(meaning[0].score, 1);
  EXPECT_EQ(meaning[1].score, 0.25);
  EXPECT_EQ(meaning[2].score, 0);
}

/// Random lists: every chunk once, falling scores in [0, 1], and a chunk that is better in both lists comes first.
TEST(Fusion, RandomListsKeepEveryChunkOnceAndAgreeWithUnanimity) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::map<int64_t, float>> scores(2);
    std::vector<Hits> lists(2);
    for (size_t side = 0; side < 2; ++side) {
      const size_t count = random() % 200;
      for (size_t i = 0; i < count; ++i) {
        scores[side][static_cast<int64_t>(random() % 250)] = static_cast<float>(random() % 1000) / 1000;
      }
      for (const auto& [key, score] : scores[side]) lists[side].push_back({key, key, score});
      std::ranges::sort(lists[side], [](const auto& a, const auto& b) { return a.score > b.score; });
    }
    std::map<int64_t, float> all = scores[0];
    all.insert(scores[1].begin(), scores[1].end());
    for (const auto kind : {Fusion::scores, Fusion::reciprocal_rank}) {
      const auto ranked = fuse({lists[0], lists[1]}, {kind, 0.4, 60});
      ASSERT_EQ(ranked.size(), all.size());
      std::map<int64_t, double> fused;
      for (size_t i = 0; i < ranked.size(); ++i) {
        ASSERT_TRUE(fused.emplace(ranked[i].chunk_key, ranked[i].score).second);
        ASSERT_TRUE(all.contains(ranked[i].chunk_key));
        ASSERT_TRUE(ranked[i].score >= 0 && ranked[i].score <= 1);
        if (i > 0) ASSERT_LE(ranked[i].score, ranked[i - 1].score);
      }
      for (const auto& a : lists[0]) {
        const auto& b = lists[0].front();
        const bool in_both = scores[1].contains(a.chunk_key) && scores[1].contains(b.chunk_key);
        if (in_both && b.score > a.score && scores[1][b.chunk_key] > scores[1][a.chunk_key]) {
          EXPECT_GE(fused[b.chunk_key], fused[a.chunk_key]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera::rag
