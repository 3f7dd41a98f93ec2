// Random walks over both kinds of store, beside a trivial model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "async/run_blocking.h"
#include "store/rules.h"
#include "store/testing.h"

namespace tessera::store {
namespace {

using async::sync_wait;
using testing::Follower;
using testing::make_document;

struct Expected {
  core::DocumentWrite write;
  int64_t version = 0;
};
using DocumentId = std::pair<std::string, std::string>;

/// Performs random operations and compares every answer with the model's.
class DocumentWalk {
 public:
  DocumentWalk(testing::Harness& harness, uint64_t seed) : harness_(harness), random_(seed) { listen(); }

  void step() {
    harness_.clock.advance(base::Millis(random_.below(5)));
    switch (random_.below(20)) {
      case 0:
        return drop();
      case 1:
      case 2:
      case 3:
        return remove();
      case 4:
        return create();
      case 5:
        return list();
      case 6:
        return replay();
      case 7:
        if (random_.below(20) == 0 && harness_.reopen()) listen();
        return;
      case 8:
      case 9:
      case 10:
        return read();
      default:
        return put();
    }
  }

  void finish() {
    list();
    replay();
    for (const auto& [id, expected] : documents_) check(id, expected);
  }

 private:
  core::DocumentStore& store() { return harness_.documents(); }

  void listen() {
    store().set_listener([this](const core::StoreChange& change) {
      EXPECT_EQ(change.sequence, live_.sequence + 1) << "a gap";
      live_.apply(change);
      if (random_.below(40) == 0) past_.push_back(live_);
    });
  }

  std::string any_app() { return std::string(1, static_cast<char>('a' + random_.below(3))); }
  std::string any_collection() { return "c" + std::to_string(random_.below(3)); }
  std::string any_id() { return "doc" + std::to_string(random_.below(25)); }

  void put() {
    const std::string app = any_app();
    auto write = make_document(app, any_collection(), any_id(), testing::random_text(random_, random_.below(40)));
    const DocumentId id{app, write.document.head.document_id};
    const auto known = documents_.find(id);
    if (known != documents_.end() && random_.below(4) == 0) write = known->second.write;
    const auto receipt = sync_wait(store().put_document(write));
    if (known == documents_.end()) {
      ASSERT_TRUE(receipt.has_value()) << receipt.error().name;
      EXPECT_EQ(receipt->outcome, core::PutOutcome::created);
      collections_.insert({app, write.collection.name});
      documents_[id] = {write, 1};
    } else if (known->second.write.collection != write.collection) {
      ASSERT_FALSE(receipt.has_value());
      EXPECT_EQ(receipt.error().name, "DOCUMENT_IN_OTHER_COLLECTION");
      return;
    } else if (known->second.write.document.head.content_hash == write.document.head.content_hash) {
      ASSERT_TRUE(receipt.has_value()) << receipt.error().name;
      EXPECT_EQ(receipt->outcome, core::PutOutcome::unchanged);
      return;
    } else {
      ASSERT_TRUE(receipt.has_value()) << receipt.error().name;
      EXPECT_EQ(receipt->outcome, core::PutOutcome::updated);
      known->second = {write, known->second.version + 1};
    }
    EXPECT_EQ(receipt->version, documents_[id].version);
    EXPECT_EQ(receipt->sequence, live_.sequence) << "acknowledged before the listener knew";
    check_chunk_keys(id);
  }

  void check_chunk_keys(const DocumentId& id) {
    const auto chunks = sync_wait(store().load_chunks({id.first}, id.second));
    ASSERT_TRUE(chunks.has_value());
    for (const auto& chunk : *chunks) EXPECT_TRUE(chunk_keys_.insert(chunk.key).second) << "a chunk key came twice";
  }

  void remove() {
    const DocumentId id{any_app(), any_id()};
    const auto removed = sync_wait(store().delete_document({id.first}, id.second));
    EXPECT_EQ(removed.has_value(), documents_.erase(id) == 1);
  }

  void create() {
    const core::CollectionName name{.tenant = {any_app()}, .name = any_collection()};
    const auto created = sync_wait(store().create_collection(name, {}));
    EXPECT_TRUE(created.has_value());
    collections_.insert({name.tenant.app_id, name.name});
  }

