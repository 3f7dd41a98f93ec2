#include "rag/directory_ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/shards.h"
#include "rag/testing/memory_tree.h"
#include "rag/testing/world.h"

namespace tessera::rag {
namespace {

using async::sync_wait;
using ::testing::ElementsAre;

struct DirectoryWorld : testing::RagWorld {
  testing::MemoryTree files;
  async::Shards shards{1};
  TaskRegistry tasks{stores.tasks(), clock, ids, *log};
  std::unique_ptr<DirectoryIngest> directories = make();

  DirectoryWorld() { clock.advance(base::Millis(10000)); }
  ~DirectoryWorld() { EXPECT_TRUE(directories->stop()); }

  std::unique_ptr<DirectoryIngest> make() {
    DirectoryOptions options;
    options.allowed_roots = {"/vault"};
    options.settle = base::Millis(1);
    options.poll_every = base::Millis(1);
    options.parallel = 3;
    return std::make_unique<DirectoryIngest>(DirectoryParts{stores.documents(), parser, ingest, library, feed, tasks,
                                                            files, pool, clock, *log, shards.executor(0)},
                                             options);
  }
  base::Result<core::TaskRecord> start(const std::string& path, bool watch = false) {
    return sync_wait(directories->start(context, {.path = path, .watch = watch}));
  }
  // The record once `until` holds for it.
  core::TaskRecord wait(const std::string& id, const std::function<bool(const TaskSnapshot&)>& until) {
    uint64_t after = 0;
    while (true) {
      const auto snapshot = sync_wait(tasks.follow(context.tenant, id, after));
      EXPECT_TRUE(snapshot);
      if (until(*snapshot) || snapshot->finished) return snapshot->record;
      after = snapshot->revision;
    }
  }
  core::TaskRecord finish(const std::string& id) {
    return wait(id, [](const TaskSnapshot& snapshot) { return snapshot.finished; });
  }
  core::TaskRecord run(const std::string& path = "/vault") {
    const auto task = start(path);
    EXPECT_TRUE(task);
    return finish(task->task_id);
  }
  // Path -> text of what the store has.
  std::map<std::string, std::string> stored() {
    std::map<std::string, std::string> out;
    core::PageRequest page;
    page.limit = 1000;
    const auto heads = sync_wait(stores.documents().list_documents(context.tenant, "", page));
    for (const auto& head : heads->items) {
      out[head.source.substr(std::string("/vault/").size())] =
          sync_wait(stores.documents().load_document(context.tenant, head.document_id))->text;
    }
    return out;
  }
};

TEST(Directory, TakesInWhatIsKnownAndRecordsFailures) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.files.write("sub/b.md", "beta");
  world.files.write("c.md", "%BROKEN");
  world.files.write("empty.md", " ");
  world.files.write("picture.png", "no document");
  const auto record = world.run();
  EXPECT_EQ(record.state, "done");
  EXPECT_EQ(record.total, 4);
  EXPECT_EQ(record.done, 4);
  EXPECT_EQ(record.added, 2);
  EXPECT_EQ(record.failed, 1);
  ASSERT_EQ(record.failures.size(), 1U);
  EXPECT_EQ(record.failures[0].item, "c.md");
  EXPECT_EQ(record.failures[0].error.name, "UNREADABLE_DOCUMENT");
  EXPECT_EQ(world.stored(), (std::map<std::string, std::string>{{"a.md", "alpha"}, {"sub/b.md", "beta"}}));
  EXPECT_EQ(sync_wait(world.stores.tasks().find_task(world.context.tenant, record.task_id))->state, "done");
}

TEST(Directory, ASecondPassReadsOnlyWhatChanged) {
  DirectoryWorld world;
  for (int i = 0; i < 20; ++i) world.files.write(std::to_string(i) + ".md", "text " + std::to_string(i));
  world.run();
  const int reads = world.files.reads();
  world.files.write("3.md", "other");
  world.files.remove("4.md");
  const auto record = world.run();
  EXPECT_EQ(world.files.reads(), reads + 1);
  EXPECT_EQ(record.updated, 1);
  EXPECT_EQ(record.deleted, 1);
  EXPECT_EQ(record.unchanged, 18);
  EXPECT_EQ(world.stored(), world.files.files());
}

TEST(Directory, AfterARestartNothingUnchangedIsRead) {
  DirectoryWorld world;
  for (int i = 0; i < 70; ++i) world.files.write(std::to_string(i) + ".md", "text " + std::to_string(i));
  EXPECT_EQ(world.run().added, 70);
  ASSERT_TRUE(world.directories->stop());
  world.directories = world.make();
  const int reads = world.files.reads();
  world.files.write("3.md", "other");
  const auto record = world.run();
  EXPECT_EQ(world.files.reads(), reads + 1);
  EXPECT_EQ(record.updated, 1);
  EXPECT_EQ(record.unchanged, 69);
  EXPECT_EQ(record.done, 70);
}

TEST(Directory, ATouchedFileIsReadOnce) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.run();
  const auto head = [&] {
    core::PageRequest page;
    return sync_wait(world.stores.documents().list_documents(world.context.tenant, "", page))->items.at(0);
  };
  const auto before = head();
  world.files.write("a.md", "alpha");
  const int reads = world.files.reads();
  EXPECT_EQ(world.run().unchanged, 1);
  EXPECT_EQ(world.files.reads(), reads + 1);
  EXPECT_EQ(world.run().unchanged, 1);
  EXPECT_EQ(world.files.reads(), reads + 1);
  EXPECT_EQ(head().version, before.version);
}

