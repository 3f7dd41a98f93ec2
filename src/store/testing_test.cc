#include "store/testing.h"

#include <stdlib.h>  // mkdtemp

#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "base/hash.h"
#include "store/memory/memory_store.h"

namespace tessera::store::testing {
namespace {

class MemoryHarness final : public Harness {
 public:
  core::DocumentStore& documents() override { return store_.documents(); }
  core::ConversationStore& conversations() override { return store_.conversations(); }
  core::TaskStore& tasks() override { return store_.tasks(); }
  core::KeyStore& keys() override { return store_.keys(); }
  core::Ledger& ledger() override { return store_.ledger(); }
  core::BudgetStore& budgets() override { return store_.budgets(); }
  core::ResponseOwnerStore& responses() override { return store_.responses(); }
  bool reopen() override { return false; }

 private:
  MemoryStore store_{clock};
};

class SqliteHarness final : public Harness {
 public:
  SqliteHarness() { open(); }
  core::DocumentStore& documents() override { return store_->documents(); }
  core::ConversationStore& conversations() override { return store_->conversations(); }
  core::TaskStore& tasks() override { return store_->tasks(); }
  core::KeyStore& keys() override { return store_->keys(); }
  core::Ledger& ledger() override { return store_->ledger(); }
  core::BudgetStore& budgets() override { return store_->budgets(); }
  core::ResponseOwnerStore& responses() override { return store_->responses(); }
  bool reopen() override {
    store_.reset();
    open();
    return true;
  }

 private:
  void open() {
    auto opened = SqliteStore::open({.path = folder_.file("tessera.db")}, pool_, clock, *logger_);
    if (!opened) throw std::runtime_error(opened.error().message + " " + opened.error().detail);
    store_ = *std::move(opened);
  }

  ScratchFolder folder_;
  std::unique_ptr<base::Logger> logger_ = base::silent_logger();
  async::BlockingPool pool_{async::BlockingPoolOptions{.name = "blocking", .threads = 3}};
  std::unique_ptr<SqliteStore> store_;
};

}  // namespace

ScratchFolder::ScratchFolder() {
  path_ = std::filesystem::is_directory("/dev/shm") ? "/dev/shm/tessera-XXXXXX" : "/tmp/tessera-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no scratch folder");
}

ScratchFolder::~ScratchFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::unique_ptr<Harness> make_memory_harness() {
  return std::make_unique<MemoryHarness>();
}

std::unique_ptr<Harness> make_sqlite_harness() {
  return std::make_unique<SqliteHarness>();
}

SqliteBox::SqliteBox(SqliteOptions with) : options(std::move(with)) {
  open();
}

void SqliteBox::open() {
  store.reset();
  auto opened = SqliteStore::open(options, pool, clock, *logger);
  if (!opened) throw std::runtime_error(opened.error().message + " " + opened.error().detail);
  store = *std::move(opened);
}

core::DocumentWrite make_document(const std::string& app, const std::string& collection, const std::string& id,
                                  const std::string& text, size_t dimensions) {
  constexpr size_t kChunkBytes = 40;
  core::DocumentWrite write;
  write.collection = {.tenant = {app}, .name = collection};
  core::DocumentHead& head = write.document.head;
  head.document_id = id;
  head.title = "Title of " + id;
  head.content_type = "text/plain";
  head.source = "/notes/" + id;
  head.metadata = {{"length", static_cast<int64_t>(text.size())},
                   {"share", static_cast<double>(text.size()) / 3},
                   {"tags", std::vector<std::string>{"one", id}},
                   {"live", true},
                   {"word", text.substr(0, 5)},
                   {"nothing", std::monostate{}}};
  head.content_hash = base::content_hash(collection + text);
  for (size_t start = 0; start < text.size(); start += kChunkBytes) {
    core::Chunk chunk;
    chunk.start = static_cast<int64_t>(start);
    chunk.end = static_cast<int64_t>(std::min(start + kChunkBytes + 10, text.size()));  // overlapping, as chunks do
    chunk.tokens = static_cast<int64_t>(start % 17);
    chunk.heading_path = start % 3 == 0 ? "Top > Part " + std::to_string(start) : "";
    write.chunks.push_back(std::move(chunk));
  }
  write.dimensions = dimensions;
  for (size_t i = 0; i < write.chunks.size() * dimensions; ++i) {
    const uint64_t bits = base::hash64(head.content_hash, i);
    write.vectors.push_back(static_cast<float>(static_cast<int64_t>(bits % 2001) - 1000) / 3000.0F);
  }
  write.document.text = text;
  return write;
}

std::string random_text(base::Random& random, size_t words) {
  std::string text;
  for (size_t i = 0; i < words; ++i) {
    for (size_t n = 1 + random.below(9); n > 0; --n) text += static_cast<char>('a' + random.below(26));
    text += ' ';
  }
  return text;
}

void Follower::apply(const core::StoreChange& change) {
  using Kind = core::StoreChange::Kind;
  sequence = change.sequence;
  switch (change.kind) {
    case Kind::put: {
      Known known{.collection_id = change.collection_id,
                  .version = change.document->document.head.version,
                  .text = change.document->document.text,
                  .chunk_keys = {},
                  .vectors = change.document->vectors};
      for (const auto& chunk : change.document->chunks) known.chunk_keys.push_back(chunk.key);
      documents[change.document_key] = std::move(known);
      break;
    }
    case Kind::remove:
      documents.erase(change.document_key);
      break;
    case Kind::drop_collection:
      std::erase_if(documents, [&](const auto& item) { return item.second.collection_id == change.collection_id; });
      break;
  }
}

}  // namespace tessera::store::testing
