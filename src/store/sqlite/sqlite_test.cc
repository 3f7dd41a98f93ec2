// What only the SQLite store has to answer for: its file, its lock, its log, its writer thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <latch>
#include <set>
#include <thread>

#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/sqlite_ledger.h"
#include "store/testing.h"

namespace tessera::store {
namespace {

using async::sync_wait;
using ::testing::HasSubstr;
using testing::make_document;
using testing::ScratchFolder;
using testing::SqliteBox;

base::Error open_error(const std::string& path) {
  const base::ManualClock clock;
  const auto logger = base::silent_logger();
  async::BlockingPool pool;
  auto opened = SqliteStore::open({.path = path}, pool, clock, *logger);
  return opened ? base::make_error(base::Code::internal, "OPENED", "") : opened.error();
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(SqliteFile, IsMadeWithItsFoldersForItsOwnerOnly) {
  const ScratchFolder folder;
  const std::string path = folder.file("a/b/tessera.db");
  const SqliteBox box({.path = path});
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path).permissions(), perms::owner_read | perms::owner_write);
  EXPECT_EQ(std::filesystem::status(path + "-wal").permissions(), perms::owner_read | perms::owner_write);
}

TEST(SqliteFile, WhatIsLeftOfACreationCutShortIsMadeAnew) {
  const ScratchFolder folder;
  const std::string path = folder.file("tessera.db");
  write_file(path + ".new", std::string(5000, 'x'));
  write_file(path + ".new-wal", "rubbish");
  {
    const SqliteBox box({.path = path});
    EXPECT_FALSE(std::filesystem::exists(path + ".new"));
    EXPECT_FALSE(std::filesystem::exists(path + ".new-wal"));
    ASSERT_TRUE(sync_wait(box.store->documents().create_collection({{"app"}, "notes"}, {})));
  }
  SqliteBox again({.path = path});
  EXPECT_TRUE(sync_wait(again.store->documents().find_collection({{"app"}, "notes"})));
}

TEST(SqliteFile, AnEmptyFileBecomesADatabase) {
  const ScratchFolder folder;
  const std::string path = folder.file("tessera.db");
  write_file(path, "");
  const SqliteBox box({.path = path});
  EXPECT_TRUE(sync_wait(box.store->documents().create_collection({{"app"}, "notes"}, {})));
}

TEST(SqliteFile, OfTheFirstSchemaIsBroughtUpToDate) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db")});
  ASSERT_TRUE(sync_wait(box.store->documents().put_document(make_document("a", "c", "d", "text"))).has_value());
  box.store.reset();
  {
    const auto connection = *Connection::open(folder.file("tessera.db"), Connection::Mode::read_write);
    ASSERT_TRUE(connection
                    ->execute("DROP TABLE held_calls; DROP TABLE response_owners; DROP TABLE budgets; DROP TABLE "
                              "usage_days; DROP TABLE "
                              "ledger; DROP TABLE api_keys; "
                              "ALTER TABLE tasks DROP COLUMN key_id; "
                              "DROP INDEX documents_by_source; ALTER TABLE documents DROP COLUMN source_stamp; "
                              "PRAGMA user_version = 1")
                    .has_value());
  }
  box.open();
  auto& documents = box.store->documents();
  const auto records = *sync_wait(documents.list_sources({.tenant = {"a"}, .name = "c"}, "/notes/"));
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].stamp, 0U);
  ASSERT_TRUE(sync_wait(documents.put_document(make_document("a", "c", "e", "more"))).has_value());
  EXPECT_EQ(sync_wait(documents.load_document({"a"}, "d"))->text, "text");
}

