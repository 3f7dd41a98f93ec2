// What both kinds of store promise, case by case. The random walks are in model_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/run_blocking.h"
#include "store/half.h"
#include "store/testing.h"

namespace tessera::store {
namespace {

using async::sync_wait;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_document;

core::CollectionName named(const std::string& app, const std::string& name) {
  return {.tenant = {app}, .name = name};
}

template <class T>
std::string error_name(const base::Result<T>& result) {
  return result ? "none" : result.error().name;
}

core::Session session(const std::string& id, const std::string& user) {
  core::Session made;
  made.session_id = id;
  made.user_id = user;
  return made;
}

core::StoredMessage message(const std::string& id, const std::string& session_id, const std::string& content) {
  core::StoredMessage made;
  made.message_id = id;
  made.session_id = session_id;
  made.content = content;
  return made;
}

class StoreContract : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<testing::Harness> harness_ =
      std::string(GetParam()) == "sqlite" ? testing::make_sqlite_harness() : testing::make_memory_harness();
  core::DocumentStore& documents() { return harness_->documents(); }
  core::ConversationStore& conversations() { return harness_->conversations(); }
  core::TaskStore& tasks() { return harness_->tasks(); }
  core::KeyStore& keys() { return harness_->keys(); }
  core::ResponseOwnerStore& responses() { return harness_->responses(); }

