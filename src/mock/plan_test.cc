#include "mock/plan.h"

#include <gtest/gtest.h>

#include <map>

namespace tessera::mock {
namespace {

TEST(Plan, EveryDirectiveTakesItsValueAndRefusesNonsense) {
  const std::map<std::string_view, std::string> values = {
      {"DIST", "10..20"}, {"N", "3"},      {"KIND", "echo"},   {"TEXT", "hello"}, {"NAME", "f"}, {"JSON", "{}"},
      {"WORD", "length"}, {"CODE", "503"}, {"SECONDS", "1.5"}, {"MS", "250"},     {"", ""}};
  for (const DirectiveInfo& info : directives()) {
    Plan plan;
    ASSERT_TRUE(values.contains(info.value)) << info.name;
    EXPECT_TRUE(follow(plan, info.name, values.at(info.value))) << info.name;
    EXPECT_FALSE(info.help.empty());
    const bool free_text = info.value == "TEXT" || info.value == "NAME" || info.value == "JSON" || info.value == "WORD";
    if (!free_text) EXPECT_FALSE(follow(plan, info.name, "no-such-value")) << info.name;
  }
}

TEST(Plan, AMistypedNameIsAnsweredWithTheNearest) {
  Plan plan;
  const auto done = follow(plan, "reset-afer", "5");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("did you mean \"reset-after\""), std::string::npos);
}

TEST(Plan, RateIsAGapAndRetryAfterAloneAStatus) {
  Plan plan;
  ASSERT_TRUE(follow(plan, parse_directives(" rate=20 ;retry-after=2;")));
  EXPECT_DOUBLE_EQ(plan.gap.a, 50);
  EXPECT_EQ(plan.status, 429);
  EXPECT_EQ(plan.retry_after, base::Millis(2000));
  ASSERT_TRUE(follow(plan, "status", "503"));
  EXPECT_EQ(plan.status, 503);
}

TEST(Plan, TheLaterBreakOverrulesTheEarlier) {
  Plan plan;
  ASSERT_TRUE(follow(plan, parse_directives("hang-after=3; reset")));
  EXPECT_EQ(plan.breaks, Break::reset);
  EXPECT_FALSE(plan.break_after);
  ASSERT_TRUE(follow(plan, parse_directives("close-after=7")));
  EXPECT_EQ(plan.breaks, Break::close);
  EXPECT_EQ(plan.break_after, 7);
}

TEST(Plan, AFlagCanBeTakenBack) {
  Plan plan;
  ASSERT_TRUE(follow(plan, parse_directives("no-done; wrong-type=true")));
  EXPECT_TRUE(plan.no_done && plan.wrong_type);
  ASSERT_TRUE(follow(plan, parse_directives("no-done=false; wrong-type=false")));
  EXPECT_FALSE(plan.no_done || plan.wrong_type);
}

TEST(ModelDirectives, WordsJoinedByPlus) {
  const auto list = parse_model_directives("tokens-10..20+rate-50+reset-after-5+echo+429+no-done");
  ASSERT_TRUE(list);
  const std::vector<Directive> expected = {{"tokens", "10..20"}, {"rate", "50"},    {"reset-after", "5"},
                                           {"text", "echo"},     {"status", "429"}, {"no-done", ""}};
  EXPECT_EQ(*list, expected);
}

TEST(ModelDirectives, TheLongestNameWins) {
  EXPECT_EQ(parse_model_directives("hang-after-2"), (std::vector<Directive>{{"hang-after", "2"}}));
  EXPECT_EQ(parse_model_directives("hang"), (std::vector<Directive>{{"hang", ""}}));
  EXPECT_EQ(parse_model_directives("first-lognormal(200,0.5)"),
            (std::vector<Directive>{{"first", "lognormal(200,0.5)"}}));
}

TEST(ModelDirectives, OtherModelsAreNames) {
  for (const char* name : {"", "gpt-4o-mini", "claude-sonnet-4", "tokens", "hang-x+reset", "4290", "+"}) {
    EXPECT_FALSE(parse_model_directives(name)) << name;
  }
}

}  // namespace
}  // namespace tessera::mock
