#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <limits>
#include <thread>

#include "index/index_model.h"
#include "index/retrieval_index.h"

namespace tessera::index {
namespace {

/// What is too large, too small, or gone, through the public door.
class IndexLimitsTest : public ::testing::Test {
 protected:
  IndexLimitsTest() {
    directory_ = std::filesystem::path(::testing::TempDir()) /
                 (std::string("index_limits_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    open();
  }
  ~IndexLimitsTest() override {
    index_.reset();
    std::filesystem::remove_all(directory_);
  }

  /// Small segments and graphs, so that background work runs while the tests do.
  void open() {
    index_.reset();
    IndexOptions options;
    options.directory = directory_;
    options.compact_rows_min = 1000;
    options.freeze_rows = 200;
    options.graph_rows = 300;
    options.scanned_rows_max = 200;
    index_ = create_retrieval_index(options, *logger_).value();
  }
  void apply(const core::StoreChange& change) {
    ASSERT_TRUE(index_->apply(change));
    model_.apply(change);
  }
  void agree(const core::IndexQuery& query) {
    ASSERT_EQ(difference(*index_->search_lexical(query), model_.lexical(query), query.k), "") << query.text;
    ASSERT_EQ(difference(*index_->search_dense(query), model_.dense(query), query.k), "");
    ASSERT_EQ(index_->stats(query.collection_id).chunks, model_.stats(query.collection_id).chunks);
  }
  void agree(IndexWorld& world, int times) {
    for (int i = 0; i < times; ++i) {
      const std::string text = world.words(1 + world.below(4));
      const std::vector<float> vector = world.vector();
      const core::Filter filter = world.filter();
      core::IndexQuery query{1, text, vector, 1 + world.below(30), i % 2 == 0 ? &filter : nullptr};
      query.recall = 1;
      agree(query);
    }
  }
  /// A document of one chunk, in collection 1.
  static core::StoreChange one_chunk(int64_t sequence, int64_t key, std::string text) {
    auto write = std::make_shared<core::DocumentWrite>();
    write->document.text = std::move(text);
    write->chunks.push_back({.key = key,
                             .document_key = key,
                             .end = static_cast<int64_t>(write->document.text.size()),
                             .heading_path = ""});
    core::StoreChange change;
    change.sequence = sequence;
    change.collection_id = 1;
    change.document_key = key;
    change.document = std::move(write);
    return change;
  }

  std::filesystem::path directory_;
  std::unique_ptr<base::Logger> logger_ = base::silent_logger();
  std::unique_ptr<core::RetrievalIndex> index_;
  IndexModel model_;
};

TEST_F(IndexLimitsTest, ADocumentOverManySegmentsComesChangesAndGoes) {
  IndexWorld world(3);
  apply(world.put(1, 1, 1, 10));
  apply(world.put(2, 1, 2, 3000));
  agree(world, 6);
  apply(world.put(3, 1, 2, 1300));
  agree(world, 6);
  ASSERT_TRUE(index_->save());
  apply(IndexWorld::remove(4, 1, 2));
  agree(world, 6);
  ASSERT_TRUE(index_->save());
  open();
  agree(world, 6);
  apply(world.put(5, 1, 2, 700));
  agree(world, 6);
}

TEST_F(IndexLimitsTest, OneChunkOfVeryManyWords) {
  std::string text = "start ";
  for (int i = 0; i < 70'000; ++i) text += "again ";  // more often than 16 bits count
  for (int i = 0; i < 60'000; ++i) text += "different" + std::to_string(i) + ' ';
  apply(one_chunk(1, 1, text));
  apply(one_chunk(2, 2, "once again, and different7"));
  for (const bool reopened : {false, true}) {
    for (const char* query : {"again", "different59999 start", "once again different7"})
      agree({1, query, {}, 5, nullptr});
    ASSERT_TRUE(index_->save());
    if (!reopened) open();
  }
}

TEST_F(IndexLimitsTest, VeryManyTinyDocuments) {
  IndexWorld world(5, 4);
  int64_t sequence = 0;
  for (int64_t key = 1; key <= 6000; ++key) apply(world.put(++sequence, 1, key, key % 50 == 0 ? 0 : 1, 1));
  agree(world, 4);
  for (int64_t key = 1; key <= 6000; key += 2) apply(IndexWorld::remove(++sequence, 1, key));
  agree(world, 4);
  ASSERT_EQ(index_->stats(1).documents, 3000);
}

TEST_F(IndexLimitsTest, AnEmptiedCollectionFindsNothingAndFillsAgain) {
  IndexWorld world(6);
  for (int64_t i = 1; i <= 40; ++i) apply(world.put(i, 1, i, 10));
  for (int64_t i = 1; i <= 40; ++i) apply(IndexWorld::remove(40 + i, 1, i));
  agree(world, 6);
  ASSERT_EQ(index_->stats(1).documents, 0);
  ASSERT_TRUE(index_->save());
  open();
  agree(world, 2);
  apply(world.put(81, 1, 1, 10));
  agree(world, 6);
}

TEST_F(IndexLimitsTest, NumbersWithoutMeasureAreBounded) {
  IndexWorld world(7);
  for (int64_t i = 1; i <= 60; ++i) apply(world.put(i, 1, i, 10));
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  const std::vector<float> vector(20, 0.5F);
  for (const size_t ef : {size_t{0}, size_t{1}, kMost / 40 + 1, kMost}) {
    for (const size_t k : {size_t{0}, size_t{1}, size_t{599}, kMost}) {
      core::IndexQuery query{1, "w1 w2 w3", vector, k, nullptr};
      query.ef = ef;
      const auto found = index_->search_dense(query);
      ASSERT_TRUE(found);
      EXPECT_EQ(found->size(), std::min(k, model_.dense(query).size())) << k << ' ' << ef;
      EXPECT_EQ(index_->search_lexical(query)->size(), std::min(k, model_.lexical(query).size()));
    }
  }
  for (const double recall : {-1.0, 0.0, 1e-300, 2.0, std::numeric_limits<double>::quiet_NaN()}) {
    core::IndexQuery query{1, "", vector, 10, nullptr};
    query.recall = recall;
    EXPECT_EQ(index_->search_dense(query)->size(), 10U) << recall;
  }
}

TEST_F(IndexLimitsTest, AMegabyteOfOperatorsIsBounded) {
  IndexWorld world(8);
  for (int64_t i = 1; i <= 60; ++i) apply(world.put(i, 1, i, 10));
  for (const std::string_view piece : {"\"w1 w2\" ", "+w1 ", "-w9999 ", "w* ", "\"", "+", "w1*w2*"}) {
    std::string text = "w1 w2 ";
    while (text.size() < (1U << 20)) text += piece;
    core::IndexQuery query{1, text, {}, 10, nullptr};
    query.operators = true;
    const auto found = index_->search_lexical(query);
    ASSERT_TRUE(found);
    EXPECT_LE(found->size(), 10U);
  }
}

/// Every generation of the collection is one document of so many chunks, all with its mark.
TEST_F(IndexLimitsTest, ACollectionDeletedDuringSearchesIsWholeOrGone) {
  constexpr size_t kChunks = 300;
  std::atomic<bool> done = false;
  std::atomic<int> found = 0;
  std::vector<std::thread> searchers;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    searchers.emplace_back([&, seed] {
      IndexWorld world(seed);
      while (!done) {
        const auto hits = index_->search_lexical({1, "mark", {}, 1000, nullptr});
        const std::vector<float> vector = world.vector();
        const auto near = index_->search_dense({1, "", vector, 10, nullptr});
        if (!hits || !near || (!hits->empty() && hits->size() != kChunks)) ADD_FAILURE() << "part of a collection";
        found += hits && !hits->empty() ? 1 : 0;
      }
    });
  }
  IndexWorld world(9);
  int64_t sequence = 0;
  for (int round = 0; round < 30 || found < 20; ++round) {
    core::StoreChange change = world.put(++sequence, 1, 1, kChunks, 4);
    auto write = std::make_shared<core::DocumentWrite>(*change.document);
    write->document.head.title = "mark";
    change.document = std::move(write);
    EXPECT_TRUE(index_->apply(change));
    if (round % 5 == 0) EXPECT_TRUE(index_->save());
    EXPECT_TRUE(index_->apply(IndexWorld::drop(++sequence, 1)));
  }
  done = true;
  for (std::thread& searcher : searchers) searcher.join();
  EXPECT_EQ(index_->total_stats().chunks, 0);
}

}  // namespace
}  // namespace tessera::index
