#include <gtest/gtest.h>

#include "core/context.h"
#include "core/documents.h"
#include "core/metadata.h"
#include "core/tenant.h"

namespace tessera::core {
namespace {

Filter leaf(Filter::Op op, std::string field, MetadataValue value) {
  return Filter{.op = op, .field = std::move(field), .values = {std::move(value)}, .children = {}};
}

const Metadata kMetadata = {{"author", std::string("Ada")},
                            {"year", int64_t{1843}},
                            {"score", 0.5},
                            {"tags", std::vector<std::string>{"engine", "notes"}},
                            {"draft", false}};

TEST(Filter, ComparesByType) {
  EXPECT_TRUE(matches(leaf(Filter::Op::eq, "author", std::string("Ada")), kMetadata));
  EXPECT_FALSE(matches(leaf(Filter::Op::eq, "author", std::string("ada")), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::eq, "tags", std::string("notes")), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::eq, "year", 1843.0), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::gt, "year", int64_t{1842}), kMetadata));
  EXPECT_FALSE(matches(leaf(Filter::Op::gt, "year", std::string("1")), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::lte, "score", 0.5), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::ne, "missing", int64_t{1}), kMetadata));
  EXPECT_FALSE(matches(leaf(Filter::Op::eq, "missing", int64_t{1}), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::exists, "draft", true), kMetadata));
  EXPECT_TRUE(matches(leaf(Filter::Op::exists, "missing", false), kMetadata));
}

TEST(Filter, CombinesChildren) {
  const Filter ada = leaf(Filter::Op::eq, "author", std::string("Ada"));
  const Filter bob = leaf(Filter::Op::eq, "author", std::string("Bob"));
  EXPECT_TRUE(matches(Filter{}, {}));
  EXPECT_FALSE(matches(Filter{.op = Filter::Op::all, .field = {}, .values = {}, .children = {ada, bob}}, kMetadata));
  EXPECT_TRUE(matches(Filter{.op = Filter::Op::any, .field = {}, .values = {}, .children = {ada, bob}}, kMetadata));
  EXPECT_FALSE(matches(Filter{.op = Filter::Op::none, .field = {}, .values = {}, .children = {ada}}, kMetadata));
}

TEST(Context, ReportsDeadlineAndCancellation) {
  base::ManualClock clock;
  async::CancelSource source;
  RequestContext context;
  context.deadline = clock.now() + base::Millis(10);
  context.cancel = source.token();
  EXPECT_TRUE(context.check(clock).has_value());
  clock.advance(base::Millis(10));
  EXPECT_EQ(context.check(clock).error().code, base::Code::deadline);
  source.cancel();
  EXPECT_EQ(context.check(clock).error().code, base::Code::cancelled);
}

TEST(Context, TraceAddsStagesOfOneName) {
  RequestTrace trace;
  trace.add_stage("embed", 1);
  trace.add_stage("retrieve", 2);
  trace.add_stage("embed", 3);
  ASSERT_EQ(trace.stages().size(), 2U);
  EXPECT_EQ(trace.stages()[0].second, 4);
}

TEST(CollectionName, AllowsNoPaths) {
  EXPECT_TRUE(valid_collection_name("team-notes_2.0"));
  for (const char* bad : {"", ".", "..", "a/b", "a b", "ä"}) EXPECT_FALSE(valid_collection_name(bad)) << bad;
}

}  // namespace
}  // namespace tessera::core
