#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "index/index_model.h"
#include "index/retrieval_index.h"

namespace tessera::index {
namespace {

/// Searchers beside an applier that puts, replaces, removes, drops, compacts and saves. Every document has the same
/// number of chunks for life and its word in each, so a search must see all of its chunks or none.
TEST(RetrievalIndexConcurrency, SearchesSeeWholeDocumentsOnly) {
  const auto directory = std::filesystem::path(::testing::TempDir()) / "index_concurrency";
  std::filesystem::remove_all(directory);
  const auto logger = base::silent_logger();
  IndexOptions options{.directory = directory,
                       .compact_dead_share = 0.25,
                       .compact_rows_min = 100,
                       .freeze_rows = 200,
                       .graph_rows = 300,
                       .scanned_rows_max = 200};
  auto index = create_retrieval_index(options, *logger).value();
  constexpr size_t kChunks = 150;  // more than one slice
  constexpr int64_t kDocuments = 12;
  const auto document = [](IndexWorld& world, int64_t sequence, int64_t key) {
    core::StoreChange change = world.put(sequence, 1, key, kChunks, 4);
    auto write = std::make_shared<core::DocumentWrite>(*change.document);
    write->document.head.title = "mark" + std::to_string(key);
    change.document = write;
    return change;
  };
  std::atomic<bool> done{false};
  std::atomic<int> searches{0};
  std::vector<std::thread> searchers;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    searchers.emplace_back([&, seed] {
      IndexWorld world(seed);
      while (!done) {
        const auto key = static_cast<int64_t>(1 + world.below(kDocuments));
        const std::string text = "mark" + std::to_string(key);
        const auto hits = index->search_lexical({1, text, {}, 1000, nullptr});
        if (!hits || (!hits->empty() && hits->size() != kChunks)) {
          ADD_FAILURE() << "a part of a document: " << (hits ? hits->size() : 0);
          return;
        }
        const std::vector<float> vector = world.vector();
        const core::Filter filter = world.filter();
        const auto near = index->search_dense({1, "", vector, 10, world.below(2) == 0 ? &filter : nullptr});
        if (!near) ADD_FAILURE() << near.error().name;
        if (index->stats(1).chunks % static_cast<int64_t>(kChunks) != 0)
          ADD_FAILURE() << "chunks of part of a document";
        ++searches;
      }
    });
  }
  IndexWorld world(77);
  for (int64_t sequence = 1; sequence <= 250 || searches < 50; ++sequence) {
    const auto key = static_cast<int64_t>(1 + world.below(kDocuments));
    const uint64_t dice = world.below(60);
    if (dice == 0) {
      ASSERT_TRUE(index->apply(IndexWorld::drop(sequence, 1)));
    } else if (dice < 12) {
      ASSERT_TRUE(index->apply(IndexWorld::remove(sequence, 1, key)));
    } else {
      ASSERT_TRUE(index->apply(document(world, sequence, key)));
    }
    if (dice == 30) EXPECT_TRUE(index->save());
  }
  done = true;
  for (auto& searcher : searchers) searcher.join();
  index.reset();  // its maintenance writes until then
  std::filesystem::remove_all(directory);
}

/// A saver beside an applier and maintenance; again and again the index ends without warning and is opened with what
/// was saved last, told the changes since, and compared with the model.
TEST(RetrievalIndexConcurrency, SavesBesideChangesLoseNothing) {
  const auto directory = std::filesystem::path(::testing::TempDir()) / "index_saves";
  std::filesystem::remove_all(directory);
  const auto logger = base::silent_logger();
  const IndexOptions options{
      .directory = directory, .compact_rows_min = 100, .freeze_rows = 700, .graph_rows = 300, .scanned_rows_max = 200};
  IndexWorld world(5);
  IndexModel model;
  std::vector<core::StoreChange> history;
  const auto some_change = [&] {
    const auto sequence = static_cast<int64_t>(history.size()) + 1;
    const auto collection = static_cast<int64_t>(1 + world.below(12));  // more than are saved in one turn
    const auto key = static_cast<int64_t>(1 + world.below(40));
    const uint64_t dice = world.below(100);
    if (dice == 0) return IndexWorld::drop(sequence, collection);
    if (dice < 20) return IndexWorld::remove(sequence, collection, key);
    return world.put(sequence, collection % 3 == 0 ? collection : 1, key, 1 + world.below(40));
  };
  int64_t saved = 0;
  for (int life = 0; life < 12; ++life) {
    const auto index = create_retrieval_index(options, *logger).value();
    EXPECT_EQ(index->damage().found, 0) << index->damage().last;
    EXPECT_GE(index->applied_sequence(), saved);
    for (const core::StoreChange& change : history) ASSERT_TRUE(index->apply(change));  // the old ones are ignored
    for (int64_t collection = 1; collection <= 12; ++collection) {
      const std::string text = world.words(4);
      const std::vector<float> vector = world.vector();
      core::IndexQuery query{collection, text, vector, 50, nullptr};
      query.recall = 1;
      ASSERT_EQ(difference(*index->search_lexical(query), model.lexical(query), query.k), "") << "life " << life;
      ASSERT_EQ(difference(*index->search_dense(query), model.dense(query), query.k), "") << "life " << life;
      ASSERT_EQ(index->stats(collection).chunks, model.stats(collection).chunks) << "life " << life;
    }
    std::atomic<bool> done{false};
    std::atomic<int> saves{0};
    std::thread saver([&] {
      while (!done) {
        const int64_t before = index->applied_sequence();
        if (!index->save()) ADD_FAILURE() << "a save failed";
        saved = before;
        ++saves;
      }
    });
    for (int step = 0; step < 150 || saves < 2; ++step) {
      const core::StoreChange change = some_change();
      EXPECT_TRUE(index->apply(change));
      model.apply(change);
      history.push_back(change);
    }
    done = true;
    saver.join();
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tessera::index