TEST(SqliteFile, ItsLedgerIsReadBesideTheStoreThatWritesIt) {
  const ScratchFolder folder;
  EXPECT_FALSE(LedgerFile::open(folder.file("tessera.db")).has_value()) << "nothing is made";
  SqliteBox box({.path = folder.file("tessera.db")});
  for (const char* const app : {"b", "a"}) {
    core::LedgerEntry entry;
    entry.tenant = {app};
    entry.call_id = "1";
    entry.cost = {7};
    ASSERT_TRUE(sync_wait(box.store->ledger().append_entries({entry})).has_value());
  }
  const auto file = LedgerFile::open(folder.file("tessera.db"));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(*(*file)->list_apps(), (std::vector<std::string>{"a", "b"}));
  core::LedgerFilter filter;
  filter.tenant = {"a"};
  EXPECT_EQ((*file)->sum_usage(filter, {core::LedgerGroup::app}, 10)->at(0).cost.pico_usd, 7);
  {
    const auto connection = *Connection::open(folder.file("tessera.db"), Connection::Mode::read_write);
    ASSERT_TRUE(connection->execute("PRAGMA user_version = 5").has_value());
  }
  EXPECT_EQ(LedgerFile::open(folder.file("tessera.db")).error().name, "DATABASE_NOT_OURS");
}

TEST(SqliteWriter, TellsOfEachCommit) {
  const ScratchFolder folder;
  std::atomic<size_t> commits = 0;
  std::atomic<size_t> writes = 0;
  SqliteBox box({.path = folder.file("tessera.db"), .on_commit = [&](size_t count, std::chrono::nanoseconds took) {
                   ++commits;
                   writes += count;
                   EXPECT_GE(took.count(), 0);
                 }});
  ASSERT_TRUE(sync_wait(box.store->documents().put_document(make_document("app", "notes", "a", "text"))));
  ASSERT_TRUE(sync_wait(box.store->documents().put_document(make_document("app", "notes", "b", "text"))));
  EXPECT_EQ(commits, 2U);
  EXPECT_EQ(writes, 2U);
  EXPECT_EQ(box.store->waiting_writes(), 0U);
}

TEST(SqliteFile, IsOpenedByOneStoreAtATimeUnderAnyName) {
  const ScratchFolder folder;
  const std::string path = folder.file("tessera.db");
  SqliteBox box({.path = path});
  EXPECT_EQ(open_error(path).name, "DATABASE_IN_USE");
  EXPECT_THAT(open_error(path).message, HasSubstr(path));
  std::filesystem::create_symlink(path, folder.file("alias.db"));
  EXPECT_EQ(open_error(folder.file("alias.db")).name, "DATABASE_IN_USE");
  box.store.reset();
  EXPECT_EQ(open_error(path).name, "OPENED");
}

TEST(SqliteFile, OtherFilesAreRefusedByNameAndLeftAlone) {
  const ScratchFolder folder;
  const std::string text = folder.file("letter.txt");
  const std::string content(5000, 'x');
  write_file(text, content);
  EXPECT_EQ(open_error(text).name, "DATABASE_DAMAGED");
  EXPECT_THAT(open_error(text).message, HasSubstr(text));
  std::ifstream in(text, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), content);

  const std::string other = folder.file("other.db");
  {
    const auto connection = *Connection::open(other, Connection::Mode::read_write);
    ASSERT_TRUE(connection->execute("CREATE TABLE theirs(x)").has_value());
  }
  EXPECT_EQ(open_error(other).name, "DATABASE_NOT_OURS");
  EXPECT_EQ(open_error(folder.file(".")).name, "DATABASE_CANNOT_OPEN");
  EXPECT_EQ(open_error("").name, "DATABASE_CANNOT_OPEN");
  EXPECT_EQ(open_error(text + "/below-a-file.db").name, "DATABASE_CANNOT_OPEN");
}