TEST(Directory, AFileChangedJustBeforeTheWalkIsReadAgain) {
  DirectoryWorld world;
  const int64_t now = world.clock.unix_ms() * 1'000'000;
  world.files.write("young.md", "alpha");
  world.files.set_modified("young.md", now - 1'999'000'000);
  world.files.write("future.md", "beta");
  world.files.set_modified("future.md", now + 1'000'000'000'000);
  world.files.write("old.md", "gamma");
  world.files.set_modified("old.md", now - 2'000'000'000);
  world.run();
  int reads = world.files.reads();
  // Within the same granule: other content, the same times and size.
  world.files.rewrite_unseen("young.md", "delta");
  EXPECT_EQ(world.run().updated, 1);
  EXPECT_EQ(world.files.reads(), reads + 2);
  EXPECT_EQ(world.stored(), world.files.files());
  // Old enough now: read once more, then believed.
  world.clock.advance(base::Millis(5000));
  world.run();
  reads = world.files.reads();
  world.run();
  EXPECT_EQ(world.files.reads(), reads + 1);  // the one from the future
}

/// As the command line and uploads name a file.
TEST(Directory, AFileTakenInByOthersIsKnown) {
  DirectoryWorld world;
  world.files.write("sub/a.md", "alpha");
  IngestRequest upload;
  upload.bytes = "alpha";
  upload.name = "a.md";
  upload.source = "/vault/sub/a.md";
  upload.metadata["path"] = std::string("sub/a.md");
  ASSERT_TRUE(sync_wait(world.ingest.ingest(world.context, upload)));
  const auto scanned = sync_wait(world.directories->scan(world.context, {.path = "/vault"}));
  ASSERT_TRUE(scanned);
  EXPECT_EQ(scanned->unchanged, 1);
  EXPECT_EQ(scanned->modified, 0);
  EXPECT_EQ(world.run().unchanged, 1);
  EXPECT_EQ(world.stored().size(), 1U);

  // With the file's stamp it need not even be read.
  upload.bytes = "beta";
  world.files.write("sub/a.md", "beta");
  const auto walked = world.files.walk("/vault", {}, [](std::string_view) { return true; }, {});
  upload.source_stamp = lasting_stamp(walked->files[0], int64_t{10} * 1'000'000'000);
  ASSERT_NE(upload.source_stamp, 0U);
  ASSERT_TRUE(sync_wait(world.ingest.ingest(world.context, upload)));
  const int reads = world.files.reads();
  EXPECT_EQ(world.run().unchanged, 1);
  EXPECT_EQ(world.files.reads(), reads);
}

TEST(Directory, ContentThatCameAnotherWayIsNotTakenForTheFiles) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.run();
  IngestRequest upload;
  upload.bytes = "from elsewhere";
  upload.name = "a.md";
  upload.source = "/vault/a.md";
  ASSERT_EQ(world.take_in(upload)->outcome, core::PutOutcome::updated);
  EXPECT_EQ(world.run().updated, 1);
  EXPECT_EQ(world.stored(), world.files.files());
  ASSERT_TRUE(sync_wait(world.library.remove(world.context, world.ingest.default_id(upload))));
  EXPECT_EQ(world.run().added, 1);
  EXPECT_EQ(world.stored(), world.files.files());
}

TEST(Directory, ManyDeletionsAreNotSearchableAfterwards) {
  DirectoryWorld world;
  for (int i = 0; i < 600; ++i) world.files.write(std::to_string(i) + ".md", "heron " + std::to_string(i));
  EXPECT_EQ(world.run().added, 600);
  for (int i = 0; i < 600; ++i) world.files.remove(std::to_string(i) + ".md");
  EXPECT_EQ(world.run().deleted, 600);
  EXPECT_TRUE(world.search("heron")->passages.empty());
}

TEST(Directory, AnUnreadableFileKeepsItsDocumentAndIsTold) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.files.write("b.md", "beta");
  world.run();
  world.files.write("a.md", "alpha two");
  world.files.set_unreadable("a.md");
  const auto record = world.run();
  EXPECT_EQ(record.failed, 1);
  EXPECT_EQ(record.failures.at(0).item, "a.md");
  EXPECT_EQ(record.deleted, 0);
  EXPECT_EQ(world.stored().at("a.md"), "alpha");
}

TEST(Directory, AWalkThatWasCutShortDeletesNothing) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.files.write("b.md", "beta");
  world.run();
  world.files.remove("a.md");
  world.files.set_complete(false);
  EXPECT_EQ(world.run().deleted, 0);
  world.files.set_complete(true);
  EXPECT_EQ(world.run().deleted, 1);
}