  core::PutReceipt put(core::DocumentWrite write) {
    auto receipt = sync_wait(documents().put_document(std::move(write)));
    EXPECT_TRUE(receipt.has_value()) << error_name(receipt);
    return receipt.value_or(core::PutReceipt{});
  }
};

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, ::testing::Values("memory", "sqlite"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(StoreContract, CreatingACollectionAgainIsFineOnlyWithTheSameSettings) {
  core::CollectionSettings settings;
  settings.chunk_size = 512;
  settings.stemming = true;
  settings.metadata_schema_json = R"({"a":1})";
  const auto first = sync_wait(documents().create_collection(named("a", "notes"), settings));
  ASSERT_TRUE(first.has_value());
  const auto again = sync_wait(documents().create_collection(named("a", "notes"), settings));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(again->settings, settings);
  settings.chunk_overlap = 1;
  EXPECT_EQ(error_name(sync_wait(documents().create_collection(named("a", "notes"), settings))), "COLLECTION_EXISTS");
  const auto other = sync_wait(documents().create_collection(named("b", "notes"), settings));
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->id, first->id);
}

TEST_P(StoreContract, CollectionIdsAreNeverUsedAgain) {
  const auto first = sync_wait(documents().create_collection(named("a", "notes"), {}));
  ASSERT_TRUE(sync_wait(documents().drop_collection(named("a", "notes"))).has_value());
  EXPECT_EQ(error_name(sync_wait(documents().find_collection(named("a", "notes")))), "COLLECTION_NOT_FOUND");
  harness_->reopen();
  const auto second = sync_wait(documents().create_collection(named("a", "notes"), {}));
  EXPECT_GT(second->id, first->id);
}

TEST_P(StoreContract, BadInputIsRefusedByName) {
  EXPECT_EQ(error_name(sync_wait(documents().create_collection(named("", "notes"), {}))), "TENANT_REQUIRED");
  EXPECT_EQ(error_name(sync_wait(documents().create_collection(named("a", "../x"), {}))), "COLLECTION_NAME_INVALID");
  EXPECT_EQ(error_name(sync_wait(documents().put_document(make_document("a", "c", "", "text")))),
            "DOCUMENT_ID_INVALID");
  auto outside = make_document("a", "c", "d", "some text");
  outside.chunks[0].end = 10;
  EXPECT_EQ(error_name(sync_wait(documents().put_document(outside))), "CHUNK_OUT_OF_RANGE");
  auto short_vectors = make_document("a", "c", "d", "some text");
  short_vectors.vectors.pop_back();
  EXPECT_EQ(error_name(sync_wait(documents().put_document(short_vectors))), "VECTORS_MISMATCH");
  for (const char* cursor : {"zz", "6", "abcd", "73313a78"}) {
    EXPECT_EQ(error_name(sync_wait(documents().list_documents({"a"}, "", {.limit = 5, .cursor = cursor}))),
              "CURSOR_INVALID")
        << cursor;
  }
  EXPECT_EQ(error_name(sync_wait(conversations().erase_user({"a"}, ""))), "USER_REQUIRED");
  EXPECT_EQ(error_name(sync_wait(documents().list_documents({"a"}, "missing", {}))), "COLLECTION_NOT_FOUND");
}

TEST_P(StoreContract, SameHashChangesNothing) {
  const auto created = put(make_document("a", "c", "d", "first text"));
  EXPECT_EQ(created.outcome, core::PutOutcome::created);
  const auto same = put(make_document("a", "c", "d", "first text"));
  EXPECT_EQ(same.outcome, core::PutOutcome::unchanged);
  EXPECT_EQ(same.version, 1);
  EXPECT_EQ(same.chunks, created.chunks);
  EXPECT_EQ(same.sequence, 0);
  EXPECT_EQ(*documents().last_sequence(), created.sequence);
  const auto updated = put(make_document("a", "c", "d", "second text"));
  EXPECT_EQ(updated.outcome, core::PutOutcome::updated);
  EXPECT_EQ(updated.version, 2);
  EXPECT_EQ(updated.sequence, created.sequence + 1);
}

TEST_P(StoreContract, ADocumentIdBelongsToOneCollectionOfItsApp) {
  put(make_document("a", "one", "d", "text"));
  const auto refused = sync_wait(documents().put_document(make_document("a", "two", "d", "text")));
  EXPECT_EQ(error_name(refused), "DOCUMENT_IN_OTHER_COLLECTION");
  // The refused write must not leave the collection it would have made.
  EXPECT_EQ(error_name(sync_wait(documents().find_collection(named("a", "two")))), "COLLECTION_NOT_FOUND");
  EXPECT_EQ(put(make_document("b", "two", "d", "text")).outcome, core::PutOutcome::created);
}

TEST_P(StoreContract, FindsSeveralAtOnceInTheOrderAsked) {
  put(make_document("a", "c", "one", "text one"));
  put(make_document("a", "c", "two", "text two"));
  put(make_document("b", "c", "three", "theirs"));
  const auto heads = *sync_wait(documents().find_documents({"a"}, {"two", "three", "", "one", "two"}));
  ASSERT_EQ(heads.size(), 5U);
  EXPECT_EQ(heads[0]->document_id, "two");
  EXPECT_FALSE(heads[1].has_value());
  EXPECT_FALSE(heads[2].has_value());
  EXPECT_EQ(heads[3]->content_hash, sync_wait(documents().find_document({"a"}, "one"))->content_hash);
  EXPECT_EQ(heads[4]->key, heads[0]->key);
  EXPECT_EQ(error_name(sync_wait(documents().find_documents({""}, {"one"}))), "TENANT_REQUIRED");
}

TEST_P(StoreContract, SourcesAreListedByPrefixInOrderWithTheirStamps) {
  const auto put_from = [&](const char* collection, const char* id, const std::string& source, uint64_t stamp) {
    auto write = make_document("a", collection, id, std::string("text of ") + id);
    write.document.head.source = source;
    write.document.head.source_stamp = stamp;
    put(std::move(write));
  };
  const uint64_t high = ~uint64_t{0} - 7;  // all 64 bits come back
  put_from("c", "1", "/v/b.md", 5);
  put_from("c", "2", "/v/a/x.md", high);
  put_from("c", "3", "/v0", 7);
  put_from("c", "4", "/v", 8);
  put_from("c", "5", "", 9);
  put_from("c", "6", "/v/\xff.md", 0);
  put_from("c", "0", "/v/b.md", 6);
  put_from("other", "7", "/v/b.md", 1);
  const auto list = [&] {
    std::string text;
    for (const auto& each : *sync_wait(documents().list_sources(named("a", "c"), "/v/"))) {
      text += each.document_id + '=' + std::to_string(each.stamp) + ' ';
    }
    return text;
  };
  EXPECT_EQ(list(), "2=" + std::to_string(high) + " 0=6 1=5 6=0 ");
  EXPECT_EQ(error_name(sync_wait(documents().list_sources(named("a", "none"), "/v/"))), "COLLECTION_NOT_FOUND");

  // A stamp is kept only with the content it was taken of.
  const auto before = *sync_wait(documents().find_document({"a"}, "1"));
  const auto sequence = *documents().last_sequence();
  ASSERT_TRUE(sync_wait(documents().note_stamps(
      {"a"}, {{"/v/b.md", "1", before.content_hash, 50}, {"", "6", "of another", 60}, {"", "gone", "x", 70}})));
  EXPECT_EQ(list(), "2=" + std::to_string(high) + " 0=6 1=50 6=0 ");
  EXPECT_EQ(sync_wait(documents().find_document({"a"}, "1"))->version, before.version);
  EXPECT_EQ(sync_wait(documents().find_document({"a"}, "1"))->source_stamp, 50U);
  EXPECT_EQ(*documents().last_sequence(), sequence);
  harness_->reopen();
  EXPECT_EQ(list(), "2=" + std::to_string(high) + " 0=6 1=50 6=0 ");
  // New content comes with its own, or none.
  auto changed = make_document("a", "c", "1", "changed");
  changed.document.head.source = "/v/b.md";
  put(std::move(changed));
  EXPECT_EQ(list(), "2=" + std::to_string(high) + " 0=6 1=0 6=0 ");
}

TEST_P(StoreContract, UpdatesKeepTheKeyAndTheBirthdayAndMakeNewChunkKeys) {
  put(make_document("a", "c", "d", "one text that is long enough to be cut into several chunks, surely it is"));
  const auto before = *sync_wait(documents().find_document({"a"}, "d"));
  const auto old_chunks = *sync_wait(documents().load_chunks({"a"}, "d"));
  harness_->clock.advance(base::Millis(1000));
  put(make_document("a", "c", "d", "another text"));
  const auto after = *sync_wait(documents().find_document({"a"}, "d"));
  const auto new_chunks = *sync_wait(documents().load_chunks({"a"}, "d"));
  EXPECT_EQ(after.key, before.key);
  EXPECT_EQ(after.created_at_ms, before.created_at_ms);
  EXPECT_EQ(after.updated_at_ms, before.updated_at_ms + 1000);
  ASSERT_EQ(new_chunks.size(), 1);
  for (const auto& chunk : old_chunks) {
    EXPECT_GT(new_chunks[0].key, chunk.key);
    EXPECT_THAT(*sync_wait(documents().load_passages({"a"}, {chunk.key})), IsEmpty());
  }
}

TEST_P(StoreContract, WhatWasPutComesBackWhole) {
  // Bytes that are no text must survive: NUL, broken UTF-8, and a text of several parts.
  std::string text("nul \0 broken \xff\xc3 end ", 20);
  while (text.size() < 100'000) text += "abcdefghij klmnopq ";
  auto write = make_document("a", "c", "d", text);
  write.document.head.title = std::string("ti\0tle", 6);
  write.document.head.metadata["odd"] = std::string("\xff\0x", 3);
  write.document.head.metadata["huge"] = int64_t{9007199254740993};
  write.document.head.metadata["round"] = 2.0;
  write.chunks.push_back({.start = 32'000, .end = 66'000, .tokens = 3, .heading_path = "over three parts"});
  write.vectors.resize(write.chunks.size() * write.dimensions, 0.25F);
  put(write);
  harness_->reopen();
  const auto document = *sync_wait(documents().load_document({"a"}, "d"));
  EXPECT_EQ(document.text, text);
  EXPECT_EQ(document.head.title, write.document.head.title);
  EXPECT_EQ(document.head.metadata, write.document.head.metadata);
  EXPECT_EQ(document.head.content_type, "text/plain");
  EXPECT_EQ(document.head.source, "/notes/d");
  EXPECT_EQ(document.head.collection, "c");
  EXPECT_EQ(document.head.text_bytes, static_cast<int64_t>(text.size()));
  const auto chunks = *sync_wait(documents().load_chunks({"a"}, "d"));
  ASSERT_EQ(chunks.size(), write.chunks.size());
  std::vector<int64_t> keys;
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i].ordinal, static_cast<int64_t>(i));
    EXPECT_EQ(chunks[i].document_key, document.head.key);
    EXPECT_EQ(chunks[i].start, write.chunks[i].start);
    EXPECT_EQ(chunks[i].tokens, write.chunks[i].tokens);
    EXPECT_EQ(chunks[i].heading_path, write.chunks[i].heading_path);
    keys.push_back(chunks[i].key);
  }
  std::ranges::reverse(keys);
  const auto passages = *sync_wait(documents().load_passages({"a"}, keys));
  ASSERT_EQ(passages.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& p = passages[i];
    EXPECT_EQ(p.chunk_key, keys[i]);
    EXPECT_EQ(p.text, text.substr(static_cast<size_t>(p.start), static_cast<size_t>(p.end - p.start)));
    EXPECT_EQ(p.metadata, write.document.head.metadata);
    EXPECT_EQ(p.title, write.document.head.title);
    EXPECT_EQ(p.document_id, "d");
    EXPECT_EQ(p.score, 0);
  }
}