  void drop() {
    if (random_.below(3) != 0) return;
    const core::CollectionName name{.tenant = {any_app()}, .name = any_collection()};
    const auto dropped = sync_wait(store().drop_collection(name));
    EXPECT_EQ(dropped.has_value(), collections_.erase({name.tenant.app_id, name.name}) == 1);
    std::erase_if(documents_, [&](const auto& item) { return item.second.write.collection == name; });
  }

  void read() {
    const DocumentId id{any_app(), any_id()};
    const auto known = documents_.find(id);
    if (known != documents_.end()) return check(id, known->second);
    EXPECT_FALSE(sync_wait(store().find_document({id.first}, id.second)).has_value());
    EXPECT_FALSE(sync_wait(store().load_document({id.first}, id.second)).has_value());
    EXPECT_FALSE(sync_wait(store().load_chunks({id.first}, id.second)).has_value());
  }

  void check(const DocumentId& id, const Expected& expected) {
    const auto document = sync_wait(store().load_document({id.first}, id.second));
    ASSERT_TRUE(document.has_value()) << id.first << "/" << id.second;
    EXPECT_EQ(document->text, expected.write.document.text);
    EXPECT_EQ(document->head.version, expected.version);
    EXPECT_EQ(document->head.metadata, expected.write.document.head.metadata);
    EXPECT_EQ(document->head.collection, expected.write.collection.name);
    const auto chunks = sync_wait(store().load_chunks({id.first}, id.second));
    ASSERT_EQ(chunks->size(), expected.write.chunks.size());
    std::vector<int64_t> keys;
    for (const auto& chunk : *chunks) keys.push_back(chunk.key);
    const auto passages = sync_wait(store().load_passages({id.first}, keys));
    ASSERT_EQ(passages->size(), keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto& chunk = expected.write.chunks[i];
      EXPECT_EQ(passages->at(i).text,
                document->text.substr(static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start)));
      EXPECT_EQ(passages->at(i).heading_path, chunk.heading_path);
    }
    EXPECT_TRUE(sync_wait(store().load_passages({"stranger"}, keys))->empty());
  }

  void list() {
    const std::string app = any_app();
    const std::string collection = random_.below(2) == 0 ? "" : any_collection();
    std::vector<std::string> seen;
    core::PageRequest request{.limit = static_cast<int64_t>(1 + random_.below(12)), .cursor = ""};
    do {
      const auto page = sync_wait(store().list_documents({app}, collection, request));
      if (!page) {
        EXPECT_FALSE(collections_.contains({app, collection}));
        return;
      }
      for (const auto& head : page->items) seen.push_back(head.document_id);
      request.cursor = page->next_cursor;
    } while (!request.cursor.empty());
    std::vector<std::string> wanted;
    for (const auto& [id, expected] : documents_) {
      if (id.first == app && (collection.empty() || expected.write.collection.name == collection)) {
        wanted.push_back(id.second);
      }
    }
    EXPECT_EQ(seen, wanted);
    counts(app);
  }

  void counts(const std::string& app) {
    const auto listed = sync_wait(store().list_collections({app}));
    std::set<std::pair<std::string, std::string>> names;
    for (const auto& collection : *listed) {
      names.insert({app, collection.name.name});
      int64_t documents = 0;
      int64_t chunks = 0;
      for (const auto& [id, expected] : documents_) {
        if (expected.write.collection != collection.name) continue;
        ++documents;
        chunks += static_cast<int64_t>(expected.write.chunks.size());
      }
      EXPECT_EQ(collection.documents, documents);
      EXPECT_EQ(collection.chunks, chunks);
    }
    for (const auto& name : collections_) EXPECT_EQ(names.contains(name), name.first == app);
  }

  void replay() {
    EXPECT_EQ(*store().last_sequence(), live_.sequence);
    Follower fresh;
    ASSERT_TRUE(store().replay(0, [&](const auto& change) { fresh.apply(change); }).has_value());
    EXPECT_EQ(fresh.documents, live_.documents) << "from nothing";
    if (past_.empty()) return;
    Follower behind = past_[random_.below(past_.size())];
    int64_t last = behind.sequence;
    const auto follow = [&](const core::StoreChange& change) {
      EXPECT_GT(change.sequence, last);
      last = change.sequence;
      behind.apply(change);
    };
    ASSERT_TRUE(store().replay(behind.sequence, follow).has_value());
    EXPECT_EQ(behind.documents, live_.documents) << "from " << behind.sequence;
  }

