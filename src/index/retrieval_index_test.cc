#include "index/retrieval_index.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>

#include "index/index_model.h"

namespace tessera::index {
namespace {

class RetrievalIndexTest : public ::testing::Test {
 protected:
  RetrievalIndexTest() {
    directory_ = std::filesystem::path(::testing::TempDir()) /
                 (std::string("index_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
  }
  ~RetrievalIndexTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<core::RetrievalIndex> open(bool with_files = true) {
    IndexOptions options;
    if (with_files) options.directory = directory_;
    options.compact_rows_min = 40;
    if (with_files) {
      // Small enough for segments to be written and merged, and graphs built, while a test runs.
      options.freeze_rows = 40;
      options.graph_rows = 100;
      options.scanned_rows_max = 50;
    }
    return create_retrieval_index(options, *logger_).value();
  }

  std::filesystem::path directory_;
  std::unique_ptr<base::Logger> logger_ = base::silent_logger();
};

TEST_F(RetrievalIndexTest, RandomOperationsAgreeWithTheModel) {
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    IndexWorld world(seed);
    IndexModel model;
    auto index = open();
    index->clear();
    int64_t sequence = 0;
    int64_t next_document = 1;
    const auto both = [&](const core::StoreChange& change) {
      ASSERT_TRUE(index->apply(change));
      model.apply(change);
      ASSERT_EQ(index->applied_sequence(), change.sequence);
    };
    for (int step = 0; step < 1500; ++step) {
      const auto collection = static_cast<int64_t>(1 + world.below(3));
      const auto documents = model.documents(collection);
      const uint64_t dice = world.below(100);
      if (dice < 30 || documents.empty()) {
        both(world.put(++sequence, collection, next_document++, world.below(8)));
      } else if (dice < 40) {
        both(world.put(++sequence, collection, documents[world.below(documents.size())], world.below(8)));
      } else if (dice < 50) {
        both(IndexWorld::remove(++sequence, collection, documents[world.below(documents.size())]));
      } else if (dice == 50 && world.below(4) == 0) {
        both(IndexWorld::drop(++sequence, collection));
      } else if (dice == 51 && world.below(4) == 0) {
        world.set_dimensions(world.dimensions() == 20 ? 24 : 20);  // as when the model changes
      } else if (dice < 55) {
        ASSERT_TRUE(index->save());
        if (world.below(2) == 0) {
          index.reset();
          index = open();
          ASSERT_EQ(index->applied_sequence(), sequence);
        }
      } else {
        const std::string text = world.words(world.below(9));
        const std::vector<float> vector = world.vector();
        const core::Filter filter = world.filter();
        core::IndexQuery query;
        query.collection_id = collection;
        query.text = text;
        query.vector = vector;
        query.k = world.below(10) == 0 ? 100000 : world.below(15);
        query.filter = world.below(2) == 0 ? &filter : nullptr;
        query.recall = 1;
        const auto lexical = index->search_lexical(query);
        ASSERT_TRUE(lexical);
        ASSERT_EQ(difference(*lexical, model.lexical(query), query.k), "") << "step " << step;
        const auto dense = index->search_dense(query);
        const size_t dimensions = model.dimensions(collection);
        ASSERT_EQ(index->dimensions(collection), dimensions) << "step " << step;
        if (dimensions != 0 && dimensions != vector.size()) {
          ASSERT_EQ(dense.error().name, "DIMENSION_MISMATCH");
        } else {
          ASSERT_TRUE(dense);
          ASSERT_EQ(difference(*dense, model.dense(query), query.k), "") << "step " << step;
        }
        const core::IndexStats expected = model.stats(collection);
        const core::IndexStats got = index->stats(collection);
        ASSERT_EQ(got.documents, expected.documents);
        ASSERT_EQ(got.chunks, expected.chunks);
        // Those of removed rows go with merges; several segments are estimated.
        if (got.segments <= 1) ASSERT_GE(got.terms, expected.terms);
        ASSERT_EQ(got.vectors.graph_rows <= got.vectors.rows, true);
      }
    }
  }
}

TEST_F(RetrievalIndexTest, LargerCollectionsAgreeWithTheModel) {
  IndexWorld world(7, 100);
  IndexModel model;
  auto index = open(false);
  for (int64_t i = 1; i <= 150; ++i) {
    const auto change = world.put(i, 1, i, i % 50 == 0 ? 300 : 20, 30);
    ASSERT_TRUE(index->apply(change));
    model.apply(change);
  }
  for (int round = 0; round < 60; ++round) {
    const std::string text = world.words(1 + world.below(round % 3 == 0 ? 40 : 6));
    const std::vector<float> vector = world.vector();
    const core::Filter filter = world.filter();
    const core::IndexQuery query{1, text, vector, 1 + world.below(30), round % 2 == 0 ? &filter : nullptr};
    ASSERT_EQ(difference(*index->search_lexical(query), model.lexical(query), query.k), "");
    ASSERT_EQ(difference(*index->search_dense(query), model.dense(query), query.k), "");
  }
}

TEST_F(RetrievalIndexTest, OldChangesAreIgnored) {
  IndexWorld world(1);
  auto index = open(false);
  ASSERT_TRUE(index->apply(world.put(5, 1, 1, 2)));
  ASSERT_TRUE(index->apply(IndexWorld::drop(5, 1)));
  ASSERT_TRUE(index->apply(IndexWorld::drop(4, 1)));
  EXPECT_EQ(index->stats(1).chunks, 2);
  EXPECT_EQ(index->applied_sequence(), 5);
}

TEST_F(RetrievalIndexTest, UnknownCollectionsAndEmptyQueriesFindNothing) {
  IndexWorld world(1);
  auto index = open(false);
  core::IndexQuery query{9, "w1", {}, 5, nullptr};
  EXPECT_TRUE(index->search_lexical(query)->empty());
  EXPECT_TRUE(index->search_dense(query)->empty());
  ASSERT_TRUE(index->apply(world.put(1, 9, 1, 4)));
  query.text = "  ,.! ";
  EXPECT_TRUE(index->search_lexical(query)->empty());
  query.text = "w1 w2";
  query.k = 0;
  EXPECT_TRUE(index->search_lexical(query)->empty());
  EXPECT_EQ(index->stats(10).chunks, 0);
}

TEST_F(RetrievalIndexTest, WrongDimensionsAreNamed) {
  IndexWorld world(1, 20);
  IndexWorld other(2, 24);
  auto index = open(false);
  ASSERT_TRUE(index->apply(world.put(1, 1, 1, 4)));
  const std::vector<float> vector(24, 1.0F);
  const auto found = index->search_dense({1, "", vector, 3, nullptr});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().name, "DIMENSION_MISMATCH");
  EXPECT_NE(found.error().message.find("24"), std::string::npos);
  EXPECT_NE(found.error().message.find("20"), std::string::npos);