TEST_P(StoreContract, PassagesOfOthersAndOfNobodyAreLeftOut) {
  put(make_document("a", "c", "d", "mine"));
  put(make_document("b", "c", "d", "theirs"));
  const auto mine = sync_wait(documents().load_chunks({"a"}, "d"))->front().key;
  const auto theirs = sync_wait(documents().load_chunks({"b"}, "d"))->front().key;
  const auto passages = *sync_wait(documents().load_passages({"a"}, {theirs, mine, 999999, -1, mine}));
  ASSERT_EQ(passages.size(), 2);
  EXPECT_EQ(passages[0].text, "mine");
  EXPECT_EQ(passages[1].text, "mine");
}

TEST_P(StoreContract, ListsPageByPage) {
  for (const char* id : {"d", "b", "e", "a", "c"}) put(make_document("t", id < std::string("c") ? "x" : "y", id, id));
  put(make_document("u", "x", "z", "other tenant"));
  std::vector<std::string> seen;
  core::PageRequest request{.limit = 2, .cursor = ""};
  do {
    const auto page = *sync_wait(documents().list_documents({"t"}, "", request));
    EXPECT_LE(page.items.size(), 2);
    for (const auto& head : page.items) seen.push_back(head.document_id);
    request.cursor = page.next_cursor;
  } while (!request.cursor.empty());
  EXPECT_THAT(seen, ElementsAre("a", "b", "c", "d", "e"));
  const auto only = *sync_wait(documents().list_documents({"t"}, "x", {.limit = 2, .cursor = ""}));
  ASSERT_EQ(only.items.size(), 2);
  EXPECT_EQ(only.items[1].document_id, "b");
  EXPECT_EQ(only.next_cursor, "");
}

