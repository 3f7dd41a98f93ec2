// kill -9 and a full disk, on a real process: this program started again with other arguments.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <random>
#include <sstream>

#include "async/run_blocking.h"
#include "async/task_scope.h"
#include "store/sqlite/connection.h"
#include "store/testing.h"

extern char** environ;

namespace tessera::store {
namespace {

using async::sync_wait;
using testing::make_document;
using testing::ScratchFolder;
using testing::SqliteBox;

constexpr int kWriters = 6;
constexpr int kIds = 5;  // of each writer

/// The content that operation `n` gives a document: made from the number alone, long enough for several pages.
core::DocumentWrite content(const std::string& id, int64_t n) {
  base::SeededRandom random(static_cast<uint64_t>(n));
  return make_document("app", "c", id, std::to_string(n) + " " + testing::random_text(random, 5 + random.below(900)));
}

constexpr int64_t kNeverThere = 4;  // as if it had been removed

bool is_removal(int64_t n) {
  return n % 5 == 4;
}

/// Operations of one writer on its own documents, each told before it starts and after it is acknowledged.
async::Task<> write_forever(core::DocumentStore& documents, int writer, int64_t first) {
  for (int64_t n = first;; ++n) {
    const std::string id = std::to_string(writer) + "-" + std::to_string(n % kIds);
    const auto say = [&](const char* what) {
      const std::string line = std::string(what) + " " + id + " " + std::to_string(n) + "\n";
      if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(3);
    };
    say("begin");
    if (is_removal(n)) {
      auto removed = co_await documents.delete_document({"app"}, id);
      if (!removed && removed.error().name != "DOCUMENT_NOT_FOUND") ::_exit(4);
    } else {
      auto receipt = co_await documents.put_document(content(id, n));
      if (!receipt) ::_exit(5);
    }
    say("done");
  }
}

/// Adds keys and revokes every other one, telling what was acknowledged.
async::Task<> keep_keys_forever(core::KeyStore& keys, int64_t first) {
  for (int64_t n = first;; ++n) {
    core::ApiKey key;
    key.tenant = {"app"};
    key.key_id = std::to_string(n);
    key.hash = key.key_id + std::string(32 - key.key_id.size(), '.');
    if (!co_await keys.add_key(key)) ::_exit(6);
    const bool revoked = n % 2 == 0;
    if (revoked && !co_await keys.revoke_key({"app"}, key.key_id, n)) ::_exit(7);
    const std::string line = (revoked ? "revoked " : "added ") + key.key_id + " 0\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(3);
  }
}

/// A child process and what it says.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    std::vector<char*> argv;
    std::string self = std::filesystem::read_symlink("/proc/self/exe");
    argv.push_back(self.data());
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int failed = ::posix_spawn(&pid_, self.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    out_ = ends[0];
    if (failed != 0) throw std::runtime_error("spawn");
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Reads until it has said at least `bytes` more, or has ended.
  void read_some(size_t bytes) {
    char buffer[4096];
    const size_t enough = said_.size() + bytes;
    while (said_.size() < enough) {
      const ssize_t got = ::read(out_, buffer, sizeof(buffer));
      if (got <= 0) return;
      said_.append(buffer, static_cast<size_t>(got));
    }
  }
  void kill_now() { ::kill(pid_, SIGKILL); }
  /// What it said in all, once it has ended.
  const std::string& rest() {
    read_some(std::numeric_limits<size_t>::max() / 2);
    return said_;
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
  std::string said_;
};

/// For each document the operations that may have been the last: the acknowledged one, then the one under way.
using Possible = std::map<std::string, std::vector<int64_t>>;

void read_log(const std::string& said, Possible& possible) {
  std::istringstream lines(said.substr(0, said.rfind('\n') + 1));
  std::string what;
  std::string id;
  int64_t n = 0;
  while (lines >> what >> id >> n) {
    if (what != "begin" && what != "done") continue;
    auto& last = possible.try_emplace(id, 1, kNeverThere).first->second;
    if (what == "done") last.clear();
    if (last.empty() || last.back() != n) last.push_back(n);
  }
}

/// Every key that was acknowledged is there, and revoked if that was acknowledged.
void check_keys(core::KeyStore& store, const std::string& said) {
  std::map<std::string, bool> found;
  for (const core::ApiKey& key : *sync_wait(store.load_keys())) found[key.key_id] = key.revoked_at_ms != 0;
  std::istringstream lines(said.substr(0, said.rfind('\n') + 1));
  std::string what;
  std::string id;
  int64_t n = 0;
  while (lines >> what >> id >> n) {
    if (what != "added" && what != "revoked") continue;
    ASSERT_TRUE(found.contains(id)) << "key " << id << " was acknowledged";
    EXPECT_EQ(found[id], what == "revoked") << "key " << id;
  }
}

int64_t number(Connection& db, const char* sql) {
  Query query(db, sql);
  EXPECT_TRUE(query.next()) << sql;
  return query.integer(0);
}

/// Nothing half, whatever the documents are: every part belongs to a head, every head has its parts and its change.
void check_rows(const std::string& path) {
  const auto db = *Connection::open(path, Connection::Mode::read_only);
  {
    Query query(*db, "PRAGMA quick_check");
    ASSERT_TRUE(query.next());
    EXPECT_EQ(query.text(0), "ok");
  }
  {
    Query query(*db, "PRAGMA foreign_key_check");
    EXPECT_FALSE(query.next());
  }
  EXPECT_EQ(number(*db, "SELECT count(*) FROM chunks"), number(*db, "SELECT total(chunks) FROM documents"));
  EXPECT_EQ(number(*db,
                   "SELECT count(*) FROM chunks k JOIN documents d USING (document_key) WHERE k.chunk_key "
                   "BETWEEN d.first_chunk AND d.first_chunk + d.chunks - 1"),
            number(*db, "SELECT count(*) FROM chunks"));
  EXPECT_EQ(number(*db, "SELECT count(*) FROM texts"), number(*db, "SELECT total(texts) FROM documents"));
  EXPECT_EQ(number(*db, "SELECT total(length(bytes)) FROM texts"),
            number(*db, "SELECT total(text_bytes) FROM documents"));
  EXPECT_EQ(number(*db,
                   "SELECT count(*) FROM vectors v JOIN documents d USING (document_key) WHERE "
                   "length(v.halves) = 2 * v.dimensions * d.chunks"),
            number(*db, "SELECT count(*) FROM documents"));
  EXPECT_EQ(number(*db, "SELECT count(*) FROM vectors"), number(*db, "SELECT count(*) FROM documents"));
  EXPECT_EQ(number(*db,
                   "SELECT count(*) FROM changes h JOIN documents d USING (document_key) WHERE h.kind = 0 AND "
                   "h.sequence = d.sequence"),
            number(*db, "SELECT count(*) FROM documents"));
  EXPECT_EQ(number(*db, "SELECT count(*) FROM changes WHERE kind = 0"), number(*db, "SELECT count(*) FROM documents"));
  EXPECT_EQ(number(*db, "SELECT total(documents) FROM collections"), number(*db, "SELECT count(*) FROM documents"));
  EXPECT_EQ(number(*db, "SELECT total(chunks) FROM collections"), number(*db, "SELECT count(*) FROM chunks"));
  EXPECT_EQ(number(*db, "SELECT sequence FROM counters"), number(*db, "SELECT max(sequence) FROM changes"));
}

/// Whether the document is exactly what operation `n` made of it.
bool is_result_of(core::DocumentStore& documents, const std::string& id, int64_t n) {
  const auto document = sync_wait(documents.load_document({"app"}, id));
  if (is_removal(n) || !document) return is_removal(n) && !document;
  const auto wanted = content(id, n);
  if (document->text != wanted.document.text || document->head.metadata != wanted.document.head.metadata) return false;
  const auto chunks = *sync_wait(documents.load_chunks({"app"}, id));
  if (chunks.size() != wanted.chunks.size()) return false;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].start != wanted.chunks[i].start || chunks[i].end != wanted.chunks[i].end) return false;
  }
  return true;
}

