#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "index/index_model.h"
#include "index/retrieval_index.h"

namespace tessera::index {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Remembers that damage was told, for a thread that waits for it.
class DamageBell {
 public:
  void ring() {
    const std::lock_guard lock(mutex_);
    rung_ = true;
    wake_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::seconds(20), [this] { return rung_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool rung_ = false;
};

class IndexFilesTest : public ::testing::Test {
 protected:
  IndexFilesTest() {
    directory_ = fs::path(::testing::TempDir()) /
                 (std::string("index_files_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
  }
  ~IndexFilesTest() override { fs::remove_all(directory_); }

  std::unique_ptr<core::RetrievalIndex> open() {
    IndexOptions options{.directory = directory_,
                         .compact_rows_min = 100,
                         .freeze_rows = 64,
                         .graph_rows = 128,
                         .scanned_rows_max = 100};
    return create_retrieval_index(options, *logger_).value();
  }
  std::map<fs::path, std::string> files() {
    std::map<fs::path, std::string> files;
    for (const auto& entry : fs::directory_iterator(directory_)) files[entry.path()] = read_file(entry.path());
    return files;
  }

  fs::path directory_;
  std::unique_ptr<base::Logger> logger_ = base::silent_logger();
};

/// The change with this number: put, replace or remove, the same whenever it is asked for.
core::StoreChange change_number(int64_t sequence) {
  IndexWorld world(static_cast<uint64_t>(sequence), 16);
  const auto collection = static_cast<int64_t>(1 + world.below(2));
  const auto document = static_cast<int64_t>(collection * 100 + world.below(40));
  if (world.below(5) == 0) return IndexWorld::remove(sequence, collection, document);
  core::StoreChange change = world.put(sequence, collection, document, 1 + world.below(30));
  auto write = std::make_shared<core::DocumentWrite>(*change.document);
  for (core::Chunk& chunk : write->chunks) chunk.key = sequence * 1000 + chunk.ordinal;
  change.document = write;
  return change;
}

/// Nothing, or how the index differs from the model.
std::string difference_from(const IndexModel& model, const core::RetrievalIndex& index, uint64_t seed) {
  IndexWorld world(seed, 16);
  for (int i = 0; i < 4; ++i) {
    const std::string text = world.words(1 + world.below(4));
    const std::vector<float> vector = world.vector();
    const core::Filter filter = world.filter();
    core::IndexQuery query{.collection_id = 1 + i % 2, .text = text, .vector = vector, .k = 10};
    query.filter = i < 2 ? nullptr : &filter;
    query.recall = 1;
    const auto lexical = index.search_lexical(query);
    const auto dense = index.search_dense(query);
    if (!lexical || !dense) return "a search failed";
    if (std::string why = difference(*lexical, model.lexical(query), query.k); !why.empty()) return "lexical: " + why;
    if (std::string why = difference(*dense, model.dense(query), query.k); !why.empty()) return "dense: " + why;
  }
  return {};
}

TEST_F(IndexFilesTest, EveryChangedByteAndEveryCutIsNoticed) {
  {
    auto index = open();
    for (int64_t i = 1; i <= 60; ++i) ASSERT_TRUE(index->apply(change_number(i)));
    ASSERT_TRUE(index->save());
  }
  auto whole = files();
  // Maintenance may have begun files that no manifest names yet.
  const std::string manifest = whole[directory_ / "MANIFEST"];
  std::erase_if(whole, [&](const auto& file) {
    return file.first.filename() != "MANIFEST" && !manifest.contains(file.first.filename().string());
  });
  ASSERT_GE(whole.size(), 5U);
  IndexWorld world(4);
  for (int round = 0; round < 300; ++round) {
    const auto at_file = std::next(whole.begin(), static_cast<std::ptrdiff_t>(world.below(whole.size())));
    std::string bytes = at_file->second;
    if (bytes.empty()) continue;
    const size_t at = world.below(bytes.size());
    if (round % 5 == 0) {
      bytes.resize(at);
    } else if (round % 5 == 1) {
      bytes.insert(at, 1, static_cast<char>(world.below(256)));
    } else {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << world.below(8)));
    }
    if (bytes == at_file->second) continue;
    write_file(at_file->first, bytes);
    {
      DamageBell bell;
      auto index = open();
      if (index->applied_sequence() == 0) {  // found before the files were used
        ASSERT_EQ(index->total_stats().chunks, 0);
      } else {
        index->set_damage_listener([&] { bell.ring(); });
        ASSERT_TRUE(bell.wait()) << "round " << round << " file " << at_file->first << " at " << at;
      }
      ASSERT_EQ(index->damage().found, 1);
      ASSERT_FALSE(index->damage().last.empty());
      index->clear();
      ASSERT_EQ(index->applied_sequence(), 0);
    }
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    for (const auto& [path, contents] : whole) write_file(path, contents);
  }
  auto index = open();
  EXPECT_EQ(index->applied_sequence(), 60);
  EXPECT_EQ(index->damage().found, 0);
}

TEST_F(IndexFilesTest, AMissingFileIsDamage) {
  {
    auto index = open();
    for (int64_t i = 1; i <= 10; ++i) ASSERT_TRUE(index->apply(change_number(i)));
    ASSERT_TRUE(index->save());
  }
  const auto whole = files();
  const std::string manifest = whole.at(directory_ / "MANIFEST");
  for (const auto& [gone, bytes] : whole) {
    if (gone.filename() != "MANIFEST" && !manifest.contains(gone.filename().string())) continue;
    fs::remove(gone);
    EXPECT_EQ(open()->applied_sequence(), 0) << gone;
    for (const auto& [path, contents] : whole) write_file(path, contents);
  }
  EXPECT_EQ(open()->applied_sequence(), 10);
}

TEST_F(IndexFilesTest, ASmallChangeWritesLittleAndWhatIsDroppedGoes) {
  auto index = open();
  IndexWorld world(4, 64);
  for (int64_t i = 1; i <= 200; ++i) ASSERT_TRUE(index->apply(world.put(i, 1, i, 20)));
  ASSERT_TRUE(index->apply(world.put(201, 2, 201, 2)));
  ASSERT_TRUE(index->save());
  auto before = files();
  ASSERT_TRUE(index->apply(world.put(202, 2, 202, 2)));
  ASSERT_TRUE(index->save());
  size_t written = 0;
  size_t all = 0;
  for (const auto& [path, contents] : files()) {
    all += contents.size();
    if (!before.contains(path) || before[path] != contents) written += contents.size();
  }
  EXPECT_LT(written, all / 4);
  ASSERT_TRUE(index->apply(IndexWorld::drop(203, 1)));
  ASSERT_TRUE(index->apply(IndexWorld::drop(204, 2)));
  index.reset();  // nothing holds the collections' files any more
  index = open();
  ASSERT_EQ(index->applied_sequence(), 202);
  ASSERT_TRUE(index->apply(IndexWorld::drop(203, 1)));
  ASSERT_TRUE(index->apply(IndexWorld::drop(204, 2)));
  ASSERT_TRUE(index->save());
  index.reset();
  index = open();
  EXPECT_EQ(index->applied_sequence(), 204);
  EXPECT_EQ(files().size(), 1U);
  index->clear();
  EXPECT_TRUE(files().empty());
}

TEST_F(IndexFilesTest, ADirectoryThatCannotBeWrittenIsReportedAndTheIndexGoesOn) {
  auto index = open();
  ASSERT_TRUE(index->apply(change_number(1)));
  const int64_t chunks = index->total_stats().chunks;
  fs::remove_all(directory_);
  const auto saved = index->save();
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().name, "STORAGE_FAILED");
  EXPECT_EQ(index->total_stats().chunks, chunks);
  fs::create_directories(directory_);
  ASSERT_TRUE(index->save());
  EXPECT_EQ(open()->applied_sequence(), 1);
}

TEST_F(IndexFilesTest, AFileInPlaceOfTheDirectoryIsRefused) {
  write_file(directory_, "x");
  const auto index = create_retrieval_index({.directory = directory_}, *logger_);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().name, "INDEX_DIRECTORY");
}

/// A child applies changes and saves now and then, while its maintenance writes, merges and builds; it is killed
/// somewhere within. What is found afterwards is what the model says of the changes up to the sequence found.
TEST_F(IndexFilesTest, AKillAtAnyTimeLeavesWhatWasSaved) {
  IndexModel model;
  int64_t modelled = 0;
  for (uint64_t round = 0; round < 200; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto index = open();
      for (int64_t sequence = index->applied_sequence() + 1;; ++sequence) {
        static_cast<void>(index->apply(change_number(sequence)));
        if (sequence % 5 != 0) continue;
        static_cast<void>(index->save());
        if (write(ends[1], &sequence, sizeof sequence) < 0) _exit(1);
      }
    }
    close(ends[1]);
    int64_t told = 0;
    IndexWorld chance(round);
    for (uint64_t left = 1 + chance.below(3); left > 0; --left) {
      ASSERT_EQ(read(ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
    }
    volatile uint64_t spin = chance.below(2'000'000);  // somewhere within
    while (spin > 0) spin = spin - 1;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(ends[0], &told, sizeof told) == static_cast<ssize_t>(sizeof told)) continue;
    close(ends[0]);

    auto index = open();
    ASSERT_EQ(index->damage().found, 0) << index->damage().last;
    const int64_t found = index->applied_sequence();
    ASSERT_GE(found, told);
    while (modelled < found) model.apply(change_number(++modelled));
    ASSERT_EQ(difference_from(model, *index, round), "") << "round " << round;
  }
}

}  // namespace
}  // namespace tessera::index