TEST_P(StoreContract, CollectionsCountWhatTheyHold) {
  put(make_document("a", "c", "d", std::string(100, 'x')));
  put(make_document("a", "c", "e", std::string(10, 'x')));
  auto collection = *sync_wait(documents().find_collection(named("a", "c")));
  EXPECT_EQ(collection.documents, 2);
  EXPECT_EQ(collection.chunks, 4);
  put(make_document("a", "c", "d", "short"));
  ASSERT_TRUE(sync_wait(documents().delete_document({"a"}, "e")).has_value());
  collection = sync_wait(documents().list_collections({"a"}))->front();
  EXPECT_EQ(collection.documents, 1);
  EXPECT_EQ(collection.chunks, 1);
  EXPECT_EQ(error_name(sync_wait(documents().delete_document({"a"}, "e"))), "DOCUMENT_NOT_FOUND");
  EXPECT_EQ(error_name(sync_wait(documents().delete_document({"b"}, "d"))), "DOCUMENT_NOT_FOUND");
}

TEST_P(StoreContract, TheListenerMayReadWhatItIsToldOf) {
  std::vector<std::string> heard;
  documents().set_listener([&](const core::StoreChange& change) {
    const auto key = change.document->chunks.front().key;
    const auto passages = sync_wait(documents().load_passages({"a"}, {key}));
    heard.push_back(passages->at(0).text);
    EXPECT_EQ(*documents().last_sequence(), change.sequence);
  });
  put(make_document("a", "c", "d", "readable"));
  EXPECT_THAT(heard, ElementsAre("readable"));
}