/// Keeps for each document the operation that it is the result of.
void check_documents(core::DocumentStore& documents, Possible& possible) {
  for (auto& [id, operations] : possible) {
    const auto match = std::ranges::find_if(operations, [&](int64_t n) { return is_result_of(documents, id, n); });
    ASSERT_NE(match, operations.end()) << "document " << id << " is not what was acknowledged last ("
                                       << operations.front() << ")";
    operations = {*match};
  }
}

TEST(SqliteCrash, KilledAtAnyMomentItKeepsWhatWasAcknowledgedAndNothingHalf) {
  const ScratchFolder folder;
  const std::string path = folder.file("tessera.db");
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  base::SeededRandom random(seed);
  Possible possible;
  for (int round = 0; round < 50 && !::testing::Test::HasFailure(); ++round) {
    std::string said;
    {
      Child child({"--crash-child", path, std::to_string((round + 1) * 1'000'000)});
      // The moment is chosen by how much it has said, then by a number of instructions.
      child.read_some(random.below(3000));
      for (volatile uint64_t spin = random.below(2'000'000); spin > 0; spin = spin - 1) {
      }
      child.kill_now();
      said = child.rest();
      read_log(said, possible);
    }
    SqliteBox box({.path = path});
    check_documents(box.store->documents(), possible);
    check_keys(box.store->keys(), said);
    testing::Follower follower;
    ASSERT_TRUE(box.store->documents().replay(0, [&](const auto& change) { follower.apply(change); }).has_value());
    size_t live = 0;
    for (const auto& [id, operations] : possible) live += is_removal(operations.front()) ? 0 : 1;
    EXPECT_EQ(follower.documents.size(), live);
    check_rows(path);
  }
}