TEST(SqliteFile, OfANewerVersionIsRefusedWithAdvice) {
  const ScratchFolder folder;
  const std::string path = folder.file("tessera.db");
  {
    const SqliteBox box({.path = path});
  }
  {
    const auto connection = *Connection::open(path, Connection::Mode::read_write);
    ASSERT_TRUE(connection->execute("PRAGMA user_version = 999").has_value());
  }
  const auto error = open_error(path);
  EXPECT_EQ(error.name, "DATABASE_TOO_NEW");
  EXPECT_THAT(error.message, HasSubstr("made by a newer Tessera (schema 999 > "));
  EXPECT_THAT(error.message, HasSubstr("upgrade the program"));
}

TEST(SqliteFile, DamageIsAnErrorNotACrash) {
  const ScratchFolder folder;
  const std::string path = folder.file("tessera.db");
  {
    SqliteBox box({.path = path});
    for (int i = 0; i < 50; ++i) {
      auto write = make_document("a", "c", "d" + std::to_string(i), std::string(3000, 'x'));
      ASSERT_TRUE(sync_wait(box.store->documents().put_document(write)).has_value());
    }
  }
  const auto size = std::filesystem::file_size(path);
  base::SeededRandom random(11);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  for (size_t at = 4096; at + 8 < size; at += 4096) {
    file.seekp(static_cast<std::streamoff>(at + random.below(64)));
    file << "garbage!";
  }
  file.close();
  // Wherever the damage shows first: at start, or at the first statement that meets it.
  const base::ManualClock clock;
  const auto logger = base::silent_logger();
  async::BlockingPool pool;
  auto opened = SqliteStore::open({.path = path}, pool, clock, *logger);
  if (!opened) {
    EXPECT_EQ(opened.error().name, "DATABASE_DAMAGED");
    EXPECT_THAT(opened.error().message, HasSubstr(path));
    return;
  }
  const auto put = sync_wait((*opened)->documents().put_document(make_document("a", "c", "new", "text")));
  ASSERT_FALSE(put.has_value());
  EXPECT_EQ(put.error().name, "DATABASE_DAMAGED");
}

/// Stops the writer thread inside its listener, so that writes pile up into one group.
class Gate {
 public:
  void listen(core::DocumentStore& store) {
    store.set_listener([this](const core::StoreChange& change) {
      sequences.push_back(change.sequence);
      if (sequences.size() == 1) {
        entered_.count_down();
        released_.wait();
      }
    });
  }
  void wait_entered() { entered_.wait(); }
  void release() { released_.count_down(); }
  std::vector<int64_t> sequences;

 private:
  std::latch entered_{1};
  std::latch released_{1};
};