  testing::Harness& harness_;
  base::SeededRandom random_;
  std::map<DocumentId, Expected> documents_;
  std::set<std::pair<std::string, std::string>> collections_;
  std::set<int64_t> chunk_keys_;
  Follower live_;
  std::vector<Follower> past_;
};

/// The same for conversations.
class ConversationWalk {
 public:
  ConversationWalk(testing::Harness& harness, uint64_t seed) : harness_(harness), random_(seed) {}

  void step() {
    harness_.clock.advance(base::Millis(random_.below(3)));
    switch (random_.below(12)) {
      case 0:
        return remove();
      case 1:
        return erase();
      case 2:
      case 3:
        return open();
      case 4:
      case 5:
        return list();
      case 6:
        if (random_.below(20) == 0) harness_.reopen();
        return;
      case 7:
      case 8:
        return read();
      default:
        return append();
    }
  }

 private:
  struct Known {
    core::Session session;
    std::vector<core::StoredMessage> messages;
  };
  using Id = std::pair<std::string, std::string>;

  core::ConversationStore& store() { return harness_.conversations(); }
  Id any_id() {
    return {std::string(1, static_cast<char>('a' + random_.below(2))), "s" + std::to_string(random_.below(12))};
  }
  std::string any_user() { return "u" + std::to_string(random_.below(3)); }

  void open() {
    const Id id = any_id();
    core::Session wanted;
    wanted.session_id = id.second;
    wanted.user_id = any_user();
    const auto opened = sync_wait(store().open_session({id.first}, wanted));
    const auto known = sessions_.find(id);
    if (known != sessions_.end() && known->second.session.user_id != wanted.user_id) {
      EXPECT_FALSE(opened.has_value());
      return;
    }
    ASSERT_TRUE(opened.has_value());
    if (known == sessions_.end()) {
      wanted.created_at_ms = wanted.last_active_ms = harness_.clock.unix_ms();
      sessions_[id].session = wanted;
    }
    same(*opened, sessions_[id].session);
  }

  static void same(const core::Session& a, const core::Session& b) {
    EXPECT_EQ(a.session_id, b.session_id);
    EXPECT_EQ(a.user_id, b.user_id);
    EXPECT_EQ(a.title, b.title);
    EXPECT_EQ(a.created_at_ms, b.created_at_ms);
    EXPECT_EQ(a.last_active_ms, b.last_active_ms);
    EXPECT_EQ(a.messages, b.messages);
  }

  void append() {
    const Id id = any_id();
    std::vector<core::StoredMessage> messages;
    for (size_t n = 1 + random_.below(3); n > 0; --n) {
      core::StoredMessage message;
      message.session_id = id.second;
      message.message_id = "m" + std::to_string(random_.below(60));
      message.role = random_.below(2) == 0 ? core::Role::user : core::Role::assistant;
      message.content = testing::random_text(random_, random_.below(30));
      messages.push_back(message);
    }
    const auto done = sync_wait(store().append_messages({id.first}, messages));
    const auto known = sessions_.find(id);
    ASSERT_EQ(done.has_value(), known != sessions_.end());
    if (!done) return;
    auto& [session, kept] = known->second;
    for (auto& message : messages) {
      if (std::ranges::any_of(kept, [&](const auto& k) { return k.message_id == message.message_id; })) continue;
      message.created_at_ms = harness_.clock.unix_ms();
      message.sequence = ++session.messages;
      session.last_active_ms = harness_.clock.unix_ms();
      if (session.title.empty() && message.role == core::Role::user) session.title = session_title(message.content);
      kept.push_back(message);
    }
  }

