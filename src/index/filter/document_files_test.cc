#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "index/filter/document_table.h"
#include "index/filter/filter_world.h"

namespace tessera::index {
namespace {

struct Saved {
  std::string record;
  std::vector<FileEntry> entries;
};

Saved save(DocumentTable& table, FileStore& store) {
  ByteWriter record;
  Saved saved;
  EXPECT_TRUE(table.save(store, record, saved.entries).has_value());
  saved.record = record.bytes();
  return saved;
}

void put(DocumentTable& table, FilterWorld& world, int64_t key) {
  const uint32_t document = table.begin(key, world.metadata());
  const std::vector<int64_t> chunks(world.below(4), key);
  table.append(chunks, std::vector<uint32_t>(chunks.size(), 7));
  table.activate(document);
}

/// Everything a table can be asked, and changed, once: it must not matter how it came about.
void use(DocumentTable& table, FilterWorld& world) {
  for (int i = 0; i < 12; ++i) {
    const core::Filter filter = world.filter();
    const RowSelection selection = table.select(&filter);
    ASSERT_LE(selection.count, table.live_counts().rows);
  }
  for (uint32_t i = 0; i < table.documents(); ++i) static_cast<void>(table.metadata(i).size());
  for (int64_t key = 0; key < 20; ++key) put(table, world, key);
  const uint64_t rows = table.live_counts().rows;
  ASSERT_EQ(table.compacted().table->live_counts().rows, rows);
}

/// A file with these bytes and the checksum that belongs to them.
FileEntry file_of(FileStore& store, std::string_view bytes, std::shared_ptr<const IndexFile>& held) {
  const auto writer = store.create("documents");
  writer->put_array(std::span(bytes));
  held = *writer->finish();
  return held->entry();
}

TEST(DocumentFiles, WriteLittleWhenLittleChanged) {
  FilterWorld world(1);
  DocumentTable table;
  FileStore store("");
  for (int64_t key = 0; key < 20'000; ++key) put(table, world, key);
  const Saved first = save(table, store);
  ASSERT_EQ(first.entries.size(), 1U);

  // Nothing changed: nothing is written.
  EXPECT_EQ(save(table, store).entries, first.entries);

  put(table, world, 20'000);
  const Saved second = save(table, store);
  ASSERT_EQ(second.entries.size(), 2U);
  EXPECT_EQ(second.entries.front(), first.entries.front());
  EXPECT_LT(second.entries.back().bytes, 8000U);

  table.remove(3);
  const Saved third = save(table, store);
  ASSERT_EQ(third.entries.size(), 2U);
  EXPECT_EQ(third.entries.front(), first.entries.front());
  EXPECT_NE(third.entries.back(), second.entries.back());

  // Files stay few, and what they hold is not written often.
  uint64_t written = 0;
  for (int64_t key = 0; key < 500; ++key) {
    for (int64_t i = 0; i < 10; ++i) put(table, world, 30'000 + key * 10 + i);
    const Saved saved = save(table, store);
    ASSERT_LE(saved.entries.size(), 10U);
    written += saved.entries.back().bytes;
  }
  EXPECT_LT(written, first.entries.front().bytes * 5);
}

TEST(DocumentFiles, GoOnAfterLoading) {
  FilterWorld world(2);
  FileStore store("");
  auto table = std::make_unique<DocumentTable>();
  for (int64_t key = 0; key < 500; ++key) put(*table, world, key);
  Saved saved = save(*table, store);
  for (int64_t round = 0; round < 20; ++round) {
    ByteReader reader(saved.record);
    auto loaded = DocumentTable::load(store, reader);
    ASSERT_TRUE(loaded.has_value());
    ASSERT_EQ((*loaded)->live_counts(), table->live_counts());
    table = std::move(*loaded);
    EXPECT_EQ(save(*table, store).entries, saved.entries);
    put(*table, world, 1000 + round);
    saved = save(*table, store);
  }
}

TEST(DocumentFiles, SurviveAnEmptyTable) {
  FileStore store("");
  DocumentTable table;
  const Saved saved = save(table, store);
  EXPECT_TRUE(saved.entries.empty());
  ByteReader reader(saved.record);
  const auto loaded = DocumentTable::load(store, reader);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ((*loaded)->rows(), 0U);
  EXPECT_EQ((*loaded)->select(nullptr).count, 0U);
}

TEST(DocumentFiles, AreCheckedOnDisk) {
  std::string pattern = testing::TempDir() + "documents-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  FilterWorld world(3);
  Saved saved;
  {
    FileStore store(pattern);
    DocumentTable table;
    for (int64_t key = 0; key < 100; ++key) put(table, world, key);
    saved = save(table, store);
    ASSERT_TRUE(store.commit(saved.record, saved.entries).has_value());
  }
  {
    FileStore store(pattern);
    ByteReader reader(saved.record);
    EXPECT_TRUE(DocumentTable::load(store, reader).has_value());
  }
  const auto path = std::filesystem::path(pattern) / saved.entries.front().name;
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(200);
  const auto byte = static_cast<char>(file.get() ^ 4);
  file.seekp(200);
  file.put(byte);
  file.close();
  FileStore store(pattern);
  ByteReader reader(saved.record);
  const auto loaded = DocumentTable::load(store, reader);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().name, "SNAPSHOT_DAMAGED");
  std::filesystem::remove_all(pattern);
}

TEST(DocumentFiles, SurviveAnyBytesBehindAFittingChecksum) {
  for (const int64_t documents : {3, 70, 600}) {
    FilterWorld world(static_cast<uint64_t>(documents));
    FileStore store("");
    DocumentTable table;
    for (int64_t key = 0; key < documents; ++key) put(table, world, key);
    const Saved saved = save(table, store);
    const std::string bytes((*store.open(saved.entries.front(), Verify::now))->bytes());
    int sound = 0;
    for (int round = 0; round < 1500; ++round) {
      std::string changed = bytes;
      for (uint64_t flips = 1 + world.below(3); flips > 0; --flips) {
        const size_t at = round % 2 == 0 ? world.below(std::min<size_t>(bytes.size(), 600)) : world.below(bytes.size());
        changed[at] = static_cast<char>(world.below(4) == 0 ? 0xFF : changed[at] ^ (1 << world.below(8)));
      }
      if (round % 10 == 0) changed.resize(world.below(bytes.size()));
      std::shared_ptr<const IndexFile> held;
      ByteWriter record;
      record.put(uint32_t{1});
      record.put_entry(file_of(store, changed, held));
      ByteReader reader(record.bytes());
      auto loaded = DocumentTable::load(store, reader);
      if (!loaded.has_value()) continue;
      ++sound;
      if (sound % 8 == 0) use(**loaded, world);
    }
    EXPECT_GT(sound, 8) << "the changes never got past the first checks";
    EXPECT_LT(sound, 1500);
  }
}

}  // namespace
}  // namespace tessera::index