TEST(Directory, AFileThatBecomesEmptyIsNotFoundAnyMore) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.run();
  world.files.write("a.md", "");
  EXPECT_EQ(world.run().deleted, 1);
  EXPECT_TRUE(world.stored().empty());
}

TEST(Directory, OnlyAllowedRoots) {
  DirectoryWorld world;
  const auto refusal = [&](const std::string& path) {
    const auto task = world.start(path);
    return task ? "allowed" : task.error().name;
  };
  EXPECT_EQ(refusal("/secret"), "DIRECTORY_NOT_ALLOWED");
  EXPECT_EQ(refusal("/link"), "DIRECTORY_NOT_ALLOWED");
  EXPECT_EQ(refusal("/absent"), "DIRECTORY_NOT_ALLOWED");  // does not tell what exists
  EXPECT_EQ(refusal("/vault/../secret"), "DIRECTORY_NOT_ALLOWED");
  EXPECT_EQ(refusal("vault"), "INVALID_PATH");
  EXPECT_EQ(refusal(""), "INVALID_PATH");
  EXPECT_EQ(sync_wait(world.directories->scan(world.context, {.path = "/secret"})).error().code, base::Code::forbidden);
}

TEST(Directory, ScanTellsDifferencesAndChangesNothing) {
  DirectoryWorld world;
  world.files.write("same.md", "same");
  world.files.write("old.md", "old");
  world.files.write("gone.md", "gone");
  world.run();
  world.files.write("same.md", "same");  // touched, not changed
  world.files.write("old.md", "changed");
  world.files.write("new.md", "new");
  world.files.remove("gone.md");
  const auto before = world.stored();
  const auto report = sync_wait(world.directories->scan(world.context, {.path = "/vault"}));
  ASSERT_TRUE(report);
  EXPECT_THAT(report->added_paths, ElementsAre("new.md"));
  EXPECT_THAT(report->modified_paths, ElementsAre("old.md"));
  EXPECT_THAT(report->deleted_paths, ElementsAre("gone.md"));
  EXPECT_EQ(report->unchanged, 1);
  EXPECT_EQ(world.stored(), before);
}

