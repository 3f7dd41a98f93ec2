#include "store/sqlite/read_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "async/run_blocking.h"
#include "base/random.h"
#include "store/testing.h"

namespace tessera::store {
namespace {

using async::sync_wait;

std::shared_ptr<const core::Passage> passage(int64_t chunk, int64_t document, size_t bytes = 100) {
  core::Passage made;
  made.chunk_key = chunk;
  made.document_key = document;
  made.text.assign(bytes, 'x');
  return std::make_shared<const core::Passage>(std::move(made));
}

core::StoreChange removal(int64_t document, int64_t collection = 1) {
  core::StoreChange change;
  change.kind = core::StoreChange::Kind::remove;
  change.collection_id = collection;
  change.document_key = document;
  return change;
}

const core::Tenant kApp{"app"};

TEST(ReadCache, AnswersItsTenantOnly) {
  ReadCache cache(100'000);
  cache.keep(cache.ticket(), kApp, {passage(1, 1)});
  const int64_t keys[] = {1, 2};
  const auto ours = cache.find(kApp, keys).first;
  EXPECT_NE(ours[0], nullptr);
  EXPECT_EQ(ours[1], nullptr);
  EXPECT_EQ(cache.find({"other"}, keys).first[0], nullptr);
}

TEST(ReadCache, WhatWasReadBeforeAChangeIsNotKept) {
  ReadCache cache(100'000);
  const int64_t keys[] = {1};
  const auto ticket = cache.find(kApp, keys).second;
  const core::StoreChange changes[] = {removal(1)};
  cache.forget(changes);
  cache.keep(ticket, kApp, {passage(1, 1)});
  EXPECT_EQ(cache.find(kApp, keys).first[0], nullptr);
  core::Collection collection{.id = 1, .name = {kApp, "notes"}};
  cache.keep(ticket, collection);
  EXPECT_FALSE(cache.find(collection.name));
  cache.keep(cache.ticket(), collection);
  EXPECT_TRUE(cache.find(collection.name));
  cache.forget(changes);
  EXPECT_FALSE(cache.find(collection.name));
}

/// Against a map of what was given and not forgotten: never anything else, and within the bound.
TEST(ReadCache, RandomOperations) {
  base::SeededRandom random(11);
  constexpr size_t kBytes = 100'000;
  ReadCache cache(kBytes);
  std::map<int64_t, int64_t> alive;  // chunk, document
  int64_t next = 0;
  size_t found = 0;
  for (int step = 0; step < 20'000; ++step) {
    switch (random.next() % 8) {
      case 0: {
        const auto document = static_cast<int64_t>(random.next() % 60);
        const core::StoreChange changes[] = {removal(document)};
        cache.forget(changes);
        std::erase_if(alive, [&](const auto& each) { return each.second == document; });
        break;
      }
      case 1:
      case 2: {
        const auto document = static_cast<int64_t>(random.next() % 60);
        cache.keep(cache.ticket(), kApp, {passage(next, document, random.next() % 3000)});
        alive[next++] = document;
        ASSERT_LE(cache.bytes(), kBytes);
        break;
      }
      case 3:
        if (random.next() % 100 == 0) {
          cache.forget_all();
          alive.clear();
        }
        break;
      default: {
        const int64_t keys[] = {next - static_cast<int64_t>(random.next() % 100)};
        const auto kept = cache.find(kApp, keys).first[0];
        if (kept == nullptr) break;
        ++found;
        ASSERT_TRUE(alive.contains(keys[0]));
        ASSERT_EQ(kept->document_key, alive[keys[0]]);
      }
    }
  }
  EXPECT_GT(found, 1000U);
}

std::vector<core::Passage> load(core::DocumentStore& store, const core::Tenant& tenant, std::vector<int64_t> keys) {
  return *sync_wait(store.load_passages(tenant, std::move(keys)));
}

TEST(ReadCache, TheStoreGivesNothingThatWasDeletedOrReplaced) {
  const testing::ScratchFolder folder;
  const testing::SqliteBox box({.path = folder.file("tessera.db")});
  core::DocumentStore& store = box.store->documents();
  std::vector<int64_t> keys;
  store.set_listener([&](const core::StoreChange& change) {
    if (!change.document) return;
    for (const auto& chunk : change.document->chunks) keys.push_back(chunk.key);
  });
  ASSERT_TRUE(sync_wait(store.put_document(testing::make_document(kApp.app_id, "notes", "a", "first words"))));
  const auto first = keys;
  ASSERT_FALSE(load(store, kApp, first).empty());
  EXPECT_EQ(load(store, kApp, first).size(), first.size());  // now from memory
  EXPECT_TRUE(load(store, {"other"}, first).empty());
  EXPECT_EQ(sync_wait(store.find_collection({kApp, "notes"}))->documents, 1);
  ASSERT_TRUE(sync_wait(store.put_document(testing::make_document(kApp.app_id, "notes", "a", "other words"))));
  EXPECT_TRUE(load(store, kApp, first).empty());
  ASSERT_TRUE(sync_wait(store.put_document(testing::make_document(kApp.app_id, "notes", "b", "more words"))));
  EXPECT_EQ(sync_wait(store.find_collection({kApp, "notes"}))->documents, 2);
  EXPECT_EQ(load(store, kApp, keys).size(), keys.size() - first.size());
  ASSERT_TRUE(sync_wait(store.delete_document(kApp, "a")));
  EXPECT_EQ(sync_wait(store.find_collection({kApp, "notes"}))->documents, 1);
  for (const auto& each : load(store, kApp, keys)) EXPECT_EQ(each.document_id, "b");
  ASSERT_TRUE(sync_wait(store.drop_collection({kApp, "notes"})));
  EXPECT_TRUE(load(store, kApp, keys).empty());
  EXPECT_FALSE(sync_wait(store.find_collection({kApp, "notes"})));
}

/// A document is deleted and written anew while others read it: after the acknowledgement nobody gets the old one.
TEST(ReadCache, NothingComesBackAfterTheAcknowledgement) {
  const testing::ScratchFolder folder;
  const testing::SqliteBox box({.path = folder.file("tessera.db")});
  core::DocumentStore& store = box.store->documents();
  std::atomic<int64_t> newest = 0;
  store.set_listener([&](const core::StoreChange& change) {
    if (change.document) newest = change.document->chunks.front().key;
  });
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop) (void)load(store, kApp, {newest.load()});
    });
  }
  for (int round = 0; round < 200; ++round) {
    ASSERT_TRUE(sync_wait(
        store.put_document(testing::make_document(kApp.app_id, "notes", "a", "round " + std::to_string(round)))));
    const int64_t key = newest;
    ASSERT_EQ(load(store, kApp, {key}).size(), 1U);
    ASSERT_TRUE(sync_wait(store.delete_document(kApp, "a")));
    ASSERT_TRUE(load(store, kApp, {key}).empty());
    ASSERT_TRUE(load(store, kApp, {key}).empty());
  }
  stop = true;
  for (auto& reader : readers) reader.join();
}

}  // namespace
}  // namespace tessera::store
