#include "account/keys.h"

#include <gmock/gmock.h>

#include <random>
#include <regex>
#include <set>
#include <thread>

#include "async/run_blocking.h"
#include "store/memory/memory_store.h"

namespace tessera::account {
namespace {

using async::sync_wait;
using testing::HasSubstr;

const std::vector<std::string> kChat = {"chat"};

NewKey chat_key(const std::string& name) {
  return {.name = name, .scopes = *ScopeSet::parse(kChat), .models = {}};
}

struct World {
  base::ManualClock clock;
  base::SystemRandom random;
  base::IdSource ids{clock, random};
  store::MemoryStore store{clock};
  KeyRing ring{{store.keys(), clock, random, ids}};

  IssuedKey issue(const std::string& app, NewKey wanted = chat_key("a key")) {
    return *sync_wait(ring.create({app}, std::move(wanted)));
  }
};

TEST(KeyRing, OpensItsAppWithAKeyThatIsShownOnceAndKeptAsAHash) {
  World world;
  EXPECT_TRUE(world.ring.empty());
  const IssuedKey issued = world.issue("phone");
  EXPECT_TRUE(std::regex_match(issued.secret, std::regex("tsk_[A-Za-z0-9_-]{43}")));
  EXPECT_FALSE(world.ring.empty());
  const auto grant = world.ring.check(issued.secret);
  ASSERT_TRUE(grant);
  EXPECT_EQ((*grant)->key.tenant.app_id, "phone");
  EXPECT_TRUE((*grant)->scopes.has("chat"));
  EXPECT_FALSE((*grant)->scopes.has("ingest"));
  EXPECT_EQ((*grant)->meter, nullptr);
  const auto stored = *sync_wait(world.store.keys().load_keys());
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].hash, base::as_bytes(base::sha256(issued.secret)));
  EXPECT_EQ(stored[0].hint, issued.secret.substr(43));
  EXPECT_EQ(world.ring.list({"phone"}).size(), 1U);
  EXPECT_TRUE(world.ring.list({"web"}).empty());
}

TEST(KeyRing, MakesSecretsOfAllBits) {
  base::SeededRandom random(3);
  std::array<std::set<char>, 47> seen;
  for (int i = 0; i < 5000; ++i) {
    const std::string secret = make_secret(random);
    ASSERT_EQ(secret.size(), 47U);
    for (size_t at = 0; at < secret.size(); ++at) seen[at].insert(secret[at]);
  }
  for (size_t at = 4; at < 46; ++at) EXPECT_EQ(seen[at].size(), 64U) << at;
  EXPECT_EQ(seen[46].size(), 16U);
}

TEST(KeyRing, RefusesWhatIsNoKeyOfItsSayingWhatToDo) {
  World world;
  std::string secret = world.issue("phone").secret;
  for (const std::string& wrong : {std::string(), std::string("tsk_"), secret + "x", "xsk" + secret.substr(3),
                                   secret.substr(0, 46) + (secret[46] == 'A' ? "B" : "A"), std::string(1 << 20, 'x')}) {
    const auto refused = world.ring.check(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().name, "UNAUTHENTICATED");
    EXPECT_THAT(refused.error().message, HasSubstr("tessera keys create"));
  }
}