TEST(SqliteWriter, OneRefusedWriteOfAGroupFailsAlone) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db")});
  auto& documents = box.store->documents();
  Gate gate;
  gate.listen(documents);
  boost::asio::io_context context;
  async::TaskScope scope(context.get_executor());
  std::map<std::string, std::string> outcomes;
  const auto put = [&](std::string collection, std::string id, std::string text) {
    scope.spawn([&, collection, id, text]() -> async::Task<> {
      auto receipt = co_await documents.put_document(make_document("a", collection, id, text));
      outcomes[id + "/" + collection] = receipt ? std::to_string(receipt->sequence) : receipt.error().name;
    });
  };
  put("c", "first", "holds the writer");
  std::thread loop([&] {
    const auto work = boost::asio::make_work_guard(context);
    context.run();
  });
  gate.wait_entered();
  put("c", "x", "text");
  put("new", "x", "wrong collection, which must not be made");
  put("c", "y", "text");
  put("c", "y", "text");  // unchanged by then
  put("c", "z", "text");
  gate.release();
  ASSERT_TRUE(scope.join_blocking());
  context.stop();
  loop.join();
  EXPECT_EQ(outcomes["x/c"], "2");
  EXPECT_EQ(outcomes["x/new"], "DOCUMENT_IN_OTHER_COLLECTION");
  EXPECT_EQ(outcomes["y/c"], "0");  // the second one's
  EXPECT_EQ(outcomes["z/c"], "4");
  EXPECT_EQ(gate.sequences, (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_FALSE(sync_wait(documents.find_collection({.tenant = {"a"}, .name = "new"})).has_value());
  box.open();
  EXPECT_EQ(*box.store->documents().last_sequence(), 4);
}

TEST(SqliteWriter, AFullQueueAnswersExhausted) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db"), .write_queue_max = 2});
  auto& documents = box.store->documents();
  Gate gate;
  gate.listen(documents);
  boost::asio::io_context context;
  async::TaskScope scope(context.get_executor());
  int stored = 0;
  int refused = 0;
  const auto put = [&](std::string id) {
    scope.spawn([&, id]() -> async::Task<> {
      auto receipt = co_await documents.put_document(make_document("a", "c", id, "text of " + id));
      if (receipt) {
        ++stored;
      } else {
        EXPECT_EQ(receipt.error().code, base::Code::exhausted);
        EXPECT_EQ(receipt.error().name, "STORE_BUSY");
        EXPECT_TRUE(receipt.error().retry_after.has_value());
        ++refused;
      }
    });
  };
  put("first");
  std::thread loop([&] {
    const auto work = boost::asio::make_work_guard(context);
    context.run();
  });
  gate.wait_entered();
  for (int i = 0; i < 5; ++i) put(std::to_string(i));
  // The refused are answered while the writer is held; only then may it go on.
  while (scope.running() > 3) std::this_thread::yield();
  gate.release();
  ASSERT_TRUE(scope.join_blocking());
  context.stop();
  loop.join();
  EXPECT_EQ(stored, 3);
  EXPECT_EQ(refused, 3);
}

TEST(SqliteWriter, ManyWritersAreAcknowledgedInOrderWithoutGaps) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db"), .group_max = 7, .checkpoint_pages = 50});
  auto& documents = box.store->documents();
  std::atomic<int64_t> heard{0};
  testing::Follower follower;
  documents.set_listener([&](const core::StoreChange& change) {
    EXPECT_EQ(change.sequence, heard.load() + 1);
    follower.apply(change);
    heard = change.sequence;
  });
  constexpr int kThreads = 4;
  constexpr int kWrites = 150;
  std::mutex mutex;
  std::set<int64_t> sequences;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      int64_t last = 0;
      for (int i = 0; i < kWrites; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i % 20);
        const auto receipt = sync_wait(documents.put_document(
            make_document("app" + std::to_string(t % 2), "c" + std::to_string(t), id, "text " + std::to_string(i))));
        ASSERT_TRUE(receipt.has_value()) << receipt.error().detail;
        EXPECT_GT(receipt->sequence, last);
        EXPECT_LE(receipt->sequence, heard.load()) << "acknowledged before the listener was told";
        last = receipt->sequence;
        const auto back = sync_wait(documents.load_document({"app" + std::to_string(t % 2)}, id));
        ASSERT_TRUE(back.has_value()) << back.error().detail;
        EXPECT_EQ(back->text, "text " + std::to_string(i));
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(sequences.insert(receipt->sequence).second);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sequences.size(), kThreads * kWrites);
  EXPECT_EQ(*sequences.rbegin(), kThreads * kWrites);
  testing::Follower replayed;
  ASSERT_TRUE(documents.replay(0, [&](const auto& change) { replayed.apply(change); }).has_value());
  EXPECT_EQ(replayed.documents, follower.documents);
}

TEST(SqliteWriter, WhatWaitsIsCompletedWhenTheStoreStops) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db")});
  boost::asio::io_context context;
  async::TaskScope scope(context.get_executor());
  std::atomic<int> stored{0};
  for (int i = 0; i < 20; ++i) {
    scope.spawn([&, i]() -> async::Task<> {
      auto receipt = co_await box.store->documents().put_document(
          make_document("a", "c", std::to_string(i), "text " + std::to_string(i)));
      stored += receipt.has_value() ? 1 : 0;
    });
  }
  context.poll();  // all of them are in the queue or done
  box.store.reset();
  context.run();
  EXPECT_EQ(stored, 20);
  box.open();
  EXPECT_EQ(sync_wait(box.store->documents().find_collection({.tenant = {"a"}, .name = "c"}))->documents, 20);
}

