#include "store/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "store/sqlite/connection.h"
#include "store/sqlite/lock_file.h"
#include "store/sqlite/reader_pool.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/sqlite_conversations.h"
#include "store/sqlite/sqlite_documents.h"
#include "store/sqlite/sqlite_keys.h"
#include "store/sqlite/sqlite_ledger.h"
#include "store/sqlite/sqlite_responses.h"
#include "store/sqlite/sqlite_tasks.h"
#include "store/sqlite/write_queue.h"

namespace tessera::store {
namespace {

using base::Code;

std::unexpected<base::Error> cannot_open(const std::string& path, const std::string& why) {
  return base::fail(
      Code::unavailable, "DATABASE_CANNOT_OPEN",
      fmt::format("The database {} cannot be opened: {}. Check the path and that the program may write there.", path,
                  why));
}

/// The absolute path without links, so that two names of one file share one lock; its folder exists afterwards.
base::Result<std::string> prepare_path(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) return cannot_open(path, "this is no file name");
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  if (error) return cannot_open(path, error.message());
  if (std::filesystem::is_directory(whole, error)) return cannot_open(path, "it is a folder");
  std::filesystem::create_directories(whole.parent_path(), error);
  if (error) return cannot_open(path, error.message());
  return whole.string();
}

/// Makes the file, readable for its owner only; SQLite gives its log the same permissions.
base::Result<> create_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    ::close(descriptor);
  } else if (errno != EEXIST) {
    return cannot_open(path, std::generic_category().message(errno));
  }
  return {};
}

base::Result<> sync(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) return cannot_open(path, std::generic_category().message(errno));
  const int failed = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (failed != 0) return cannot_open(path, std::generic_category().message(failed));
  return {};
}

/// Makes a missing database whole under another name, without syncing step by step, and gives it its name at the end:
/// two syncs in all, and never half a database under that name. The caller holds the lock.
base::Result<> create_database(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return {};
  const std::string fresh = path + ".new";
  for (const char* const left : {"", "-wal", "-shm"}) std::filesystem::remove(fresh + left, error);
  TESSERA_CHECK(create_file(fresh));
  {
    TESSERA_TRY(const auto connection, Connection::open(fresh, Connection::Mode::read_write));
    TESSERA_CHECK(connection->execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY"));
    TESSERA_CHECK(migrate(*connection, path));
    TESSERA_CHECK(connection->execute("PRAGMA journal_mode = WAL"));
  }
  TESSERA_CHECK(sync(fresh, O_RDONLY));
  std::filesystem::rename(fresh, path, error);
  if (error) return cannot_open(path, error.message());
  return sync(std::filesystem::path(path).parent_path().string(), O_RDONLY | O_DIRECTORY);
}

/// A damaged file is named to the operator at start, unlike later, when the message goes to a client.
base::Error with_path(base::Error error, const std::string& path) {
  error.message = fmt::format("{}: {}", path, error.message);
  return error;
}

base::Result<std::unique_ptr<Connection>> open_writer(const std::string& path, const SqliteOptions& options) {
  TESSERA_TRY(auto connection, Connection::open(path, Connection::Mode::read_write));
  // The page size can be chosen while the file is empty only. Deleted text is overwritten, not just unlinked.
  TESSERA_CHECK(
      connection->execute("PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; "
                          "PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF"));
  TESSERA_CHECK(connection->execute(fmt::format("PRAGMA cache_size = -{}", options.cache_kib).c_str()));
  TESSERA_CHECK(migrate(*connection, path));
  TESSERA_CHECK(
      connection->execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                          "PRAGMA journal_size_limit = 67108864"));
  if (options.pages_max > 0) {
    TESSERA_CHECK(connection->execute(fmt::format("PRAGMA max_page_count = {}", options.pages_max).c_str()));
  }
  return connection;
}

base::Result<std::vector<std::unique_ptr<Connection>>> open_readers(const std::string& path,
                                                                    const SqliteOptions& options) {
  const size_t count = std::max<size_t>(options.readers, 1);
  std::vector<std::unique_ptr<Connection>> readers;
  for (size_t i = 0; i < count; ++i) {
    TESSERA_TRY(auto connection, Connection::open(path, Connection::Mode::read_only));
    TESSERA_CHECK(connection->execute(fmt::format("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; "
                                                  "PRAGMA cache_size = -{}; PRAGMA mmap_size = {}",
                                                  options.cache_kib / static_cast<int64_t>(count), options.mmap_bytes)
                                          .c_str()));
    readers.push_back(std::move(connection));
  }
  return readers;
}

}  // namespace

