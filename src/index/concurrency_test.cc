#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "index/access.h"
#include "index/filter/document_table_model.h"
#include "index/index_model.h"
#include "index/retrieval_index.h"
#include "index/vector/vector_index_model.h"

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
    if (world.below(70) == 0) world.set_dimensions(world.dimensions() == 20 ? 24 : 20);  // the model is another one
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
      const auto dense = index->search_dense(query);
      const size_t dimensions = model.dimensions(collection);
      ASSERT_EQ(index->dimensions(collection), dimensions) << "life " << life;
      if (dimensions == 0 || dimensions == vector.size()) {
        ASSERT_TRUE(dense);
        ASSERT_EQ(difference(*dense, model.dense(query), query.k), "") << "life " << life;
      } else {
        ASSERT_EQ(dense.error().name, "DIMENSION_MISMATCH") << "life " << life;
      }
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

TEST(VectorIndexConcurrency, IsSearchedWhileItGrowsAndJobsRun) {
  Cloud cloud(32, 10, 0.7F, 3);
  VectorIndex index({.m = 8, .ef_construction = 30, .graph_rows = 300});
  std::vector<Vector> queries;
  for (int i = 0; i < 50; ++i) queries.push_back(cloud.next());
  Access access;  // guards the index and `live`
  std::vector<uint64_t> live(64);
  uint64_t count = 0;
  std::atomic<bool> done = false;
  const std::atomic<bool> stop = false;
  const auto append = [&](Row row) {
    const auto encoded = index.encode(cloud.next(), 1, 32);
    const auto lock = access.write();
    index.append(*encoded);
    live[row / 64] |= uint64_t{1} << (row % 64);
    ++count;
  };
  for (Row row = 0; row < 300; ++row) append(row);  // these stay
  std::vector<std::thread> threads;
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      while (!done) {
        for (const Vector& query : queries) {
          const auto lock = access.read();
          const auto hits = index.search({.vector = query, .k = 10, .ef = 20}, {live, count, false, nullptr});
          EXPECT_EQ(hits->size(), 10U);
          for (const RowHit& hit : *hits) EXPECT_TRUE((live[hit.row / 64] >> (hit.row % 64)) & 1);
        }
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      std::unique_ptr<VectorIndex::Job> job;
      {
        const auto lock = access.read();
        job = index.plan();
      }
      if (job == nullptr) continue;
      job->run(stop);
      const auto lock = access.write();
      index.install(std::move(job));
    }
  });
  for (Row row = 300; row < 4000; ++row) {
    append(row);
    if (row % 3 == 0) continue;
    const auto lock = access.write();
    const Row gone = row - 1 < 300 ? row : row - 1;
    if (((live[gone / 64] >> (gone % 64)) & 1) == 0) continue;
    live[gone / 64] &= ~(uint64_t{1} << (gone % 64));
    --count;
    index.remove(gone, 1);
  }
  done = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(index.vectors(), count);
}

TEST(DocumentTableConcurrency, AnswersManyThreadsAtOnce) {
  TablePair pair(8);
  for (int64_t key = 0; key < 600; ++key) pair.put(key, 2);
  std::vector<core::Filter> filters;
  for (int i = 0; i < 30; ++i) filters.push_back(pair.world.filter());
  for (int round = 0; round < 5; ++round) {
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (const core::Filter& filter : filters)
          wrong += difference(*pair.table, pair.model, &filter).empty() ? 0 : 1;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(wrong, 0);
    for (int i = 0; i < 20; ++i) pair.put(int64_t(pair.world.below(700)), 3);
  }
}

}  // namespace
}  // namespace tessera::index
