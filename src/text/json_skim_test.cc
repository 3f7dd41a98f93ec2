#include "text/json_skim.h"

#include <gtest/gtest.h>

#include <random>

#include "text/json_reference_test.h"

namespace tessera::text {
namespace {

std::vector<JsonMember> members_of(std::string_view text) {
  std::vector<JsonMember> members;
  const auto read = skim_json_object(text, members);
  EXPECT_TRUE(read) << text << ": " << read.error().message;
  return members;
}

bool accepts(std::string_view text) {
  JsonCursor cursor(text);
  return !cursor.skip().empty() && cursor.at_end();
}

TEST(JsonSkim, GivesTheBytesOfEachMember) {
  const std::string_view text =
      " {\"model\" : \"a\\\"b\",\n\"n\":-1.5e+3 , \"list\":[1,{\"model\":2}],\"o\": { \"x\" : [ ] "
      "},\"t\":true,\"z\":null} ";
  const auto members = members_of(text);
  ASSERT_EQ(members.size(), 6u);
  const struct {
    std::string_view key, value;
    JsonKind kind;
  } expected[] = {{"model", "\"a\\\"b\"", JsonKind::string},
                  {"n", "-1.5e+3", JsonKind::number},
                  {"list", "[1,{\"model\":2}]", JsonKind::array},
                  {"o", "{ \"x\" : [ ] }", JsonKind::object},
                  {"t", "true", JsonKind::boolean},
                  {"z", "null", JsonKind::null}};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(members[i].key, expected[i].key);
    EXPECT_EQ(members[i].value, expected[i].value);
    EXPECT_EQ(members[i].kind, expected[i].kind);
    EXPECT_GE(members[i].value.data(), text.data()) << "values are bytes of the text";
  }
}

TEST(JsonSkim, FindsTheLastOfDuplicatesAndSeesThroughEscapes) {
  const auto members = members_of(R"({"model":1,"mod\u0065l":2,"a":3,"\u00e9\ud83d\ude00":4})");
  ASSERT_NE(find_member(members, "model"), nullptr);
  EXPECT_EQ(find_member(members, "model")->value, "2");
  EXPECT_EQ(find_member(members, "\xC3\xA9\xF0\x9F\x98\x80")->value, "4");
  EXPECT_EQ(find_member(members, "mod"), nullptr);
  EXPECT_TRUE(members_of("{}").empty());
}

TEST(JsonSkim, RefusesWhatIsNoObject) {
  std::vector<JsonMember> members;
  for (const char* text : {"",
                           " ",
                           "[]",
                           "1",
                           "null",
                           "{",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{\"a\":1}x",
                           "{\"a\":1}{}",
                           "{\"a\":01}",
                           "{\"a\":+1}",
                           "{\"a\":1.}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u12g4\"}",
                           "{\"a\":\"\\u12",
                           "{\"a\":\"x",
                           "{\"a\":[1,]}",
                           "{\"a\":[1}",
                           "{\"a\":{]}",
                           "{\"a\":tru}",
                           "{\"a\" 1}",
                           "{\"a\":1 \"b\":2}",
                           "{,}",
                           "{\"a\":\"\\"}) {
    const auto read = skim_json_object(text, members);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().name, "BAD_JSON");
    EXPECT_EQ(read.error().code, base::Code::invalid);
  }
}

TEST(JsonSkim, BoundsDepthAndMembers) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(accepts(nested(JsonCursor::kDepthMax)));
  EXPECT_FALSE(accepts(nested(JsonCursor::kDepthMax + 1)));
  EXPECT_FALSE(accepts(std::string(10'000'000, '[')));
  std::string many = "{";
  for (size_t i = 0; i < kJsonMembersMax; ++i) many += (i > 0 ? ",\"k\":1" : "\"k\":1");
  std::vector<JsonMember> members;
  EXPECT_TRUE(skim_json_object(many + "}", members));
  EXPECT_FALSE(skim_json_object(many + ",\"k\":1}", members));
}