  void read() {
    const Id id = any_id();
    const auto known = sessions_.find(id);
    const auto found = sync_wait(store().find_session({id.first}, id.second));
    ASSERT_EQ(found.has_value(), known != sessions_.end());
    const auto limit = static_cast<int64_t>(random_.below(8));
    const auto recent = sync_wait(store().recent_messages({id.first}, id.second, limit));
    ASSERT_EQ(recent.has_value(), known != sessions_.end());
    if (!found) return;
    same(*found, known->second.session);
    std::vector<core::StoredMessage> all;
    core::PageRequest request{.limit = static_cast<int64_t>(1 + random_.below(9)), .cursor = ""};
    do {
      const auto page = sync_wait(store().list_messages({id.first}, id.second, request));
      ASSERT_TRUE(page.has_value());
      all.insert(all.end(), page->items.begin(), page->items.end());
      request.cursor = page->next_cursor;
    } while (!request.cursor.empty());
    const auto& kept = known->second.messages;
    ASSERT_EQ(all.size(), kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      EXPECT_EQ(all[i].message_id, kept[i].message_id);
      EXPECT_EQ(all[i].content, kept[i].content);
      EXPECT_EQ(all[i].sequence, static_cast<int64_t>(i) + 1);
      EXPECT_EQ(all[i].created_at_ms, kept[i].created_at_ms);
    }
    ASSERT_EQ(recent->size(), std::min(kept.size(), static_cast<size_t>(limit)));
    for (size_t i = 0; i < recent->size(); ++i) {
      EXPECT_EQ(recent->at(i).message_id, kept[kept.size() - recent->size() + i].message_id);
    }
  }

  void list() {
    const std::string app = any_id().first;
    const std::string user = random_.below(2) == 0 ? "" : any_user();
    std::vector<core::Session> wanted;
    for (const auto& [id, known] : sessions_) {
      if (id.first == app && (user.empty() || known.session.user_id == user)) wanted.push_back(known.session);
    }
    std::ranges::sort(wanted, std::greater(), [](const auto& s) { return std::pair(s.last_active_ms, s.session_id); });
    std::vector<core::Session> seen;
    core::PageRequest request{.limit = static_cast<int64_t>(1 + random_.below(5)), .cursor = ""};
    do {
      const auto page = sync_wait(store().list_sessions({app}, user, request));
      ASSERT_TRUE(page.has_value());
      seen.insert(seen.end(), page->items.begin(), page->items.end());
      request.cursor = page->next_cursor;
    } while (!request.cursor.empty());
    ASSERT_EQ(seen.size(), wanted.size());
    for (size_t i = 0; i < seen.size(); ++i) same(seen[i], wanted[i]);
  }

  void remove() {
    const Id id = any_id();
    const auto removed = sync_wait(store().delete_session({id.first}, id.second));
    EXPECT_EQ(removed.has_value(), sessions_.erase(id) == 1);
  }

  void erase() {
    if (random_.below(4) != 0) return;
    const std::string app = any_id().first;
    const std::string user = any_user();
    const auto erased = sync_wait(store().erase_user({app}, user));
    const auto wanted = std::erase_if(
        sessions_, [&](const auto& item) { return item.first.first == app && item.second.session.user_id == user; });
    EXPECT_EQ(*erased, static_cast<int64_t>(wanted));
  }

  testing::Harness& harness_;
  base::SeededRandom random_;
  std::map<Id, Known> sessions_;
};

/// Adds and revokes keys of three apps.
class KeyWalk {
 public:
  KeyWalk(testing::Harness& harness, uint64_t seed) : harness_(harness), random_(seed) {}

  void step() {
    harness_.clock.advance(base::Millis(1));
    const Id id{{std::string(1, static_cast<char>('a' + random_.below(3)))}, std::to_string(random_.below(40))};
    switch (random_.below(8)) {
      case 0:
      case 1:
      case 2:
        return add(id);
      case 3:
      case 4:
        return revoke(id);
      case 5:
        if (random_.below(10) == 0) harness_.reopen();
        return;
      default:
        return compare();
    }
  }

 private:
  using Id = std::pair<core::Tenant, std::string>;

  void add(const Id& id) {
    core::ApiKey key;
    key.tenant = id.first;
    key.key_id = id.second;
    key.hash = std::string(32, static_cast<char>(random_.below(120)));
    key.created_at_ms = harness_.clock.unix_ms();
    const auto added = sync_wait(harness_.keys().add_key(key));
    const bool fresh = !keys_.contains(id) &&
                       std::ranges::none_of(keys_, [&](const auto& item) { return item.second.hash == key.hash; });
    EXPECT_EQ(added.has_value(), fresh);
    if (fresh) keys_[id] = key;
  }

