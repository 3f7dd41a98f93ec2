#include "rag/file_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "async/run_blocking.h"

namespace tessera::rag {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class PosixTree : public ::testing::Test {
 protected:
  PosixTree() {
    std::string pattern = (fs::temp_directory_path() / "tree_XXXXXX").string();
    const char* made = ::mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    base_ = fs::canonical(made);
    root_ = base_ / "vault";
    fs::create_directory(root_);
  }
  ~PosixTree() override { fs::remove_all(base_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::vector<std::string> walk(WalkBounds bounds = {}, bool* complete = nullptr) {
    const auto wanted = [](std::string_view name) { return name.ends_with(".md"); };
    const auto result = tree_->walk(root_.string(), bounds, wanted, {});
    EXPECT_TRUE(result);
    if (complete != nullptr) *complete = result->complete;
    std::vector<std::string> paths;
    for (const auto& file : result->files) paths.push_back(file.path);
    return paths;
  }

  fs::path base_;
  fs::path root_;
  std::unique_ptr<FileTree> tree_ = posix_file_tree();
};

TEST_F(PosixTree, WalksRegularFilesAndNothingElse) {
  write("b.md", "b");
  write("a/deep/c.md", "c");
  write("a/x.png", "png");
  write(".git/config.md", "hidden");
  write(".hidden.md", "hidden");
  std::ofstream(base_ / "outside.md") << "outside";
  fs::create_symlink(base_ / "outside.md", root_ / "link.md");
  fs::create_directory_symlink(base_, root_ / "linked");
  ASSERT_EQ(::mkfifo((root_ / "pipe.md").c_str(), 0600), 0);
  bool complete = false;
  EXPECT_THAT(walk({}, &complete), ElementsAre("a/deep/c.md", "b.md"));
  EXPECT_TRUE(complete);
}

TEST_F(PosixTree, ReadsOnlyBelowTheRoot) {
  write("a/b.md", "text");
  std::ofstream(base_ / "outside.md") << "outside";
  fs::create_symlink(base_ / "outside.md", root_ / "link.md");
  fs::create_directory_symlink(base_, root_ / "linked");
  EXPECT_EQ(*tree_->read(root_.string(), "a/b.md", 100), "text");
  EXPECT_FALSE(tree_->read(root_.string(), "link.md", 100));
  EXPECT_FALSE(tree_->read(root_.string(), "linked/outside.md", 100));
  EXPECT_FALSE(tree_->read(root_.string(), "../outside.md", 100));
  EXPECT_FALSE(tree_->read(root_.string(), "a", 100));
  EXPECT_EQ(tree_->read(root_.string(), "none.md", 100).error().name, "FILE_NOT_FOUND");
  EXPECT_EQ(tree_->read(root_.string(), "a/b.md", 3).error().name, "FILE_TOO_LARGE");
  EXPECT_EQ(*tree_->read(root_.string(), "a/b.md", 4), "text");
}

TEST_F(PosixTree, BoundsMakeAWalkIncomplete) {
  write("1.md", "");
  write("2.md", "");
  write("a/b/c/3.md", "");
  bool complete = true;
  EXPECT_EQ(walk({.files_max = 2}, &complete).size(), 2U);
  EXPECT_FALSE(complete);
  EXPECT_THAT(walk({.depth_max = 2}, &complete), ElementsAre("1.md", "2.md"));
  EXPECT_FALSE(complete);
}

TEST(LastingStamp, IsNoneForAYoungFile) {
  constexpr int64_t kSecond = 1'000'000'000;
  const FileEntry file{.path = "a.md", .bytes = 3, .modified_ns = 10 * kSecond, .stamp = 7};
  EXPECT_EQ(lasting_stamp(file, 12 * kSecond), 7U);
  EXPECT_EQ(lasting_stamp(file, 12 * kSecond - 1), 0U);
  EXPECT_EQ(lasting_stamp(file, 9 * kSecond), 0U);  // a file from the future
}

TEST_F(PosixTree, StampsChangeWithContentAndNamesMustBeText) {
  write("a.md", "one");
  const auto wanted = [](std::string_view) { return true; };
  const auto first = tree_->walk(root_.string(), {}, wanted, {});
  write("a.md", "three");
  const auto second = tree_->walk(root_.string(), {}, wanted, {});
  EXPECT_NE(first->files[0].stamp, second->files[0].stamp);
  std::ofstream(root_ / "bad\xFFname.md") << "x";
  const auto third = tree_->walk(root_.string(), {}, wanted, {});
  ASSERT_EQ(third->failures.size(), 1U);
  EXPECT_EQ(third->failures[0].second.name, "INVALID_FILE_NAME");
}

TEST_F(PosixTree, CanonicalDirectoriesResolveLinks) {
  fs::create_directory_symlink(root_, base_ / "link");
  EXPECT_EQ(*tree_->canonical_directory((base_ / "link").string()), root_.string());
  write("a.md", "x");
  EXPECT_EQ(tree_->canonical_directory((root_ / "a.md").string()).error().name, "NOT_A_DIRECTORY");
  EXPECT_EQ(tree_->canonical_directory((root_ / "none").string()).error().name, "DIRECTORY_NOT_FOUND");
}

TEST_F(PosixTree, WatchesNewFilesAndNewFolders) {
  const auto watch = tree_->watch(root_.string(), {});
  ASSERT_TRUE(watch);
  EXPECT_TRUE((*watch)->covers_everything());
  async::WaitBounds bounds;
  bounds.deadline = base::SystemClock().now() + std::chrono::seconds(20);
  const auto changed = [&] { return async::sync_wait((*watch)->changed(bounds)); };
  write("a.md", "one");
  EXPECT_EQ(changed(), async::Wake::ready);
  fs::create_directories(root_ / "new/deep");
  EXPECT_EQ(changed(), async::Wake::ready);
  // The folder is watched once a change in it rings; rings for its creation may come first.
  while (true) {
    write("new/deep/b.md", "two");
    ASSERT_EQ(changed(), async::Wake::ready);
    if (walk() == std::vector<std::string>{"a.md", "new/deep/b.md"}) break;
  }
  async::CancelSource source;
  source.cancel();
  async::WaitBounds stopped;
  stopped.token = source.token();
  const auto why = async::sync_wait((*watch)->changed(stopped));
  EXPECT_TRUE(why == async::Wake::cancelled || why == async::Wake::ready);
}

TEST_F(PosixTree, AWatchOfNothingDoesNotCoverEverything) {
  const auto watch = tree_->watch((root_ / "none").string(), {});
  ASSERT_TRUE(watch);
  EXPECT_FALSE((*watch)->covers_everything());
}

}  // namespace
}  // namespace tessera::rag