struct SqliteStore::Parts {
  Parts(LockFile held, std::unique_ptr<ReadCache> kept, std::unique_ptr<WriteQueue> queue,
        std::vector<std::unique_ptr<Connection>> connections, async::BlockingPool& pool, const base::Clock& clock)
      : lock(std::move(held)),
        cache(std::move(kept)),
        writer(std::move(queue)),
        readers(std::move(connections), pool),
        documents(*writer, readers, *cache, clock),
        conversations(*writer, readers, clock),
        tasks(*writer, readers, clock),
        keys(*writer, readers),
        ledger(*writer, readers),
        budgets(*writer, readers),
        responses(*writer, readers) {}

  // In this order: the readers close first, then the writer (which then folds the log into the file), then the lock.
  LockFile lock;
  std::unique_ptr<ReadCache> cache;
  std::unique_ptr<WriteQueue> writer;
  ReaderPool readers;
  SqliteDocuments documents;
  SqliteConversations conversations;
  SqliteTasks tasks;
  SqliteKeys keys;
  SqliteLedger ledger;
  SqliteBudgets budgets;
  SqliteResponses responses;
};

base::Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteOptions options, async::BlockingPool& pool,
                                                             const base::Clock& clock, base::Logger& logger) {
  TESSERA_TRY(const std::string path, prepare_path(options.path));
  TESSERA_TRY(LockFile lock, LockFile::acquire(path));
  TESSERA_CHECK(create_database(path));
  auto writer = open_writer(path, options);
  if (!writer) {
    const bool named = writer.error().message.find(path) != std::string::npos;
    return std::unexpected(named ? writer.error() : with_path(writer.error(), path));
  }
  auto readers = open_readers(path, options);
  if (!readers) return std::unexpected(with_path(readers.error(), path));
  auto cache = std::make_unique<ReadCache>(options.passage_cache_bytes);
  const WriteQueueOptions queue_options{.waiting_max = options.write_queue_max,
                                        .bytes_max = options.write_queue_bytes_max,
                                        .group_max = std::max<size_t>(options.group_max, 1),
                                        .checkpoint_pages = options.checkpoint_pages,
                                        .on_commit = options.on_commit,
                                        .cache = cache.get()};
  auto queue = WriteQueue::start(*std::move(writer), queue_options, clock, logger);
  if (!queue) return std::unexpected(with_path(queue.error(), path));
  return std::unique_ptr<SqliteStore>(new SqliteStore(
      std::make_unique<Parts>(std::move(lock), std::move(cache), *std::move(queue), *std::move(readers), pool, clock)));
}

SqliteStore::SqliteStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

SqliteStore::~SqliteStore() {
  parts_->writer->stop();
}

core::DocumentStore& SqliteStore::documents() {
  return parts_->documents;
}
core::ConversationStore& SqliteStore::conversations() {
  return parts_->conversations;
}
core::TaskStore& SqliteStore::tasks() {
  return parts_->tasks;
}
core::KeyStore& SqliteStore::keys() {
  return parts_->keys;
}
core::Ledger& SqliteStore::ledger() {
  return parts_->ledger;
}
core::BudgetStore& SqliteStore::budgets() {
  return parts_->budgets;
}
core::ResponseOwnerStore& SqliteStore::responses() {
  return parts_->responses;
}

size_t SqliteStore::waiting_writes() const {
  return parts_->writer->waiting();
}

SqliteStats SqliteStore::stats() const {
  const ReaderPool::Stats readers = parts_->readers.stats();
  const ReadCache::Counts cache = parts_->cache->counts();
  return {.connections = readers.connections + 1,
          .connections_busy = readers.busy + (parts_->writer->busy() ? 1 : 0),
          .queries = readers.reads + parts_->writer->total(),
          .cache_hits = cache.hits,
          .cache_misses = cache.misses,
          .cache_bytes = parts_->cache->bytes()};
}

}  // namespace tessera::store
