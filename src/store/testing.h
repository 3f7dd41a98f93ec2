#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/blocking_pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "core/accounts.h"
#include "core/conversations.h"
#include "core/documents.h"
#include "core/tasks.h"
#include "store/sqlite/sqlite_store.h"

/// What the tests of this room share.
namespace tessera::store::testing {

/// A folder that is gone after the test; in memory where the machine has such a file system.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A store under test, of either kind.
class Harness {
 public:
  virtual ~Harness() = default;
  virtual core::DocumentStore& documents() = 0;
  virtual core::ConversationStore& conversations() = 0;
  virtual core::TaskStore& tasks() = 0;
  virtual core::KeyStore& keys() = 0;
  virtual core::Ledger& ledger() = 0;
  virtual core::BudgetStore& budgets() = 0;
  virtual core::ResponseOwnerStore& responses() = 0;
  /// Closes and opens it; false when the kind forgets everything then (and nothing was done).
  virtual bool reopen() = 0;

  base::ManualClock clock;
};

std::unique_ptr<Harness> make_memory_harness();
std::unique_ptr<Harness> make_sqlite_harness();

/// An open SqliteStore with what it needs.
struct SqliteBox {
  explicit SqliteBox(SqliteOptions options);
  void open();

  SqliteOptions options;
  base::ManualClock clock;
  std::unique_ptr<base::Logger> logger = base::silent_logger();
  async::BlockingPool pool{async::BlockingPoolOptions{.name = "blocking", .threads = 3}};
  std::unique_ptr<SqliteStore> store;
};

/// A document cut into chunks of a few words, with metadata and unit vectors, all made from `text`.
core::DocumentWrite make_document(const std::string& app, const std::string& collection, const std::string& id,
                                  const std::string& text, size_t dimensions = 8);
std::string random_text(base::Random& random, size_t words);

/// What an index would know: the state that a series of changes leads to.
struct Follower {
  struct Known {
    int64_t collection_id = 0;
    int64_t version = 0;
    std::string text;
    std::vector<int64_t> chunk_keys;
    std::vector<float> vectors;
    bool operator==(const Known&) const = default;
  };
  std::map<int64_t, Known> documents;  ///< by key
  int64_t sequence = 0;

  void apply(const core::StoreChange& change);
};

}  // namespace tessera::store::testing
