#include "index/files/file_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <set>

namespace tessera::index {
namespace {

namespace fs = std::filesystem;

class FileStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "files-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::shared_ptr<const IndexFile> write(FileStore& store, std::string_view text) {
    const auto writer = store.create("test");
    writer->put_array(std::span(text));
    auto file = writer->finish();
    EXPECT_TRUE(file.has_value());
    return file.value_or(nullptr);
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& file : fs::directory_iterator(directory_)) names.insert(file.path().filename().string());
    return names;
  }
  void damage(const std::string& name, size_t at) const {
    std::fstream file(directory_ / name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  fs::path directory_;
};

TEST_F(FileStoreTest, FilesAreReadableAtOnceAndAfterACommit) {
  std::string long_text(3'000'000, 'a');
  for (size_t i = 0; i < long_text.size(); ++i) long_text[i] = static_cast<char>('a' + i % 23);
  std::vector<FileEntry> entries;
  {
    FileStore store(directory_);
    for (const std::string& text : {std::string("short"), std::string(), long_text}) {
      const auto file = write(store, text);
      EXPECT_EQ(file->bytes(), text);
      entries.push_back(file->entry());
    }
    ASSERT_TRUE(store.commit("what it means", entries));
  }
  FileStore store(directory_);
  EXPECT_EQ(store.read_manifest().value(), "what it means");
  EXPECT_EQ(store.open(entries[0], Verify::now).value()->bytes(), "short");
  EXPECT_EQ(store.open(entries[1], Verify::now).value()->bytes(), "");
  EXPECT_EQ(store.open(entries[2], Verify::later).value()->bytes(), long_text);
}

TEST_F(FileStoreTest, AlignmentAndTypedArrays) {
  for (const fs::path& where : {directory_, fs::path()}) {
    FileStore store(where);
    const auto writer = store.create("test");
    writer->put(uint8_t{7});
    writer->align(64);
    EXPECT_EQ(writer->position(), 64U);
    const std::vector<uint32_t> numbers = {1, 2, 3};
    writer->put_array(std::span<const uint32_t>(numbers));
    const auto file = writer->finish().value();
    EXPECT_EQ(std::vector<uint32_t>(file->array<uint32_t>(64, 3).begin(), file->array<uint32_t>(64, 3).end()), numbers);
    EXPECT_TRUE(file->array<uint32_t>(64, 4).empty());
    EXPECT_TRUE(file->array<uint32_t>(66, 1).empty());
    EXPECT_TRUE(file->array<uint32_t>(uint64_t{1} << 63, 1).empty());
  }
}

TEST_F(FileStoreTest, WhatNoManifestNamesIsRemovedOnceNobodyHoldsIt) {
  FileStore store(directory_);
  const auto kept = write(store, "kept");
  auto held = write(store, "held");
  const std::string held_name = held->entry().name;
  write(store, "dropped");
  const auto unfinished = store.create("test");
  ASSERT_TRUE(store.commit("1", {kept->entry()}));
  EXPECT_EQ(names().size(), 4U);  // MANIFEST, kept, held, unfinished
  EXPECT_EQ(held->bytes(), "held");
  held.reset();
  ASSERT_TRUE(store.commit("2", {kept->entry()}));
  EXPECT_FALSE(names().contains(held_name));
  EXPECT_TRUE(names().contains(kept->entry().name));
}

TEST_F(FileStoreTest, LeftOversOfACrashAndOfTheFirstFormatGo) {
  std::ofstream(directory_ / "77-test.tsi") << "left over";
  std::ofstream(directory_ / "collection-1-5.idx") << "first format";
  std::ofstream(directory_ / "notes.txt") << "somebody's";
  FileStore store(directory_);
  EXPECT_EQ(store.read_manifest().value(), "");
  EXPECT_EQ(names(), (std::set<std::string>{"notes.txt"}));
}

TEST_F(FileStoreTest, AnyFlippedByteOfAFileIsFound) {
  FileStore store(directory_);
  const FileEntry entry = write(store, "0123456789")->entry();
  ASSERT_TRUE(store.commit("", {entry}));
  for (size_t at = 0; at < entry.bytes; ++at) {
    damage(entry.name, at);
    FileStore fresh(directory_);
    const auto now = fresh.open(entry, Verify::now);
    ASSERT_FALSE(now);
    EXPECT_EQ(now.error().name, "SNAPSHOT_DAMAGED");
    const auto later = fresh.open(entry, Verify::later);
    ASSERT_TRUE(later);
    EXPECT_FALSE(fresh.verify_next());
    damage(entry.name, at);
  }
  FileStore fresh(directory_);
  const auto whole = fresh.open(entry, Verify::later);
  EXPECT_TRUE(fresh.verify_next().value());
  EXPECT_FALSE(fresh.verify_next().value());
}

TEST_F(FileStoreTest, AMissingOrCutFileIsDamage) {
  FileStore store(directory_);
  const FileEntry cut = write(store, "0123456789")->entry();
  const FileEntry gone = write(store, "gone")->entry();
  ASSERT_TRUE(store.commit("", {cut, gone}));
  fs::resize_file(directory_ / cut.name, 9);
  fs::remove(directory_ / gone.name);
  FileStore fresh(directory_);
  EXPECT_EQ(fresh.open(cut, Verify::later).error().name, "SNAPSHOT_DAMAGED");
  EXPECT_EQ(fresh.open(gone, Verify::later).error().name, "SNAPSHOT_DAMAGED");
  EXPECT_EQ(fresh.open({"../1-x.tsi", 4, 0}, Verify::later).error().name, "SNAPSHOT_DAMAGED");
  EXPECT_EQ(fresh.open({"1-/../../x.tsi", 4, 0}, Verify::later).error().name, "SNAPSHOT_DAMAGED");
}

TEST_F(FileStoreTest, ADamagedManifestIsSaid) {
  FileStore store(directory_);
  ASSERT_TRUE(store.commit("a payload", {write(store, "x")->entry()}));
  const auto size = fs::file_size(directory_ / "MANIFEST");
  for (size_t at = 0; at < size; ++at) {
    damage("MANIFEST", at);
    EXPECT_FALSE(FileStore(directory_).read_manifest()) << at;
    damage("MANIFEST", at);
  }
  for (size_t left = 0; left < size; ++left) {
    fs::copy_file(directory_ / "MANIFEST", directory_ / "whole");
    fs::resize_file(directory_ / "MANIFEST", left);
    EXPECT_FALSE(FileStore(directory_).read_manifest()) << left;
    fs::rename(directory_ / "whole", directory_ / "MANIFEST");
  }
  EXPECT_EQ(FileStore(directory_).read_manifest().value(), "a payload");
}

TEST_F(FileStoreTest, InMemoryNothingTouchesTheDisk) {
  FileStore store{fs::path()};
  const auto file = write(store, "text");
  EXPECT_EQ(file->bytes(), "text");
  EXPECT_TRUE(store.commit("payload", {file->entry()}));
  EXPECT_EQ(store.read_manifest().value(), "");
  EXPECT_EQ(store.open(file->entry(), Verify::now).value(), file);
}

TEST_F(FileStoreTest, RecordsReadBackAndEndSafely) {
  ByteWriter writer;
  writer.put(uint32_t{5});
  writer.put_string("name");
  writer.put_entry({"1-a.tsi", 3, 9});
  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.get<uint32_t>(), 5U);
  EXPECT_EQ(reader.get_string(), "name");
  EXPECT_EQ(reader.get_entry(), (FileEntry{"1-a.tsi", 3, 9}));
  EXPECT_TRUE(reader.at_end());
  EXPECT_EQ(reader.get<uint64_t>(), 0U);
  EXPECT_FALSE(reader.good());
}

}  // namespace
}  // namespace tessera::index
