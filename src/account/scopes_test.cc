#include "account/scopes.h"

#include <gmock/gmock.h>

namespace tessera::account {
namespace {

TEST(ScopeSet, HoldsWhatWasNamedAndNothingElse) {
  const std::vector<std::string> names = {"metrics", "chat", "chat"};
  const auto set = ScopeSet::parse(names);
  ASSERT_TRUE(set);
  EXPECT_THAT(set->names(), testing::ElementsAre("chat", "metrics"));
  EXPECT_TRUE(set->has("chat"));
  EXPECT_FALSE(set->has("admin"));
  EXPECT_FALSE(set->has("none"));
  EXPECT_TRUE(ScopeSet().empty());
  EXPECT_EQ(ScopeSet::all().names().size(), scope_names().size());
}

TEST(ScopeSet, RefusesUnknownNamesSayingWhichExist) {
  const std::vector<std::string> names = {"chat", "root"};
  const auto set = ScopeSet::parse(names);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().name, "UNKNOWN_SCOPE");
  EXPECT_THAT(set.error().message, testing::HasSubstr("chat, ingest, memory, agents, admin, metrics"));
}

}  // namespace
}  // namespace tessera::account