TEST(JsonSkim, StringsEndWhereTheyEndWhateverTheirLength) {
  for (size_t length = 0; length < 70; ++length) {
    for (size_t mark = 0; mark <= length; ++mark) {
      std::string inner(length, 'x');
      std::string text = "[\"" + inner + "\"]";
      EXPECT_TRUE(accepts(text));
      if (mark == length) break;
      text[2 + mark] = '\x1f';
      EXPECT_FALSE(accepts(text)) << length << " " << mark;
      text[2 + mark] = '"';
      EXPECT_FALSE(accepts(text)) << length << " " << mark;
      text[2 + mark] = '\xff';
      EXPECT_TRUE(accepts(text)) << length << " " << mark;
      inner.replace(mark, 1, "\\\"");
      const std::string whole = "\"" + inner + "\"";
      EXPECT_EQ(json_text_size(whole), length);
    }
  }
}

TEST(JsonSkim, WalksIntoWhatIsNested) {
  JsonCursor at(R"({"choices":[{"index":0,"delta":{"content":"Hi"}},{"delta":{}}],"usage":null})");
  std::string_view key;
  std::string seen;
  ASSERT_TRUE(at.enter_object());
  while (at.next_member(key)) {
    if (key != "choices") {
      seen += std::string(key) + "=" + std::string(at.skip()) + ";";
      continue;
    }
    ASSERT_TRUE(at.enter_array());
    while (at.next_element()) {
      ASSERT_TRUE(at.enter_object());
      while (at.next_member(key)) seen += std::string(key) + "=" + std::string(at.skip()) + ";";
    }
  }
  EXPECT_TRUE(at.at_end());
  EXPECT_EQ(seen, R"(index=0;delta={"content":"Hi"};delta={};usage=null;)");
}

TEST(JsonSkim, AMistakeStaysAMistake) {
  JsonCursor at(R"({"a":1)");
  EXPECT_FALSE(at.enter_array());
  EXPECT_FALSE(at.ok());
  EXPECT_FALSE(at.enter_object());
  EXPECT_EQ(at.peek(), JsonKind::none);
  EXPECT_EQ(at.skip(), "");
  EXPECT_FALSE(at.at_end());
}

TEST(JsonSkim, ReadsTextsAndNumbers) {
  EXPECT_EQ(json_text(R"("a\n\"\\\/\b\f\r\t\u00e9\u20ac\ud83d\ude00")"),
            "a\n\"\\/\b\f\r\t\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(json_text(R"("\ud83dx\ude00")"), "\xEF\xBF\xBDx\xEF\xBF\xBD");
  EXPECT_EQ(json_text(R"("\u0000")"), std::string(1, '\0'));
  for (const char* bad : {"", "\"", "a", "1", "\"a", "\"a\"b\"", "\"\\\"", "null"})
    EXPECT_EQ(json_text(bad), std::nullopt) << bad;
  for (const char* text : {R"("")", R"("abc")", R"("a\n\u20acx\ud83d\ude00\ud83d")", R"("\\\\")"}) {
    EXPECT_EQ(json_text_size(text), json_text(text)->size()) << text;
  }
  EXPECT_EQ(json_text_size("12"), 0u);
  EXPECT_EQ(json_integer("-12"), -12);
  for (const char* bad : {"", "1.5", "1e3", "9999999999999999999", "\"1\"", "null"})
    EXPECT_EQ(json_integer(bad), std::nullopt) << bad;
  EXPECT_EQ(json_text(json_quote("a\"\\\n\x01\xC3\xA9")), "a\"\\\n\x01\xC3\xA9");
}

// Random texts of the grammar's own letters, many of them sound, against the grammar word for word.
TEST(JsonSkim, AcceptsWhatTheGrammarAccepts) {
  std::mt19937 random(7);
  const std::string_view pieces[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ",",
                                     ":",
                                     "\"a\"",
                                     "\"\\u00e9\"",
                                     "\"",
                                     "\\",
                                     "1",
                                     "-0.5e-7",
                                     "true",
                                     "null",
                                     "fals",
                                     " ",
                                     "\n",
                                     "\"k\":",
                                     "[]",
                                     "{}",
                                     "x",
                                     "0",
                                     "\"0123456789abcdef\""};
  size_t sound = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    for (size_t n = 1 + random() % 8; n > 0; --n) text += pieces[random() % std::size(pieces)];
    const bool expected = testing::JsonReference::accepts(text);
    ASSERT_EQ(accepts(text), expected) << text;
    sound += expected ? 1 : 0;
  }
  EXPECT_GT(sound, 2'000u);
}

}  // namespace
}  // namespace tessera::text