TEST_P(StoreContract, VectorsAreToldAsTheyWillBeReplayed) {
  std::vector<float> told;
  std::vector<float> replayed;
  documents().set_listener([&](const core::StoreChange& change) { told = change.document->vectors; });
  put(make_document("a", "c", "d", "vectors are kept as halves and so lose a little"));
  ASSERT_TRUE(documents().replay(0, [&](const auto& change) { replayed = change.document->vectors; }).has_value());
  EXPECT_EQ(told.size(), 16);
  EXPECT_EQ(told, replayed);
}

TEST_P(StoreContract, SessionsBelongToTheirPerson) {
  const auto opened = sync_wait(conversations().open_session({"a"}, session("s", "ann")));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->created_at_ms, harness_->clock.unix_ms());
  EXPECT_TRUE(sync_wait(conversations().open_session({"a"}, session("s", "ann"))).has_value());
  EXPECT_EQ(error_name(sync_wait(conversations().open_session({"a"}, session("s", "bob")))), "SESSION_NOT_FOUND");
  EXPECT_TRUE(sync_wait(conversations().open_session({"b"}, session("s", "bob"))).has_value());
  EXPECT_EQ(error_name(sync_wait(conversations().find_session({"c"}, "s"))), "SESSION_NOT_FOUND");
}