  EXPECT_EQ(found.error().code, base::Code::conflict);
}

/// A collection that is embedded anew, document by document, as reindexing does. Saved, opened and compacted in
/// between.
TEST_F(RetrievalIndexTest, ChangesItsDimensionsWithTheFirstVectorsOfAnotherModel) {
  constexpr int64_t kDocuments = 60;
  IndexWorld former(1, 20);
  IndexWorld other(2, 24);
  auto index = open(true);
  int64_t sequence = 0;
  for (int64_t key = 1; key <= kDocuments; ++key) ASSERT_TRUE(index->apply(former.put(++sequence, 1, key, 4)));
  ASSERT_TRUE(index->apply(former.put(++sequence, 2, 1000, 4)));
  EXPECT_EQ(index->dimensions(1), 20U);
  ASSERT_TRUE(index->save());
  const std::vector<float> old_query(20, 1.0F);
  const std::vector<float> vector(24, 1.0F);
  size_t directed = 0;
  for (int64_t key = 1; key <= kDocuments; ++key) {
    const auto change = other.put(++sequence, 1, key, 4);
    ASSERT_TRUE(index->apply(change));
    for (size_t i = 0; i < 4; ++i) directed += change.document->vectors[i * 24] != 0 ? 1 : 0;
    EXPECT_EQ(index->dimensions(1), 24U);
    if (key % 20 == 7) {
      ASSERT_TRUE(index->save());
      index.reset();
      index = open(true);
      ASSERT_EQ(index->applied_sequence(), sequence);
    }
    EXPECT_EQ(index->search_dense({1, "", vector, 1000, nullptr})->size(), directed);
    EXPECT_EQ(index->stats(1).chunks, kDocuments * 4);  // the others by their words
    EXPECT_EQ(index->search_dense({1, "", old_query, 3, nullptr}).error().name, "DIMENSION_MISMATCH");
  }
  EXPECT_EQ(index->dimensions(2), 20U);
  EXPECT_FALSE(index->search_dense({2, "", old_query, 1000, nullptr})->empty());
}

TEST_F(RetrievalIndexTest, ACollectionWithoutVectorsTakesNewDimensions) {
  IndexWorld world(1, 20);
  IndexWorld other(2, 24);
  auto index = open(false);
  ASSERT_TRUE(index->apply(world.put(1, 1, 1, 4)));
  ASSERT_TRUE(index->apply(IndexWorld::remove(2, 1, 1)));
  ASSERT_TRUE(index->apply(other.put(3, 1, 2, 200)));
  const std::vector<float> vector(24, 1.0F);
  EXPECT_EQ(index->search_dense({1, "", vector, 3, nullptr})->size(), 3U);
}

TEST_F(RetrievalIndexTest, VectorsWithoutDirectionMatchNothing) {
  IndexWorld world(1, 20);
  auto index = open(false);
  auto change = world.put(1, 1, 1, 4);
  auto write = std::make_shared<core::DocumentWrite>(*change.document);
  std::fill(write->vectors.begin(), write->vectors.end(), 0.5F);
  write->vectors[3] = std::numeric_limits<float>::quiet_NaN();
  write->vectors[25] = std::numeric_limits<float>::infinity();
  std::fill(write->vectors.begin() + 40, write->vectors.begin() + 60, 0.0F);
  change.document = write;
  ASSERT_TRUE(index->apply(change));
  std::vector<float> vector(20, 1.0F);
  const auto found = index->search_dense({1, "", vector, 10, nullptr});
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().chunk_key, write->chunks[3].key);
  EXPECT_NEAR(found->front().score, 1.0F, 1e-5);
  vector.assign(20, 0.0F);
  EXPECT_TRUE(index->search_dense({1, "", vector, 10, nullptr})->empty());
  vector[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(index->search_dense({1, "", vector, 10, nullptr}).error().name, "VECTOR_NOT_FINITE");
}

TEST_F(RetrievalIndexTest, VectorsThatDoNotFillTheirRowsAreNamed) {
  IndexWorld world(1, 20);
  auto index = open(false);
  auto change = world.put(1, 1, 1, 4);
  auto write = std::make_shared<core::DocumentWrite>(*change.document);
  write->vectors.pop_back();
  change.document = write;
  EXPECT_EQ(index->apply(change).error().name, "VECTOR_SHAPE");
  EXPECT_EQ(index->stats(1).chunks, 4);
  EXPECT_EQ(index->stats(1).dimensions, 0);
}

TEST_F(RetrievalIndexTest, VectorsMayComeLater) {
  IndexWorld world(1, 20);
  auto index = open(false);
  auto change = world.put(1, 1, 1, 30);
  auto write = std::make_shared<core::DocumentWrite>(*change.document);
  write->vectors.clear();
  write->dimensions = 0;
  change.document = write;
  ASSERT_TRUE(index->apply(change));
  const auto with = world.put(2, 1, 2, 1);
  ASSERT_TRUE(index->apply(with));
  const std::vector<float> vector(20, 1.0F);
  const auto found = index->search_dense({1, "", vector, 10, nullptr});
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().document_key, 2);
}

TEST_F(RetrievalIndexTest, AMegabyteOfQueryIsBounded) {
  IndexWorld world(1);
  auto index = open(false);
  for (int64_t i = 1; i <= 30; ++i) ASSERT_TRUE(index->apply(world.put(i, 1, i, 10, 40)));
  std::string text;
  while (text.size() < (1U << 20)) text += world.words(1000);
  EXPECT_EQ(index->search_lexical({1, text, {}, 10, nullptr})->size(), 10U);
}

TEST_F(RetrievalIndexTest, TitleAndHeadingsFindAChunk) {
  auto index = open(false);
  auto write = std::make_shared<core::DocumentWrite>();
  write->document.head.title = "Gateway";
  write->document.text = "how to start it";
  write->chunks.push_back({.key = 1, .document_key = 1, .end = 15, .heading_path = "Setup > Begin"});
  core::StoreChange change;
  change.sequence = 1;
  change.collection_id = 1;
  change.document_key = 1;
  change.document = write;
  ASSERT_TRUE(index->apply(change));
  const auto start = index->search_lexical({1, "start", {}, 1, nullptr});
  for (const char* word : {"gateway", "setup", "begin"}) {
    const auto found = index->search_lexical({1, word, {}, 1, nullptr});
    ASSERT_EQ(found->size(), 1U) << word;
    EXPECT_EQ(found->front().score, start->front().score) << word;
  }
}

TEST_F(RetrievalIndexTest, MemoryIsCounted) {
  IndexWorld world(3, 64);
  auto index = open(false);
  EXPECT_EQ(index->total_stats().memory_bytes, 0);
  for (int64_t i = 1; i <= 100; ++i) ASSERT_TRUE(index->apply(world.put(i, 1 + i % 2, i, 20)));
  EXPECT_EQ(index->total_stats().chunks, 2000);
  EXPECT_EQ(index->total_stats().memory_bytes, index->stats(1).memory_bytes + index->stats(2).memory_bytes);
  EXPECT_GT(index->total_stats().memory_bytes, 2000 * (64 * 2 + 8));
  EXPECT_LT(index->total_stats().memory_bytes, 2000 * 1500);
  ASSERT_TRUE(index->apply(world.put(101, 3, 101, 1)));
  EXPECT_LT(index->stats(3).memory_bytes, 50'000);  // there may be a collection for every user
}

}  // namespace
}  // namespace tessera::index