TEST(SqliteWriter, AListenerThatThrowsDoesNotStopTheWriter) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db")});
  int told = 0;
  box.store->documents().set_listener([&](const core::StoreChange&) {
    if (++told == 1) throw std::runtime_error("no memory, say");
  });
  for (const char* id : {"one", "two"}) {
    EXPECT_TRUE(sync_wait(box.store->documents().put_document(make_document("a", "c", id, "text"))).has_value());
  }
  EXPECT_EQ(told, 2);
}

TEST(SqliteWriter, AFullDatabaseRefusesByNameAndWorksAgainWhenThereIsSpace) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db"), .pages_max = 300});
  auto& documents = box.store->documents();
  base::SeededRandom random(3);
  std::vector<std::string> stored;
  std::string error;
  for (int i = 0; i < 200 && error.empty(); ++i) {
    const std::string id = std::to_string(i);
    const auto put = sync_wait(documents.put_document(make_document("a", "c", id, std::string(20'000, 'x') + id)));
    if (put) {
      stored.push_back(id);
    } else {
      error = put.error().name;
      EXPECT_EQ(put.error().code, base::Code::unavailable);
      EXPECT_THAT(put.error().message, HasSubstr("Free some space"));
    }
  }
  EXPECT_EQ(error, "STORAGE_FULL");
  ASSERT_GT(stored.size(), 3);
  // Nothing half: the counts are those of the stored.
  const auto collection = *sync_wait(documents.find_collection({.tenant = {"a"}, .name = "c"}));
  EXPECT_EQ(collection.documents, static_cast<int64_t>(stored.size()));
  EXPECT_EQ(*documents.last_sequence(), static_cast<int64_t>(stored.size()));
  ASSERT_TRUE(sync_wait(documents.delete_document({"a"}, stored.front())).has_value());
  ASSERT_TRUE(sync_wait(documents.delete_document({"a"}, stored.back())).has_value());
  const auto put = sync_wait(documents.put_document(make_document("a", "c", "again", std::string(20'000, 'y'))));
  ASSERT_TRUE(put.has_value());
  EXPECT_EQ(put->sequence, static_cast<int64_t>(stored.size()) + 3);
}

TEST(SqliteWriter, AFullGroupLetsItsSmallMembersIn) {
  const ScratchFolder folder;
  SqliteBox box({.path = folder.file("tessera.db"), .pages_max = 300});
  auto& documents = box.store->documents();
  Gate gate;
  gate.listen(documents);
  boost::asio::io_context context;
  async::TaskScope scope(context.get_executor());
  std::map<std::string, std::string> outcomes;
  const auto put = [&](std::string id, size_t bytes) {
    scope.spawn([&, id, bytes]() -> async::Task<> {
      auto receipt = co_await documents.put_document(make_document("a", "c", id, std::string(bytes, 'x')));
      outcomes[id] = receipt ? std::to_string(receipt->sequence) : receipt.error().name;
    });
  };
  put("first", 10);
  std::thread loop([&] {
    const auto work = boost::asio::make_work_guard(context);
    context.run();
  });
  gate.wait_entered();
  put("small", 10);
  put("large", 3'000'000);
  put("also small", 10);
  gate.release();
  ASSERT_TRUE(scope.join_blocking());
  context.stop();
  loop.join();
  EXPECT_EQ(outcomes["small"], "2");
  EXPECT_EQ(outcomes["large"], "STORAGE_FULL");
  EXPECT_EQ(outcomes["also small"], "3");
  EXPECT_EQ(gate.sequences, (std::vector<int64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace tessera::store
