#include "rag/task_registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "async/run_blocking.h"
#include "base/random.h"
#include "store/memory/memory_store.h"

namespace tessera::rag {
namespace {

using async::sync_wait;

struct World {
  base::ManualClock clock;
  base::SeededRandom random{1};
  base::IdSource ids{clock, random};
  std::unique_ptr<base::Logger> log = base::silent_logger();
  store::MemoryStore stores{clock};
  TaskRegistry tasks{stores.tasks(), clock, ids, *log, {.running_max = 2, .finished_max = 1}};
  core::Tenant tenant{"app"};

  std::shared_ptr<TaskRegistry::Handle> begin() {
    auto handle = sync_wait(tasks.begin(tenant, {}));
    EXPECT_TRUE(handle);
    return *handle;
  }
  core::TaskRecord stored(const std::string& id) { return *sync_wait(stores.tasks().find_task(tenant, id)); }
};

TEST(TaskRegistry, FollowersSeeTheLatestStateAndTheEnd) {
  World world;
  const auto task = world.begin();
  const auto id = task->record().task_id;
  const auto first = sync_wait(world.tasks.follow(world.tenant, id, 0));
  task->update([](core::TaskRecord& record) { record.done = 1; });
  task->update([](core::TaskRecord& record) { record.done = 2; });
  const auto second = sync_wait(world.tasks.follow(world.tenant, id, first->revision));
  EXPECT_EQ(second->record.done, 2);
  async::WaitBounds bounds;
  bounds.deadline = base::SystemClock().now();
  EXPECT_EQ(sync_wait(world.tasks.follow(world.tenant, id, second->revision, bounds)).error().code,
            base::Code::deadline);
  sync_wait(task->finish("done"));
  EXPECT_TRUE(sync_wait(world.tasks.follow(world.tenant, id, ~0ULL))->finished);
  EXPECT_EQ(world.stored(id).state, "done");
  EXPECT_EQ(sync_wait(world.tasks.find({"other"}, id)).error().name, "TASK_NOT_FOUND");
}

TEST(TaskRegistry, IsBoundedAndReadsOldTasksFromTheStore) {
  World world;
  const auto a = world.begin();
  const auto b = world.begin();
  EXPECT_EQ(sync_wait(world.tasks.begin(world.tenant, {})).error().name, "TOO_MANY_TASKS");
  sync_wait(a->finish("done"));
  sync_wait(b->finish("failed", "Because."));
  EXPECT_EQ(sync_wait(world.tasks.find(world.tenant, a->record().task_id))->record.state, "done");
  EXPECT_EQ(sync_wait(world.tasks.list(world.tenant, {}))->items.size(), 2U);
}

TEST(TaskRegistry, ProgressIsPersistedNowAndThen) {
  World world;
  const auto task = world.begin();
  task->update([](core::TaskRecord& record) { record.done = 5; });
  sync_wait(task->persist_if_due());
  EXPECT_EQ(world.stored(task->record().task_id).done, 0);
  world.clock.advance(base::Millis(1000));
  sync_wait(task->persist_if_due());
  EXPECT_EQ(world.stored(task->record().task_id).done, 5);
}

TEST(TaskRegistry, CancelFiresTheTokenAndFailuresAreBounded) {
  World world;
  const auto task = world.begin();
  for (int i = 0; i < 300; ++i) task->fail_item("f", base::make_error(base::Code::unreadable, "X", "x"));
  EXPECT_EQ(task->record().failed, 300);
  EXPECT_EQ(task->record().failures.size(), core::kTaskFailuresMax);
  ASSERT_TRUE(sync_wait(world.tasks.cancel(world.tenant, task->record().task_id)));
  EXPECT_TRUE(task->token().cancelled());
}

TEST(TaskRegistry, RecoverMarksInterruptedAndReturnsWatching) {
  World world;
  core::TaskRecord running;
  running.task_id = "r";
  running.state = "running";
  core::TaskRecord watching;
  watching.task_id = "w";
  watching.state = "watching";
  watching.watch = true;
  ASSERT_TRUE(sync_wait(world.stores.tasks().save_task(world.tenant, running)));
  ASSERT_TRUE(sync_wait(world.stores.tasks().save_task(world.tenant, watching)));
  const auto found = sync_wait(world.tasks.recover());
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ((*found)[0].second.task_id, "w");
  EXPECT_EQ(world.stored("r").state, "interrupted");
}

TEST(TaskRegistry, ADroppedHandleEndsTheTask) {
  World world;
  auto task = world.begin();
  const auto id = task->record().task_id;
  task = nullptr;
  const auto snapshot = sync_wait(world.tasks.follow(world.tenant, id, ~0ULL));
  EXPECT_TRUE(snapshot->finished);
  EXPECT_EQ(snapshot->record.state, "interrupted");
}

TEST(TaskRegistry, FollowersAndWorkersOnManyThreads) {
  World world;
  const auto task = world.begin();
  const auto id = task->record().task_id;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      uint64_t after = 0;
      int64_t done = 0;
      while (true) {
        const auto snapshot = sync_wait(world.tasks.follow(world.tenant, id, after));
        ASSERT_TRUE(snapshot);
        EXPECT_GE(snapshot->record.done, done);
        done = snapshot->record.done;
        after = snapshot->revision;
        if (snapshot->finished) break;
      }
      EXPECT_EQ(done, 1000);
    });
  }
  std::vector<std::thread> workers;
  for (int t = 0; t < 2; ++t) {
    workers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) task->update([](core::TaskRecord& record) { ++record.done; });
    });
  }
  for (auto& worker : workers) worker.join();
  sync_wait(task->finish("done"));
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace tessera::rag
