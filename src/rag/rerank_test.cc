#include "rag/rerank.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tessera::rag {
namespace {

std::vector<int64_t> keys_of(const std::vector<Ranked>& ranked) {
  std::vector<int64_t> keys;
  for (const Ranked& each : ranked) keys.push_back(each.chunk_key);
  return keys;
}

TEST(Rerank, LikenessAndNearnessLiftAPassage) {
  const std::vector<Ranked> ranked{{1, 0.9}, {2, 0.8}, {3, 0.7}};
  const std::vector<core::TokenMatch> alike{{0.2F, 0}, {0.3F, 0}, {0.9F, 0}};
  EXPECT_EQ(keys_of(rerank(ranked, alike)), (std::vector<int64_t>{3, 1, 2}));
  const std::vector<core::TokenMatch> near{{0.5F, 0}, {0.5F, 1}, {0.5F, 0}};
  EXPECT_EQ(keys_of(rerank(ranked, near)), (std::vector<int64_t>{2, 1, 3}));
}

TEST(Rerank, WithoutSignsTheOrderStays) {
  const std::vector<Ranked> ranked{{7, 0.5}, {3, 0.5}, {5, 0.5}};
  EXPECT_EQ(keys_of(rerank(ranked, {})), keys_of(ranked));
  EXPECT_EQ(keys_of(rerank(ranked, std::vector<core::TokenMatch>(3))), keys_of(ranked));
  EXPECT_TRUE(rerank({}, std::vector<core::TokenMatch>(3)).empty());
  EXPECT_DOUBLE_EQ(rerank(ranked, {})[0].score, 0.5);
}

TEST(Rerank, TheBestInEverythingHasScoreOne) {
  const auto ranked = rerank({{1, 1}, {2, 0.1}}, std::vector<core::TokenMatch>{{0.9F, 1}, {0.1F, 0}});
  EXPECT_DOUBLE_EQ(ranked[0].score, 1);
  EXPECT_DOUBLE_EQ(rerank({{1, 1}}, std::vector<core::TokenMatch>{{0.4F, 1}})[0].score, 1);  // also alone
}

/// Whatever the signs: nothing is lost, scores fall within [0, 1], and what was not looked at stays behind, in order.
TEST(Rerank, KeepsEveryPassageAndFallingScores) {
  base::SeededRandom random(11);
  const auto unit = [&] { return static_cast<double>(random.next() % 1001) / 1000; };
  for (int round = 0; round < 500; ++round) {
    std::vector<Ranked> ranked;
    double score = 1;
    const size_t count = random.next() % 40;
    for (size_t i = 0; i < count; ++i) ranked.push_back({static_cast<int64_t>(i), score *= unit()});
    std::vector<core::TokenMatch> matches(random.next() % 30);
    for (auto& match : matches) match = {static_cast<float>(2 * unit() - 1), static_cast<float>(unit())};
    const auto after = rerank(ranked, matches);
    ASSERT_EQ(after.size(), count);
    auto keys = keys_of(after);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_GE(after[i].score, 0);
      EXPECT_LE(after[i].score, 1);
      if (i > 0) EXPECT_LE(after[i].score, after[i - 1].score + 1e-12);
      if (i >= matches.size()) EXPECT_EQ(after[i].chunk_key, static_cast<int64_t>(i));
    }
    std::ranges::sort(keys);
    EXPECT_EQ(keys, keys_of(ranked));
  }
}

TEST(Rerank, ReadsTitleAndHeadingsOnce) {
  core::Passage passage;
  passage.title = "Birds";
  passage.heading_path = "Birds > Herons";
  passage.text = "They wade.";
  EXPECT_EQ(read_for_ranking(passage), "Birds > Herons\nThey wade.");
  passage.heading_path = "Herons";
  EXPECT_EQ(read_for_ranking(passage), "Birds\nHerons\nThey wade.");
  passage.heading_path.clear();
  passage.title.clear();
  EXPECT_EQ(read_for_ranking(passage), "They wade.");
}

}  // namespace
}  // namespace tessera::rag
