#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "index/index_model.h"
#include "index/retrieval_index.h"
#include "index/snapshot/metadata_codec.h"
#include "index/snapshot/snapshot_file.h"

namespace tessera::index {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() {
    directory_ = fs::path(::testing::TempDir()) /
                 (std::string("snapshot_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
  }
  ~SnapshotTest() override { fs::remove_all(directory_); }

  std::unique_ptr<core::RetrievalIndex> open() {
    return create_retrieval_index({.directory = directory_}, *logger_).value();
  }
  std::vector<fs::path> files() {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(directory_)) paths.push_back(entry.path());
    std::ranges::sort(paths);
    return paths;
  }

  fs::path directory_;
  std::unique_ptr<base::Logger> logger_ = base::silent_logger();
};

TEST_F(SnapshotTest, EveryChangedByteAndEveryCutIsNoticed) {
  IndexWorld world(4, 8);
  {
    auto index = open();
    for (int64_t i = 1; i <= 30; ++i) ASSERT_TRUE(index->apply(world.put(i, 1 + i % 2, i, 6)));
    ASSERT_TRUE(index->save());
  }
  ASSERT_EQ(files().size(), 3U);
  std::vector<std::string> contents;
  const std::vector<fs::path> paths = files();
  for (const auto& path : paths) contents.push_back(read_file(path));
  for (int round = 0; round < 300; ++round) {
    const size_t which = world.below(paths.size());
    std::string bytes = contents[which];
    const size_t at = world.below(bytes.size());
    if (round % 5 == 0) {
      bytes.resize(at);
    } else if (round % 5 == 1) {
      bytes.insert(at, 1, static_cast<char>(world.below(256)));
    } else {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << world.below(8)));
    }
    write_file(paths[which], bytes);
    auto index = open();
    ASSERT_EQ(index->applied_sequence(), 0) << "round " << round << " file " << paths[which] << " at " << at;
    ASSERT_EQ(index->total_stats().chunks, 0);
    ASSERT_TRUE(files().empty());
    for (size_t i = 0; i < paths.size(); ++i) write_file(paths[i], contents[i]);
  }
  EXPECT_EQ(open()->applied_sequence(), 30);
}

TEST_F(SnapshotTest, AMissingCollectionFileIsDamage) {
  IndexWorld world(4, 8);
  {
    auto index = open();
    ASSERT_TRUE(index->apply(world.put(1, 1, 1, 6)));
    ASSERT_TRUE(index->save());
  }
  fs::remove(files().front());
  EXPECT_EQ(open()->applied_sequence(), 0);
}

TEST_F(SnapshotTest, OnlyChangedCollectionsAreWrittenAndOldFilesGo) {
  IndexWorld world(4, 8);
  auto index = open();
  ASSERT_TRUE(index->apply(world.put(1, 1, 1, 6)));
  ASSERT_TRUE(index->apply(world.put(2, 2, 2, 6)));
  ASSERT_TRUE(index->save());
  const auto before = files();
  const auto kept = fs::last_write_time(directory_ / "collection-1-1.idx");
  ASSERT_TRUE(index->apply(world.put(3, 2, 3, 6)));
  ASSERT_TRUE(index->save());
  EXPECT_EQ(fs::last_write_time(directory_ / "collection-1-1.idx"), kept);
  EXPECT_TRUE(fs::exists(directory_ / "collection-2-3.idx"));
  EXPECT_EQ(files().size(), before.size());
  ASSERT_TRUE(index->apply(IndexWorld::drop(4, 2)));
  ASSERT_TRUE(index->save());
  EXPECT_EQ(files().size(), 2U);
  index->clear();
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(index->applied_sequence(), 0);
}

TEST_F(SnapshotTest, ADirectoryThatCannotBeWrittenIsReportedAndTheIndexGoesOn) {
  IndexWorld world(4, 8);
  auto index = open();
  ASSERT_TRUE(index->apply(world.put(1, 1, 1, 6)));
  fs::remove_all(directory_);
  const auto saved = index->save();
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().name, "STORAGE_FAILED");
  EXPECT_EQ(index->stats(1).chunks, 6);
  fs::create_directories(directory_);
  ASSERT_TRUE(index->save());
  EXPECT_EQ(open()->applied_sequence(), 1);
}

TEST_F(SnapshotTest, AFileInPlaceOfTheDirectoryIsRefused) {
  write_file(directory_, "x");
  const auto index = create_retrieval_index({.directory = directory_}, *logger_);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().name, "INDEX_DIRECTORY");
}

/// The child applies and saves for ever, telling each save's beginning; the parent kills it somewhere within.
TEST_F(SnapshotTest, AKillDuringSaveLeavesTheOldSnapshotOrTheNew) {
  for (uint64_t round = 0; round < 25; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      IndexWorld world(round, 32);
      auto index = open();
      for (int64_t sequence = index->applied_sequence() + 1;; ++sequence) {
        static_cast<void>(index->apply(world.put(sequence, 1 + sequence % 3, sequence, 40)));
        if (write(ends[1], &sequence, sizeof sequence) < 0) _exit(1);
        static_cast<void>(index->save());
      }
    }
    close(ends[1]);
    int64_t told = 0;
    IndexWorld chance(round);
    for (uint64_t left = 1 + chance.below(6); left > 0; --left) {
      ASSERT_EQ(read(ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
    }
    volatile uint64_t spin = chance.below(3000000);  // somewhere within the save
    while (spin > 0) spin = spin - 1;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(ends[0], &told, sizeof told) == static_cast<ssize_t>(sizeof told)) continue;
    close(ends[0]);
    auto index = open();
    ASSERT_GE(index->applied_sequence(), told - 1);
    ASSERT_LE(index->applied_sequence(), told);
    ASSERT_EQ(index->total_stats().documents, index->applied_sequence());
    ASSERT_EQ(index->total_stats().chunks, index->applied_sequence() * 40);
  }
}

TEST_F(SnapshotTest, MetadataOfEveryKindSurvives) {
  fs::create_directories(directory_);
  core::Metadata metadata;
  metadata["none"] = std::monostate();
  metadata["yes"] = true;
  metadata["int"] = int64_t{-5};
  metadata["real"] = 0.1;
  metadata["text"] = std::string("a\0b", 3);
  metadata["list"] = std::vector<std::string>{"x", "", "z"};
  SnapshotWriter writer(directory_ / "m", SnapshotKind::collection);
  encode_metadata(metadata, writer);
  ASSERT_TRUE(writer.finish());
  const std::string file = read_file(directory_ / "m");
  const auto payload = snapshot_payload(file, SnapshotKind::collection);
  ASSERT_TRUE(payload);
  EXPECT_EQ(file, snapshot_file(*payload, SnapshotKind::collection));
  SnapshotReader reader(*payload);
  core::Metadata back;
  ASSERT_TRUE(decode_metadata(reader, back));
  EXPECT_EQ(back, metadata);
  EXPECT_TRUE(reader.at_end());
  for (size_t size = 0; size < payload->size(); ++size) {
    SnapshotReader cut(payload->substr(0, size));
    core::Metadata part;
    EXPECT_FALSE(decode_metadata(cut, part)) << size;
  }
}

}  // namespace
}  // namespace tessera::index