  void revoke(const Id& id) {
    const int64_t now = harness_.clock.unix_ms();
    const auto revoked = sync_wait(harness_.keys().revoke_key(id.first, id.second, now));
    const auto it = keys_.find(id);
    ASSERT_EQ(revoked.has_value(), it != keys_.end());
    if (it == keys_.end()) return;
    if (it->second.revoked_at_ms == 0) it->second.revoked_at_ms = now;
    EXPECT_EQ(revoked->revoked_at_ms, it->second.revoked_at_ms);
  }

  void compare() {
    std::vector<core::ApiKey> wanted;
    for (const auto& [id, key] : keys_) wanted.push_back(key);
    std::ranges::sort(wanted, {}, [](const auto& k) { return k.created_at_ms; });
    const auto all = *sync_wait(harness_.keys().load_keys());
    ASSERT_EQ(all.size(), wanted.size());
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(std::tie(all[i].tenant, all[i].key_id, all[i].hash, all[i].revoked_at_ms),
                std::tie(wanted[i].tenant, wanted[i].key_id, wanted[i].hash, wanted[i].revoked_at_ms));
    }
  }

  testing::Harness& harness_;
  base::SeededRandom random_;
  std::map<Id, core::ApiKey> keys_;
};

/// Three apps name responses, and forget them, while months go by.
class ResponseWalk {
 public:
  ResponseWalk(testing::Harness& harness, uint64_t seed) : harness_(harness), random_(seed) {}

  void step() {
    now_ += static_cast<int64_t>(random_.below(core::kResponseKeptMs / 20));
    const std::string app(1, static_cast<char>('a' + random_.below(3)));
    const std::string id = std::to_string(random_.below(60));
    const bool known = owners_.contains(id) && owners_[id].created_at_ms >= now_ - core::kResponseKeptMs;
    switch (random_.below(8)) {
      case 0:
      case 1:
      case 2: {
        const core::ResponseOwner owner{.response_id = id,
                                        .tenant = {app},
                                        .model = "m" + std::to_string(now_),
                                        .created_at_ms = now_,
                                        .endpoint = "e" + std::to_string(now_ % 3)};
        ASSERT_TRUE(sync_wait(harness_.responses().add_owner(owner)));
        if (!known) owners_[id] = owner;
        return;
      }
      case 3:
        ASSERT_TRUE(sync_wait(harness_.responses().delete_owner({app}, id)));
        if (known && owners_[id].tenant.app_id == app) owners_.erase(id);
        return;
      case 4:
        if (random_.below(10) == 0) harness_.reopen();
        return;
      default: {
        const auto found = *sync_wait(harness_.responses().find_owner(id, now_));
        ASSERT_EQ(found.has_value(), known);
        if (!known) return;
        EXPECT_EQ(found->tenant, owners_[id].tenant);
        EXPECT_EQ(found->model, owners_[id].model);
        EXPECT_EQ(found->created_at_ms, owners_[id].created_at_ms);
        EXPECT_EQ(found->endpoint, owners_[id].endpoint);
      }
    }
  }

 private:
  testing::Harness& harness_;
  base::SeededRandom random_;
  int64_t now_ = 1'700'000'000'000;
  std::map<std::string, core::ResponseOwner> owners_;
};

class StoreModel : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<testing::Harness> harness_ =
      std::string(GetParam()) == "sqlite" ? testing::make_sqlite_harness() : testing::make_memory_harness();
  uint64_t seed_ = std::random_device()();
};

INSTANTIATE_TEST_SUITE_P(Stores, StoreModel, ::testing::Values("memory", "sqlite"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(StoreModel, DocumentsFollowTheModel) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  DocumentWalk walk(*harness_, seed_);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) walk.step();
  walk.finish();
}

TEST_P(StoreModel, ConversationsFollowTheModel) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  ConversationWalk walk(*harness_, seed_);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) walk.step();
}

TEST_P(StoreModel, KeysFollowTheModel) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  KeyWalk walk(*harness_, seed_);
  for (int i = 0; i < 1500 && !HasFailure(); ++i) walk.step();
}

TEST_P(StoreModel, ResponsesFollowTheModel) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  ResponseWalk walk(*harness_, seed_);
  for (int i = 0; i < 1500 && !HasFailure(); ++i) walk.step();
}

}  // namespace
}  // namespace tessera::store
