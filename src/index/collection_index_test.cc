#include "index/collection_index.h"

#include <gtest/gtest.h>

#include "index/index_model.h"

namespace tessera::index {
namespace {

class CollectionIndexTest : public testing::Test {
 protected:
  /// All background work there is.
  static void maintain(CollectionIndex& index) {
    const std::atomic<bool> stop{false};
    while (true) {
      const base::Result<bool> segments = index.maintain_segments(stop);
      const base::Result<bool> vectors = index.maintain_vectors();
      ASSERT_TRUE(segments && vectors);
      if (!*segments && !*vectors) return;
    }
  }
  FileStore files_{std::filesystem::path()};
};

TEST_F(CollectionIndexTest, PruningChangesNoBitOfAnyHit) {
  for (const uint64_t seed : {11, 12, 13, 14}) {
    IndexWorld world(seed, 1);
    CollectionOptions options;
    options.lexical.freeze_rows = 2000;
    CollectionIndex index(files_, options);
    int64_t document = 0;
    while (document < 400) {
      ++document;
      ASSERT_TRUE(index.put(document, *world.put(0, 1, document, 30, 5 + world.below(40)).document));
      if (document % 150 == 0) maintain(index);
    }
    for (int64_t gone = 5; gone < document; gone += 7) index.remove(gone);
    for (int round = 0; round < 100; ++round) {
      const std::string text = world.words(1 + world.below(round % 10 == 0 ? 200 : 16));
      const core::Filter filter = world.filter();
      const core::IndexQuery query{1, text, {}, 1 + world.below(100), round % 3 == 0 ? &filter : nullptr};
      const auto pruned = index.search_lexical(query, Pruning::on);
      const auto plain = index.search_lexical(query, Pruning::off);
      ASSERT_EQ(pruned.size(), plain.size());
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(pruned[i].chunk_key, plain[i].chunk_key) << "seed " << seed << " round " << round << " place " << i;
        ASSERT_EQ(pruned[i].score, plain[i].score);
      }
    }
  }
}

TEST_F(CollectionIndexTest, EqualScoresComeInOrderOfArrival) {
  CollectionIndex index(files_, {});
  for (int64_t i = 0; i < 500; ++i) {
    core::DocumentWrite write;
    write.document.text = "same words everywhere";
    write.chunks.push_back({.key = 10000 + i * 3, .document_key = i, .end = 21, .heading_path = ""});
    ASSERT_TRUE(index.put(i, write));
  }
  const auto hits = index.search_lexical({1, "same words", {}, 7, nullptr});
  ASSERT_EQ(hits.size(), 7U);
  for (size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(hits[i].chunk_key, 10000 + static_cast<int64_t>(i) * 3);
}

TEST_F(CollectionIndexTest, OneDocumentOfManyChunksAppearsAndGoesWhole) {
  IndexWorld world(5, 16);
  CollectionIndex index(files_, {});
  ASSERT_TRUE(index.put(1, *world.put(0, 1, 1, 3000).document));
  EXPECT_EQ(index.stats().chunks, 3000);
  ASSERT_TRUE(index.put(1, *world.put(0, 1, 1, 700).document));
  EXPECT_EQ(index.stats().chunks, 700);
  const auto compact = CollectionIndex::compacted(index.plan_compaction()).value();
  EXPECT_EQ(compact->row_counts().rows, 700U);
  EXPECT_EQ(compact->stats().documents, 1);
  index.remove(1);
  EXPECT_EQ(index.stats().chunks, 0);
  EXPECT_TRUE(index.search_lexical({1, "w1", {}, 7, nullptr}).empty());
  EXPECT_FALSE(compact->search_lexical({1, "w1", {}, 7, nullptr}).empty());
}

TEST_F(CollectionIndexTest, OperatorsAreReadWhenAskedForOnly) {
  CollectionIndex index(files_, {});
  int64_t key = 0;
  for (const char* text : {"red fox", "fox red", "red wolf", "foxglove"}) {
    ++key;
    core::DocumentWrite write;
    write.document.text = text;
    write.chunks.push_back(
        {.key = key, .document_key = key, .end = static_cast<int64_t>(write.document.text.size()), .heading_path = ""});
    ASSERT_TRUE(index.put(key, write));
  }
  const auto found = [&](std::string_view text, bool operators) {
    core::IndexQuery query{.collection_id = 1, .text = text, .vector = {}, .k = 10};
    query.operators = operators;
    std::vector<int64_t> keys;
    for (const auto& hit : index.search_lexical(query)) keys.push_back(hit.chunk_key);
    std::ranges::sort(keys);
    return keys;
  };
  EXPECT_EQ(found("\"red fox\"", true), (std::vector<int64_t>{1}));
  EXPECT_EQ(found("\"red fox\"", false), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(found("red -wolf", true), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(found("red -wolf", false), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(found("fox*", true), (std::vector<int64_t>{1, 2, 4}));
  EXPECT_EQ(found("+fox red", true), (std::vector<int64_t>{1, 2}));
}

}  // namespace
}  // namespace tessera::index
