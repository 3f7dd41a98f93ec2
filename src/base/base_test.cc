#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "base/result.h"
#include "base/thread.h"

namespace tessera::base {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::invalid, "ODD", "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  TESSERA_TRY(const int h, half(n));
  return half(h);
}

TEST(Result, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().name, "ODD");
}

TEST(Clock, FormatsRfc3339) {
  EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_rfc3339(1735689600123), "2025-01-01T00:00:00.123Z");
  EXPECT_EQ(format_rfc3339(-1), "1969-12-31T23:59:59.999Z");
}

TEST(IdSource, MakesDistinctVersionSevenIdsOrderedByTime) {
  ManualClock clock;
  SeededRandom random(1);
  IdSource ids(clock, random);
  std::set<std::string> seen;
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = ids.next();
    ASSERT_EQ(id.size(), 36U);
    EXPECT_EQ(id[14], '7');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
    EXPECT_TRUE(seen.insert(id).second);
    if (!last.empty()) EXPECT_LT(last, id);
    last = id;
    clock.advance(Millis(1));
  }
}

TEST(ClientId, RefusesPathsAndControlCharacters) {
  EXPECT_TRUE(valid_client_id("notes.md-1"));
  for (const char* bad : {"", "a/b", "a b", "a\nb", "a#1", "..\\x"}) EXPECT_FALSE(valid_client_id(bad)) << bad;
}

TEST(Hash, DistinguishesContent) {
  EXPECT_EQ(content_hash("a").size(), 32U);
  EXPECT_NE(content_hash("a"), content_hash("b"));
  EXPECT_EQ(hash64("x"), hash64("x"));
}

TEST(JsonString, EscapesControlCharactersAndQuotes) {
  std::string out;
  append_json_string(out, std::string_view("a\"\\\n\x01\0", 6));
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\\u0000\"");
}

TEST(Thread, HasItsNameAndGivesWayAsItsKindDoes) {
  const int mine = getpriority(PRIO_PROCESS, 0);
  const auto nice_of = [](ThreadKind kind) {
    int nice = 0;
    char name[16] = {};
    std::thread([&] {
      begin_thread("a name longer than allowed", kind);
      nice = getpriority(PRIO_PROCESS, 0);
      pthread_getname_np(pthread_self(), name, sizeof name);
    }).join();
    EXPECT_STREQ(name, "a name longer t");
    return nice;
  };
  EXPECT_EQ(nice_of(ThreadKind::loop), mine);
  EXPECT_EQ(nice_of(ThreadKind::worker), mine);
  EXPECT_EQ(nice_of(ThreadKind::batch), std::min(19, mine + 5));
  EXPECT_EQ(nice_of(ThreadKind::background), std::min(19, mine + 10));
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), mine) << "of that thread only";
}

}  // namespace
}  // namespace tessera::base