TEST(SqliteCrash, AFullDiskRefusesByNameAndWorksAgainWhenThereIsSpace) {
  const ScratchFolder folder;
  Child child({"--full-child", folder.file("tessera.db")});
  EXPECT_EQ(child.rest(), "full\nworks\nsame\n");
}

}  // namespace

/// The child of the crash test: writes until it is killed.
int crash_child(const std::string& path, int64_t first) {
  SqliteBox box({.path = path, .checkpoint_pages = 100});
  boost::asio::io_context context;
  async::TaskScope scope(context.get_executor());
  for (int writer = 0; writer < kWriters; ++writer) {
    scope.spawn([&box, writer, first] { return write_forever(box.store->documents(), writer, first); });
  }
  scope.spawn([&box, first] { return keep_keys_forever(box.store->keys(), first); });
  context.run();
  return 1;
}

/// The child of the full-disk test: files may not grow beyond a limit, until it is lifted.
int full_child(const std::string& path) {
  ::signal(SIGXFSZ, SIG_IGN);
  SqliteBox box({.path = path, .checkpoint_pages = 100});
  auto& documents = box.store->documents();
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = 2'000'000;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  int64_t n = 1'000'000;
  std::vector<std::pair<std::string, int64_t>> stored;
  base::Result<core::PutReceipt> receipt;
  for (; n < 1'010'000; ++n) {
    if (is_removal(n)) continue;
    receipt = sync_wait(documents.put_document(content(std::to_string(n), n)));
    if (!receipt) break;
    stored.emplace_back(std::to_string(n), n);
  }
  const auto all_there = [&](core::DocumentStore& in) {
    return std::ranges::all_of(stored, [&](const auto& item) { return is_result_of(in, item.first, item.second); });
  };
  const auto say = [](const std::string& line) { (void)!::write(STDOUT_FILENO, line.data(), line.size()); };
  say(!receipt && all_there(documents) ? (receipt.error().name == "STORAGE_FULL" ? "full\n" : receipt.error().detail)
                                       : "never full\n");
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  receipt = sync_wait(documents.put_document(content(std::to_string(n), n)));
  stored.emplace_back(std::to_string(n), n);
  say(receipt && all_there(documents) ? "works\n" : "still not\n");
  box.open();
  say(all_there(box.store->documents()) ? "same\n" : "lost\n");
  return 0;
}

}  // namespace tessera::store
