#include "rag/index_feed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "async/run_blocking.h"
#include "base/random.h"
#include "rag/testing/fakes.h"
#include "store/memory/memory_store.h"

namespace tessera::rag {
namespace {

using async::sync_wait;
using State = IndexHealth::State;

struct World {
  base::ManualClock clock;
  store::MemoryStore stores{clock};
  testing::FakeIndex index;
  std::unique_ptr<base::Logger> log = base::silent_logger();
  core::Tenant tenant{"app"};

  core::DocumentStore& documents() { return stores.documents(); }

  core::PutReceipt put(const std::string& id, const std::string& text, const std::string& collection = "default") {
    core::DocumentWrite write;
    write.collection = {tenant, collection};
    write.document.head.document_id = id;
    write.document.head.content_hash = text;
    write.document.text = text;
    core::Chunk chunk;
    chunk.end = static_cast<int64_t>(text.size());
    write.chunks.push_back(chunk);
    write.dimensions = 2;
    write.vectors = {1, 0};
    auto receipt = sync_wait(documents().put_document(std::move(write)));
    EXPECT_TRUE(receipt) << receipt.error().name;
    return *receipt;
  }
  // Key -> version, as the store has it.
  std::map<int64_t, int64_t> stored() {
    std::map<int64_t, int64_t> found;
    core::PageRequest page;
    page.limit = 1000;
    const auto heads = sync_wait(documents().list_documents(tenant, "", page));
    for (const auto& head : heads->items) found[head.key] = head.version;
    return found;
  }
};

TEST(IndexFeed, AppliesWhatTheStoreCommits) {
  World world;
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  const auto receipt = world.put("a", "alpha");
  ASSERT_TRUE(sync_wait(feed.wait_applied(receipt.sequence)));
  EXPECT_EQ(world.index.versions(), world.stored());
  ASSERT_TRUE(sync_wait(world.documents().delete_document(world.tenant, "a")));
  ASSERT_TRUE(sync_wait(feed.wait_current()));
  EXPECT_TRUE(world.index.versions().empty());
  EXPECT_EQ(feed.health().lag(), 0);
}

TEST(IndexFeed, ReplaysWhatTheIndexMissed) {
  World world;
  {
    IndexFeed feed(world.documents(), world.index, *world.log);
    ASSERT_TRUE(feed.start());
    ASSERT_TRUE(sync_wait(feed.wait_ready()));
    world.put("a", "one");
    feed.stop();
    EXPECT_EQ(world.index.saves, 1);
    world.put("a", "two");  // after the stop: only the store has it
    world.put("b", "three");
  }
  EXPECT_NE(world.index.versions(), world.stored());
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  EXPECT_EQ(world.index.versions(), world.stored());
  EXPECT_EQ(world.index.clears, 0);
}

TEST(IndexFeed, RebuildsAnIndexThatIsAheadOfTheStore) {
  World world;
  world.put("a", "one");
  world.index.applied = 99;
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  EXPECT_EQ(world.index.clears, 1);
  EXPECT_EQ(world.index.versions(), world.stored());
}

TEST(IndexFeed, OneApplyErrorRebuildsAndTheSecondFails) {
  World world;
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  world.put("a", "one");
  ASSERT_TRUE(sync_wait(feed.wait_current()));
  {
    const std::lock_guard lock(world.index.mutex);
    world.index.fail_applies = 1;
  }
  world.put("b", "two");
  ASSERT_TRUE(sync_wait(feed.wait_current()));
  EXPECT_EQ(world.index.versions(), world.stored());
  EXPECT_EQ(feed.health().rebuilds, 1);
  ASSERT_TRUE(feed.check_serving());

  {
    const std::lock_guard lock(world.index.mutex);
    world.index.fail_applies = 1;
  }
  world.put("c", "three");
  const auto waited = sync_wait(feed.wait_current());
  ASSERT_FALSE(waited);
  const std::string told = feed.health().error;  // which document, and of what size
  EXPECT_NE(told.find("APPLY_BROKEN: The index broke."), std::string::npos) << told;
  EXPECT_NE(told.find("collection 'default', document 'c' (1 chunks, vectors of 2 dimensions)"), std::string::npos)
      << told;
  EXPECT_EQ(waited.error().message.find("Ask the operator"), std::string::npos);
  EXPECT_NE(waited.error().message.find("/api/health/detailed"), std::string::npos);
  EXPECT_EQ(waited.error().name, "INDEX_FAILED");
  EXPECT_EQ(feed.check_serving().error().code, base::Code::unavailable);
  EXPECT_EQ(feed.health().state, State::failed);
  world.put("d", "four");  // the store goes on

  ASSERT_TRUE(sync_wait(feed.rebuild()));
  ASSERT_TRUE(feed.check_serving());
  EXPECT_EQ(world.index.versions(), world.stored());
}

/// As the port says of it: the index is right but for this document.
TEST(IndexFeed, GoesOnAfterAChangeThatCannotBeTakenInWhole) {
  World world;
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  world.put("a", "one");
  world.put("odd", "%SHAPE one");
  world.put("odd2", "%SHAPE two");
  const auto receipt = world.put("b", "two");
  ASSERT_TRUE(sync_wait(feed.wait_applied(receipt.sequence)));
  ASSERT_TRUE(feed.check_serving());
  EXPECT_EQ(world.index.versions().size(), 2U);
  IndexHealth health = feed.health();
  EXPECT_EQ(health.rebuilds, 0);
  EXPECT_EQ(health.error, "");
  EXPECT_EQ(health.not_whole, 2);
  EXPECT_NE(health.last_not_whole.find("VECTOR_SHAPE: These are no vectors."), std::string::npos);
  EXPECT_NE(health.last_not_whole.find("document 'odd2'"), std::string::npos) << health.last_not_whole;
  ASSERT_TRUE(sync_wait(world.documents().delete_document(world.tenant, "odd")));
  ASSERT_TRUE(sync_wait(feed.rebuild()));
  EXPECT_EQ(feed.health().not_whole, 1);
}

/// Changes are taken from the queue several at once: one that fails among them costs none of the others.
TEST(IndexFeed, AnErrorAmongManyWaitingChangesLosesNone) {
  World world;
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  world.index.hold(true);
  world.put("first", "is being applied");
  for (int i = 0; i < 100; ++i) world.put("d" + std::to_string(i), "text");
  {
    const std::lock_guard lock(world.index.mutex);
    world.index.broken_sequence = 50;
  }
  world.index.hold(false);
  ASSERT_TRUE(sync_wait(feed.wait_current()));
  EXPECT_EQ(world.index.versions(), world.stored());
  EXPECT_EQ(feed.health().rebuilds, 1);
  EXPECT_EQ(feed.health().lag(), 0);
  EXPECT_EQ(feed.health().queued, 0);
}

/// What is being applied still counts for the queue's bounds.
TEST(IndexFeed, BytesAreBoundedAlsoWhileTheyAreApplied) {
  World world;
  IndexFeedOptions options;
  options.queue_bytes_max = 4096;
  IndexFeed feed(world.documents(), world.index, *world.log, options);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  world.index.hold(true);
  std::atomic<int> written{0};
  std::thread writer([&] {
    for (int i = 0; i < 8; ++i) {
      world.put("d" + std::to_string(i), std::string(3000, 'a'));
      ++written;
    }
  });
  while (feed.health().queued < 1) std::this_thread::yield();
  EXPECT_LE(written, 2);
  world.index.hold(false);
  writer.join();
  ASSERT_TRUE(sync_wait(feed.wait_current()));
  EXPECT_EQ(world.index.versions(), world.stored());
}

TEST(IndexFeed, AFullQueueMakesTheWriterWait) {
  World world;
  IndexFeedOptions options;
  options.queue_max = 1;
  IndexFeed feed(world.documents(), world.index, *world.log, options);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  world.index.hold(true);
  std::atomic<int> written{0};
  std::thread writer([&] {
    for (int i = 0; i < 5; ++i) {
      world.put("d" + std::to_string(i), "text");
      ++written;
    }
  });
  // One is being applied, one waits; a third put cannot have returned.
  while (feed.health().queued < 1) std::this_thread::yield();
  EXPECT_LE(written, 2);
  world.index.hold(false);
  writer.join();
  ASSERT_TRUE(sync_wait(feed.wait_current()));
  EXPECT_EQ(world.index.versions(), world.stored());
}

TEST(IndexFeed, StopReleasesABlockedWriterAndWaiters) {
  World world;
  IndexFeedOptions options;
  options.queue_max = 1;
  IndexFeed feed(world.documents(), world.index, *world.log, options);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  world.index.hold(true);
  std::thread writer([&] {
    for (int i = 0; i < 5; ++i) world.put("d" + std::to_string(i), "text");
  });
  while (feed.health().queued < 1) std::this_thread::yield();
  std::thread stopper([&] { feed.stop(); });
  writer.join();
  const auto never = std::async(std::launch::async, [&] { return sync_wait(feed.wait_applied(1000)); });
  world.index.hold(false);
  stopper.join();
  EXPECT_EQ(sync_wait(feed.wait_applied(1000)).error().name, "INDEX_STOPPED");
}

TEST(IndexFeed, WaitsEndAtTheirBounds) {
  World world;
  IndexFeed feed(world.documents(), world.index, *world.log);
  ASSERT_TRUE(feed.start());
  ASSERT_TRUE(sync_wait(feed.wait_ready()));
  async::CancelSource source;
  source.cancel();
  async::WaitBounds bounds;
  bounds.token = source.token();
  EXPECT_EQ(sync_wait(feed.wait_applied(7, bounds)).error().code, base::Code::cancelled);
  async::WaitBounds late;
  late.deadline = base::SystemClock().now();
  EXPECT_EQ(sync_wait(feed.wait_applied(7, late)).error().code, base::Code::deadline);
}

TEST(IndexFeed, SavesAfterEnoughChangesAndWhenIdle) {
  World world;
  IndexFeedOptions options;
  options.save_every_changes = 3;
  options.save_idle = base::Millis(1);
  IndexFeed feed(world.documents(), world.index, *world.log, options);
  ASSERT_TRUE(feed.start());
  world.put("a", "one");
  std::unique_lock lock(world.index.mutex);
  world.index.saved.wait(lock, [&] { return world.index.saves >= 1; });
}

TEST(IndexFeed, AppliesWhileASaveIsUnderWay) {
  World world;
  std::promise<void> began;
  std::promise<void> may_end;
  world.index.on_save = [&, first = true]() mutable {
    if (!std::exchange(first, false)) return;
    began.set_value();
    may_end.get_future().wait();
  };
  IndexFeedOptions options;
  options.save_every_changes = 1;
  IndexFeed feed(world.documents(), world.index, *world.log, options);
  ASSERT_TRUE(feed.start());
  world.put("a", "one");
  began.get_future().wait();
  for (int i = 0; i < 10; ++i) {
    const auto receipt = world.put("b", std::to_string(i));
    ASSERT_TRUE(sync_wait(feed.wait_applied(receipt.sequence)));
  }
  EXPECT_EQ(world.index.versions(), world.stored());
  EXPECT_EQ(feed.health().saves, 0);
  may_end.set_value();
  feed.stop();  // saves what came meanwhile
  EXPECT_EQ(feed.health().saves, 2);
}

// Random writes, apply errors, rebuilds and restarts against the store itself as the model.
TEST(IndexFeed, FollowsRandomHistories) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    World world;
    base::SeededRandom random(seed);
    IndexFeedOptions options;
    options.queue_max = 2;
    options.rebuilds_max = 1000;
    options.save_idle = base::Millis(1);
    auto feed = std::make_unique<IndexFeed>(world.documents(), world.index, *world.log, options);
    ASSERT_TRUE(feed->start());
    for (int step = 0; step < 150; ++step) {
      const std::string id = "doc" + std::to_string(random.below(8));
      const std::string collection = random.below(8) < 4 ? "default" : "other";
      switch (random.below(12)) {
        case 0:
          std::ignore = sync_wait(world.documents().delete_document(world.tenant, collection + id));
          break;
        case 1:
          std::ignore = sync_wait(world.documents().drop_collection({world.tenant, collection}));
          break;
        case 2: {
          const std::lock_guard lock(world.index.mutex);
          world.index.fail_applies = 1;
          break;
        }
        case 3:
          ASSERT_TRUE(sync_wait(feed->rebuild()));
          break;
        case 4:
          feed->stop();
          feed = nullptr;
          feed = std::make_unique<IndexFeed>(world.documents(), world.index, *world.log, options);
          ASSERT_TRUE(feed->start());
          break;
        case 5:
          ASSERT_TRUE(sync_wait(feed->wait_current()));
          EXPECT_EQ(world.index.versions(), world.stored());
          break;
        default:
          world.put(collection + id, std::to_string(random.next()), collection);
      }
    }
    ASSERT_TRUE(sync_wait(feed->wait_current()));
    EXPECT_EQ(world.index.versions(), world.stored());
    feed->stop();
  }
}

