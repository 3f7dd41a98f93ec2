#include <gmock/gmock.h>

#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

using testing::HasSubstr;

core::ParsedDocument json(std::string_view source) {
  return parse_well(source, "application/json", "data.json");
}

TEST(Json, FlattensToPaths) {
  const auto document = json(
      R"({"title":"The\ntitle","n":1e400,"big":123456789012345678901234567890,"ok":true,"none":null,"empty":"",
          "user":{"name":"Ada","tags":["a","b",3],"homes":[{"city":"X"},{"city":"Y"}]},"matrix":[[1,2],[3]]})");
  EXPECT_EQ(
      document.text,
      "title: The title\nn: 1e400\nbig: 123456789012345678901234567890\nok: true\nuser.name: Ada\nuser.tags: a, b, 3\n"
      "user.homes[0].city: X\nuser.homes[1].city: Y\nmatrix[0]: 1, 2\nmatrix[1]: 3");
  EXPECT_EQ(document.title, "The title");
  EXPECT_TRUE(document.structure.blocks.empty());
}

TEST(Json, ElementsOfARootArrayAreRecords) {
  const auto document = json(R"([{"name":"Ada","l":[{"x":1}]},{"name":"Bob"},"word"])");
  EXPECT_EQ(document.text, "name: Ada\nl[0].x: 1\n\nname: Bob\n\nword");
  ASSERT_EQ(document.structure.blocks.size(), 2U);
  EXPECT_EQ(block_text(document, 0), "name: Ada\nl[0].x: 1");
  EXPECT_EQ(document.title, "data");
}

TEST(Json, Lines) {
  const auto document = parse_well("{\"a\":1,\"b\":[1,2]}\r\n\n[3,4]\n\"x\"\n", "application/x-ndjson");
  EXPECT_EQ(document.text, "a: 1\nb: 1, 2\n\n3, 4\n\nx");
  EXPECT_EQ(document.structure.blocks.size(), 3U);
  EXPECT_THAT(parse_badly("{\"a\":1}\n{\"a\":\n", "application/x-ndjson").message, HasSubstr("line 2"));
  EXPECT_THAT(parse_badly("{\"a\":1} {\"b\":2}\n", "application/x-ndjson").message, HasSubstr("line 1"));
}

TEST(Json, Scalars) {
  EXPECT_EQ(json("\"text\"").text, "text");
  EXPECT_EQ(json(" 42 ").text, "42");
  EXPECT_EQ(json(R"("a\u0000b\ud83d\ude00")").text, "ab\U0001F600");
}

TEST(Json, InvalidNamesTheLine) {
  for (const auto& [source, line] : std::vector<std::pair<std::string, std::string>>{{"{\"a\":1,\n\"b\" 2}", "line 2"},
                                                                                     {"{\"a\":", "line 1"},
                                                                                     {"[1,2]]", "line 1"},
                                                                                     {"{}\n{}", "line 2"},
                                                                                     {"\"\\ud800\"", "line 1"},
                                                                                     {"nul", "line 1"},
                                                                                     {"[01]", "line 1"}}) {
    const auto error = parse_badly(source, "application/json");
    EXPECT_EQ(error.name, "UNREADABLE_DOCUMENT") << source;
    EXPECT_THAT(error.message, HasSubstr(line)) << source;
  }
  EXPECT_EQ(parse_badly("{\"a\":[null,\"\"]}", "application/json").name, "EMPTY_DOCUMENT");
  EXPECT_EQ(parse_badly("", "application/json").name, "EMPTY_DOCUMENT");
}

TEST(Json, DepthAndSizeAreBounded) {
  EXPECT_THAT(parse_badly(std::string(5'000'000, '['), "application/json").message, HasSubstr("nested deeper"));
  std::string objects;
  for (int i = 0; i < 500'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(parse_badly(objects, "application/json").message, HasSubstr("nested deeper"));
  std::string wide = "{\"" + std::string(100'000, 'k') + "\":{";
  for (int i = 0; i < 10'000; ++i) wide += fmt::format("{}\"k{}\":1", i == 0 ? "" : ",", i);
  EXPECT_EQ(parse_badly(wide + "}}", "application/json", "", {.text_bytes_max = 1UL << 20}).name, "DOCUMENT_TOO_LARGE");
}

}  // namespace
}  // namespace tessera::parse