TEST(KeyRing, RevokedAndExpiredKeysOpenNothingAtOnceAndAfterARestart) {
  World world;
  const IssuedKey revoked = world.issue("phone");
  auto brief = chat_key("brief");
  brief.expires_in_seconds = 60;
  const IssuedKey expiring = world.issue("phone", brief);
  EXPECT_EQ(sync_wait(world.ring.revoke({"web"}, revoked.key.key_id)).error().name, "KEY_NOT_FOUND");
  EXPECT_TRUE(world.ring.check(revoked.secret));
  ASSERT_TRUE(sync_wait(world.ring.revoke({"phone"}, revoked.key.key_id)));
  EXPECT_THAT(world.ring.check(revoked.secret).error().message, HasSubstr("was revoked"));
  EXPECT_TRUE(world.ring.check(expiring.secret));
  world.clock.advance(base::Millis(60'000));
  EXPECT_THAT(world.ring.check(expiring.secret).error().message, HasSubstr("has expired"));
  EXPECT_TRUE(world.ring.empty());

  KeyRing again({world.store.keys(), world.clock, world.random, world.ids});
  ASSERT_TRUE(sync_wait(again.load()));
  EXPECT_FALSE(again.check(revoked.secret));
  EXPECT_FALSE(again.check(expiring.secret));
  EXPECT_EQ(again.list({"phone"}).size(), 2U);
}

TEST(KeyRing, RefusesKeysThatMakeNoSense) {
  World world;
  const auto field = [&](const std::string& app, const NewKey& wanted) {
    const auto refused = sync_wait(world.ring.create({app}, wanted));
    return refused ? "none" : refused.error().param;
  };
  NewKey good = chat_key("x");
  EXPECT_EQ(field("", good), "app_id");
  EXPECT_EQ(field("../x", good), "app_id");
  NewKey bad = good;
  bad.scopes = {};
  EXPECT_EQ(field("a", bad), "scopes");
  bad = good;
  bad.name = std::string(201, 'x');
  EXPECT_EQ(field("a", bad), "name");
  bad = good;
  bad.models = {"gpt-4o", ""};
  EXPECT_EQ(field("a", bad), "models");
  bad = good;
  bad.requests_per_minute = -1;
  EXPECT_EQ(field("a", bad), "requests_per_minute");
  bad = good;
  bad.expires_in_seconds = kKeySecondsMax + 1;
  EXPECT_EQ(field("a", bad), "expires_in_seconds");
  EXPECT_EQ(field("a", good), "none");
}

TEST(KeyRing, FollowsTheModel) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  base::SeededRandom dice(seed);
  World world;
  struct Known {
    std::string app;
    std::string id;
    bool revoked = false;
    int64_t expires_at_ms = 0;
  };
  std::map<std::string, Known> model;
  std::vector<std::string> secrets;
  auto ring = std::make_unique<KeyRing>(KeyRing::Means{world.store.keys(), world.clock, world.random, world.ids});
  for (int step = 0; step < 3000 && !testing::Test::HasFailure(); ++step) {
    world.clock.advance(base::Millis(dice.below(3000)));
    const std::string app(1, static_cast<char>('a' + dice.below(3)));
    const uint64_t what = secrets.empty() ? 0 : dice.below(40);
    if (what < 4) {
      NewKey wanted = chat_key("k");
      wanted.expires_in_seconds = static_cast<int64_t>(dice.below(2) * dice.below(2000));
      const auto issued = *sync_wait(ring->create({app}, wanted));
      ASSERT_TRUE(model.try_emplace(issued.secret, app, issued.key.key_id, false, issued.key.expires_at_ms).second);
      secrets.push_back(issued.secret);
    } else if (what < 7) {
      Known& known = model.at(secrets[dice.below(secrets.size())]);
      const bool own = known.app == app;
      ASSERT_EQ(sync_wait(ring->revoke({app}, known.id)).has_value(), own);
      known.revoked = known.revoked || own;
    } else if (what == 7) {
      ring = std::make_unique<KeyRing>(KeyRing::Means{world.store.keys(), world.clock, world.random, world.ids});
      ASSERT_TRUE(sync_wait(ring->load()));
    } else {
      const std::string& secret = secrets[dice.below(secrets.size())];
      const Known& known = model.at(secret);
      const auto grant = ring->check(secret);
      const bool expired = known.expires_at_ms != 0 && known.expires_at_ms <= world.clock.unix_ms();
      ASSERT_EQ(grant.has_value(), !known.revoked && !expired);
      if (grant) {
        EXPECT_EQ((*grant)->key.tenant.app_id, known.app);
      }
      EXPECT_EQ(ring->find(known.id)->key.tenant.app_id, known.app);
    }
  }
  for (const core::ApiKey& key : ring->list({"a"})) EXPECT_EQ(key.tenant.app_id, "a");
  EXPECT_EQ(ring->list_all().size(), secrets.size());
}

TEST(KeyRing, IsCheckedWhileKeysComeAndGo) {
  World world;
  const IssuedKey steady = world.issue("phone");
  std::atomic<bool> stop = false;
  std::atomic<int64_t> wrong = 0;
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        while (!stop) {
          const auto grant = world.ring.check(steady.secret);
          if (!grant || (*grant)->key.tenant.app_id != "phone") ++wrong;
        }
      });
    }
    for (int i = 0; i < 300; ++i) {
      const IssuedKey other = world.issue("web");
      if (!world.ring.check(other.secret)) ++wrong;
      if (!sync_wait(world.ring.revoke({"web"}, other.key.key_id))) ++wrong;
      if (world.ring.check(other.secret)) ++wrong;
    }
    stop = true;
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tessera::account