TEST_P(StoreContract, AMessageIsKeptOnce) {
  (void)sync_wait(conversations().open_session({"a"}, session("s", "ann")));
  core::StoredMessage question = message("m1", "s", "  What   is\nTessera? ");
  core::StoredMessage answer = message("m2", "s", "This.");
  answer.role = core::Role::assistant;
  answer.model = "tessera/extractive";
  answer.state = "cancelled";
  answer.sources_json = "[1]";
  answer.usage = {.prompt_tokens = 7, .completion_tokens = 3, .cost = {125'000'000'000}};
  harness_->clock.advance(base::Millis(500));
  ASSERT_TRUE(sync_wait(conversations().append_messages({"a"}, {question, answer})).has_value());
  question.content = "other words";
  ASSERT_TRUE(sync_wait(conversations().append_messages({"a"}, {question})).has_value());
  harness_->reopen();
  const auto page = *sync_wait(conversations().list_messages({"a"}, "s", {}));
  ASSERT_EQ(page.items.size(), 2);
  EXPECT_EQ(page.items[0].content, "  What   is\nTessera? ");
  EXPECT_EQ(page.items[1].sequence, 2);
  EXPECT_EQ(page.items[1].role, core::Role::assistant);
  EXPECT_EQ(page.items[1].model, "tessera/extractive");
  EXPECT_EQ(page.items[1].state, "cancelled");
  EXPECT_EQ(page.items[1].sources_json, "[1]");
  EXPECT_EQ(page.items[1].usage.prompt_tokens, 7);
  EXPECT_EQ(page.items[1].usage.cost.pico_usd, 125'000'000'000);
  const auto found = *sync_wait(conversations().find_session({"a"}, "s"));
  EXPECT_EQ(found.title, "What is Tessera?");
  EXPECT_EQ(found.messages, 2);
  EXPECT_EQ(found.last_active_ms, found.created_at_ms + 500);
}

TEST_P(StoreContract, AnAppendToAMissingSessionKeepsNothing) {
  (void)sync_wait(conversations().open_session({"a"}, session("s", "ann")));
  const auto refused =
      sync_wait(conversations().append_messages({"a"}, {message("m1", "s", "x"), message("m2", "gone", "y")}));
  EXPECT_EQ(error_name(refused), "SESSION_NOT_FOUND");
  EXPECT_THAT(sync_wait(conversations().list_messages({"a"}, "s", {}))->items, IsEmpty());
}

TEST_P(StoreContract, TasksSurviveAndTheNewestComesFirst) {
  core::TaskRecord task;
  task.task_id = "t1";
  task.kind = "ingest_directory";
  task.path = "/docs/\xff";
  task.watch = true;
  task.key_id = "k1";
  task.state = "watching";
  task.failed = 150;
  for (int i = 0; i < 150; ++i) {
    task.failures.push_back(
        {.item = "bad\xff.pdf",
         .error = base::make_error(base::Code::unreadable, "PDF_BROKEN", "It is broken.", "", "file")});
  }
  ASSERT_TRUE(sync_wait(tasks().save_task({"a"}, task)).has_value());
  harness_->clock.advance(base::Millis(5));
  core::TaskRecord later;
  later.task_id = "t0";
  later.state = "running";
  ASSERT_TRUE(sync_wait(tasks().save_task({"a"}, later)).has_value());
  later.state = "done";
  ASSERT_TRUE(sync_wait(tasks().save_task({"b"}, later)).has_value());
  harness_->reopen();

  const auto found = *sync_wait(tasks().find_task({"a"}, "t1"));
  EXPECT_EQ(found.path, task.path);
  EXPECT_TRUE(found.watch);
  EXPECT_EQ(found.key_id, "k1");
  EXPECT_EQ(found.failed, 150);
  ASSERT_EQ(found.failures.size(), core::kTaskFailuresMax);
  EXPECT_EQ(found.failures[3].item, "bad\xff.pdf");
  EXPECT_EQ(found.failures[3].error.code, base::Code::unreadable);
  EXPECT_EQ(found.failures[3].error.name, "PDF_BROKEN");
  EXPECT_EQ(found.failures[3].error.param, "file");
  EXPECT_EQ(error_name(sync_wait(tasks().find_task({"b"}, "t1"))), "TASK_NOT_FOUND");
  const auto first = *sync_wait(tasks().list_tasks({"a"}, {.limit = 1, .cursor = ""}));
  EXPECT_EQ(first.items.at(0).task_id, "t0");
  const auto second = *sync_wait(tasks().list_tasks({"a"}, {.limit = 1, .cursor = first.next_cursor}));
  EXPECT_EQ(second.items.at(0).task_id, "t1");
  EXPECT_EQ(second.next_cursor, "");
  const auto unfinished = *sync_wait(tasks().unfinished_tasks());
  ASSERT_EQ(unfinished.size(), 2);
  EXPECT_EQ(unfinished[0].first.app_id, "a");
}

core::ApiKey api_key(const std::string& app, const std::string& id, char fill) {
  core::ApiKey key;
  key.key_id = id;
  key.tenant = {app};
  key.hash = std::string(32, fill);
  return key;
}

TEST_P(StoreContract, KeysComeBackWholeOldestFirstOfAllApps) {
  auto key = api_key("b", "k1", '\0');
  key.name = "phone \"app\"";
  key.hint = "x7Qf";
  key.scopes = {"chat", "ingest"};
  key.models = {"gpt-4o", "a,b\n"};
  key.requests_per_minute = 60;
  key.tokens_per_minute = 90'000;
  key.created_at_ms = 20;
  key.expires_at_ms = 30;
  ASSERT_TRUE(sync_wait(keys().add_key(key)));
  auto older = api_key("a", "k2", '\xff');
  older.created_at_ms = 10;
  ASSERT_TRUE(sync_wait(keys().add_key(older)));
  harness_->reopen();
  const auto all = *sync_wait(keys().load_keys());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].key_id, "k2");
  EXPECT_EQ(all[0].hash, older.hash);
  EXPECT_EQ(all[1].tenant.app_id, "b");
  EXPECT_EQ(all[1].name, key.name);
  EXPECT_EQ(all[1].hint, key.hint);
  EXPECT_EQ(all[1].hash, key.hash);
  EXPECT_EQ(all[1].scopes, key.scopes);
  EXPECT_EQ(all[1].models, key.models);
  EXPECT_EQ(all[1].requests_per_minute, 60);
  EXPECT_EQ(all[1].tokens_per_minute, 90'000);
  EXPECT_EQ(all[1].created_at_ms, 20);
  EXPECT_EQ(all[1].expires_at_ms, 30);
  EXPECT_EQ(all[1].revoked_at_ms, 0);
}

TEST_P(StoreContract, AKeyOrItsHashIsAddedOnceAndRevokedByItsOwnAppOnly) {
  ASSERT_TRUE(sync_wait(keys().add_key(api_key("a", "k", 'x'))));
  EXPECT_EQ(error_name(sync_wait(keys().add_key(api_key("a", "k", 'y')))), "KEY_EXISTS");
  EXPECT_EQ(error_name(sync_wait(keys().add_key(api_key("b", "other", 'x')))), "KEY_EXISTS");
  EXPECT_EQ(error_name(sync_wait(keys().add_key(api_key("", "k", 'z')))), "TENANT_REQUIRED");
  auto bare = api_key("a", "bare", 'z');
  bare.hash = "short";
  EXPECT_EQ(error_name(sync_wait(keys().add_key(bare))), "KEY_HASH_INVALID");

  EXPECT_EQ(error_name(sync_wait(keys().revoke_key({"b"}, "k", 5))), "KEY_NOT_FOUND");
  EXPECT_EQ(sync_wait(keys().revoke_key({"a"}, "k", 5))->revoked_at_ms, 5);
  EXPECT_EQ(sync_wait(keys().revoke_key({"a"}, "k", 9))->revoked_at_ms, 5) << "a second time changes nothing";
  harness_->reopen();
  EXPECT_EQ(sync_wait(keys().load_keys())->at(0).revoked_at_ms, 5);
}

TEST_P(StoreContract, TheFirstToNameAResponseOwnsItForThirtyDays) {
  const int64_t day = 86'400'000;
  const auto add = [&](const char* app, const char* id, int64_t at) {
    return error_name(
        sync_wait(responses().add_owner({.response_id = id, .tenant = {app}, .model = "m", .created_at_ms = at})));
  };
  const auto owner = [&](const char* id, int64_t now) {
    const auto found = *sync_wait(responses().find_owner(id, now));
    return found ? found->tenant.app_id : "";
  };
  EXPECT_EQ(add("", "r", 0), "TENANT_REQUIRED");
  EXPECT_EQ(add("a", "", 0), "RESPONSE_ID_INVALID");
  EXPECT_EQ(add("a", "r", day), "none");
  EXPECT_EQ(add("b", "r", 2 * day), "none");
  harness_->reopen();
  EXPECT_EQ(owner("r", 2 * day), "a") << "the first";
  EXPECT_EQ(owner("r", 31 * day), "a");
  EXPECT_EQ(owner("r", 31 * day + 1), "") << "providers do not keep it any longer";
  ASSERT_TRUE(sync_wait(responses().delete_owner({"b"}, "r")));
  EXPECT_EQ(owner("r", 2 * day), "a") << "another app's is not forgotten";
  ASSERT_TRUE(sync_wait(responses().delete_owner({"a"}, "r")));
  EXPECT_EQ(owner("r", 2 * day), "");
  EXPECT_EQ(add("b", "r", 3 * day), "none");
  EXPECT_EQ(add("a", "r", 40 * day), "none") << "a name that has grown too old is free";
  EXPECT_EQ(owner("r", 40 * day), "a");
}

TEST(Halves, EveryHalfSurvivesTheRoundTripAndFloatsRoundToTheNearest) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<float> floats(all.size());
  decode_halves(all, floats);
  std::vector<uint16_t> back(all.size());
  encode_halves(floats, back);
  for (size_t i = 0; i < all.size(); ++i) {
    const bool nan = (i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0;
    if (nan) {
      EXPECT_EQ(back[i] & 0x7C00, 0x7C00);
      EXPECT_NE(back[i] & 0x3FF, 0);
    } else {
      ASSERT_EQ(back[i], all[i]) << i;
    }
  }
  // One value at a time takes the portable way, eight the processor's.
  base::SeededRandom random(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<float> eight(8);
    for (float& value : eight) value = (static_cast<float>(random.below(1 << 24)) - 8388608.0F) * 0x1p-14F;
    std::vector<uint16_t> wide(8);
    encode_halves(eight, wide);
    for (size_t i = 0; i < 8; ++i) {
      uint16_t one = 0;
      encode_halves(std::span(eight).subspan(i, 1), std::span(&one, 1));
      ASSERT_EQ(one, wide[i]) << eight[i];
    }
  }
}

}  // namespace
}  // namespace tessera::store