// Several writers and waiters at once: for the thread sanitizer, and that no acknowledged change is unseen.
TEST(IndexFeed, WritersAndWaitersOnManyThreads) {
  World world;
  IndexFeedOptions options;
  options.queue_max = 3;
  IndexFeed feed(world.documents(), world.index, *world.log, options);
  ASSERT_TRUE(feed.start());
  std::vector<std::thread> threads;
  std::atomic<int> rebuild_steps{0};  // odd while a rebuild is asked for
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        const auto receipt = world.put("d" + std::to_string(t) + "-" + std::to_string(i % 5), std::to_string(i));
        const int before = rebuild_steps;
        EXPECT_TRUE(sync_wait(feed.wait_applied(receipt.sequence)));
        const int64_t applied = world.index.applied_sequence();
        // Only a rebuild, which begins with an empty index, may hide what was acknowledged (searches are refused
        // meanwhile).
        const bool disturbed = before % 2 == 1 || rebuild_steps != before;
        EXPECT_TRUE(applied >= receipt.sequence || disturbed) << applied << " < " << receipt.sequence;
        std::ignore = feed.health();
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    ++rebuild_steps;
    EXPECT_TRUE(sync_wait(feed.rebuild()));
    ++rebuild_steps;
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(world.index.versions(), world.stored());
}

}  // namespace
}  // namespace tessera::rag