TEST(Directory, WatchingFollowsChangesUntilCancelled) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  const auto task = world.start("/vault", true);
  ASSERT_TRUE(task);
  world.wait(task->task_id, [](const TaskSnapshot& s) { return s.record.state == "watching"; });
  world.files.write("b.md", "beta");
  world.wait(task->task_id, [](const TaskSnapshot& s) { return s.record.added == 2; });
  world.files.remove("a.md");
  world.wait(task->task_id, [](const TaskSnapshot& s) { return s.record.deleted == 1; });
  EXPECT_EQ(world.stored(), world.files.files());
  EXPECT_EQ(world.start("/vault", true)->task_id, task->task_id);  // the same wish is the same task
  ASSERT_TRUE(sync_wait(world.tasks.cancel(world.context.tenant, task->task_id)));
  EXPECT_EQ(world.finish(task->task_id).state, "cancelled");
}

TEST(Directory, WatchingOutlivesAMissingDirectoryAndARestart) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  const auto task = world.start("/vault", true);
  world.wait(task->task_id, [](const TaskSnapshot& s) { return s.record.state == "watching"; });
  world.files.set_gone(true);
  world.files.write("x.md", "ring the bell");
  world.wait(task->task_id, [](const TaskSnapshot& s) { return !s.record.error.empty(); });
  EXPECT_EQ(world.stored().size(), 1U);
  world.files.set_gone(false);
  world.wait(task->task_id, [](const TaskSnapshot& s) { return s.record.added == 2; });

  ASSERT_TRUE(world.directories->stop());
  EXPECT_EQ(sync_wait(world.stores.tasks().find_task(world.context.tenant, task->task_id))->state, "watching");
  world.files.write("b.md", "while it was down");
  world.directories = world.make();
  ASSERT_TRUE(sync_wait(world.directories->resume()));
  world.wait(task->task_id, [](const TaskSnapshot& s) { return s.record.added == 1; });
  EXPECT_EQ(world.stored(), world.files.files());
}

TEST(Directory, ReindexRebuildsFromTheStore) {
  DirectoryWorld world;
  world.files.write("a.md", "alpha");
  world.run();
  {
    const std::lock_guard lock(world.index.mutex);
    world.index.documents.clear();  // as if damaged
  }
  EXPECT_TRUE(world.search("alpha")->passages.empty());
  const auto task = sync_wait(world.directories->reindex(world.context, "default"));
  ASSERT_TRUE(task);
  const auto record = world.finish(task->task_id);
  EXPECT_EQ(record.state, "done");
  EXPECT_EQ(record.unchanged, 1);
  EXPECT_EQ(world.search("alpha")->passages.size(), 1U);
  EXPECT_EQ(sync_wait(world.directories->reindex(world.context, "typo")).error().name, "COLLECTION_NOT_FOUND");
}

// Random changes of the tree between passes; the store must equal the tree after each.
TEST(Directory, RandomTreesAreMirrored) {
  DirectoryWorld world;
  base::SeededRandom random(11);
  for (int pass = 0; pass < 25; ++pass) {
    for (uint64_t i = random.below(6); i > 0; --i) {
      const std::string path = "f" + std::to_string(random.below(10)) + ".md";
      if (random.below(3) == 0) {
        world.files.remove(path);
      } else {
        world.files.write(path, "text " + std::to_string(random.below(4)));
      }
    }
    EXPECT_EQ(world.run().state, "done");
    ASSERT_EQ(world.stored(), world.files.files()) << "pass " << pass;
  }
}

}  // namespace
}  // namespace tessera::rag
