#include <gmock/gmock.h>

#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using List = std::vector<std::string>;

core::ParsedDocument markdown(std::string_view source, std::string name = "note.md") {
  return parse_well(source, "text/markdown", std::move(name));
}

List list_of(const core::ParsedDocument& document, std::string_view field) {
  const auto it = document.metadata.find(field);
  if (it == document.metadata.end()) return {};
  const auto* list = std::get_if<List>(&it->second);
  return list == nullptr ? List{"(not a list)"} : *list;
}

TEST(Markdown, KeepsTheSourceAndFindsHeadings) {
  const std::string_view source =
      "# One #\n\nText with *emphasis*.\n\n## Two `code` **bold**\nmore\n\nThree\n=====\n\nFour\nlines\n---\n\n####### "
      "seven\n#nospace x\n###### Six";
  const auto document = markdown(source);
  EXPECT_EQ(document.text, source);
  EXPECT_EQ(outline(document), "1:One 2:Two code bold 1:Three 2:Four lines 6:Six");
  EXPECT_EQ(document.title, "One");
  EXPECT_EQ(document.text.substr(document.structure.headings[2].offset, 5), "Three");
  EXPECT_EQ(document.content_type, "text/markdown");
}

TEST(Markdown, HeadingsInsideCodeAreCode) {
  const auto document = markdown(
      "```sh\n# not a heading\n```\n\n    # indented code\n    more\n\n~~~~\n```\n# no\n~~~\n~~~~\n# Yes\n<!--\n# "
      "no\n-->\n> # quoted\n");
  EXPECT_EQ(outline(document), "1:Yes");
  ASSERT_EQ(document.structure.blocks.size(), 3U);
  EXPECT_EQ(block_text(document, 0), "```sh\n# not a heading\n```");
  EXPECT_EQ(block_text(document, 1), "    # indented code\n    more");
  EXPECT_EQ(block_text(document, 2), "~~~~\n```\n# no\n~~~\n~~~~");
}

TEST(Markdown, FenceInListAndUnclosedFence) {
  const auto document = markdown("- item\n\n     ```\n     # code\n     ```\n- next\n\n```\n# to the end\n\n");
  EXPECT_EQ(outline(document), "");
  ASSERT_EQ(document.structure.blocks.size(), 2U);
  EXPECT_EQ(block_text(document, 1), "```\n# to the end");
}

TEST(Markdown, RulesAreNotHeadings) {
  EXPECT_EQ(outline(markdown("- item\n---\ntext\n\n---\n> quote\n---\n")), "");
  EXPECT_EQ(outline(markdown("text\n***\n# H\n")), "1:H");
}

TEST(Markdown, TablesAndCalloutsStayWhole) {
  const auto document = markdown(
      "Intro\n\n| a | b |\n|---|:-:|\n| 1 | [[X\\|y]] |\n| 2 | 3 |\n\nAfter\n\n> [!note] Title\n> body\n> ```\n> "
      "code\n> ```\n\n> plain quote\n\nnot | table\n--- | --- | ---\n");
  ASSERT_EQ(document.structure.blocks.size(), 2U);
  EXPECT_EQ(block_text(document, 0), "| a | b |\n|---|:-:|\n| 1 | y |\n| 2 | 3 |");
  EXPECT_EQ(block_text(document, 1), "> [!note] Title\n> body\n> ```\n> code\n> ```");
  EXPECT_THAT(list_of(document, "links"), ElementsAre("X"));
}

TEST(Markdown, WikilinksBecomeWhatTheyShow) {
  const auto document = markdown(
      "See [[Other Note]], [[a/b#Part|the part]], [[T#H]], ![[img.png]] and `[[code]]`, \\[[no]], [[]], [[x\n# With "
      "[[Link|shown]]\n");
  EXPECT_EQ(document.text,
            "See Other Note, the part, T > H, img.png and `[[code]]`, \\[[no]], [[]], [[x\n# With shown");
  EXPECT_THAT(list_of(document, "links"), ElementsAre("Other Note", "a/b", "T", "img.png", "Link"));
  EXPECT_EQ(outline(document), "1:With shown");
}

TEST(Markdown, Tags) {
  const auto document = markdown(
      "---\ntags: [alpha, '#beta']\ntag: gamma delta\n---\n#one text #two/three (http://x/#frag) #123 `#code` a#b #one "
      "#größe\n\n```\n#no\n```\n");
  EXPECT_THAT(list_of(document, "tags"), ElementsAre("alpha", "beta", "gamma", "delta", "one", "two/three", "größe"));
  EXPECT_FALSE(document.metadata.contains("tag"));
}

TEST(Markdown, FrontMatterBecomesMetadata) {
  const auto document = markdown(
      "---\n# a comment\ntitle: \"My: Note\"\ndate: 2024-05-01\ncount: 3\nratio: 2.5\ndone: true\nempty:\nzip: "
      "01234\nquoted: \"12\"\n"
      "author:\n  name: Ada\n  born: 1815\naliases:\n  - A\n  - 7\npeople: [{name: x}, {name: y}]\nblock: |\n  two\n  "
      "lines\n---\n\n\n# Heading\nbody\n");
  EXPECT_EQ(document.title, "My: Note");
  EXPECT_EQ(document.text, "# Heading\nbody");
  const core::Metadata expected = {{"title", "My: Note"},
                                   {"date", "2024-05-01"},
                                   {"count", int64_t{3}},
                                   {"ratio", 2.5},
                                   {"done", true},
                                   {"empty", std::monostate{}},
                                   {"zip", "01234"},
                                   {"quoted", "12"},
                                   {"author.name", "Ada"},
                                   {"author.born", int64_t{1815}},
                                   {"aliases", List{"A", "7"}},
                                   {"people.name", List{"x", "y"}},
                                   {"block", "two\nlines\n"}};
  EXPECT_EQ(document.metadata, expected);
}

TEST(Markdown, TitleFallsBackToHeadingThenName) {
  EXPECT_EQ(markdown("text\n\n## Two\n\n# First\n").title, "First");
  EXPECT_EQ(markdown("text", "/vault/My note.v2.md").title, "My note.v2");
  EXPECT_EQ(markdown("text", "https://example.com/a/Big%20Plan.md?x=1#y").title, "Big Plan");
  EXPECT_EQ(markdown("text", "").title, "Untitled");
}

TEST(Markdown, ARuleAtTheTopIsNotFrontMatter) {
  EXPECT_EQ(markdown("---\nJust words\n---\nmore").text, "---\nJust words\n---\nmore");
  EXPECT_EQ(markdown("---\ntitle: never closed\n\ntext").text, "---\ntitle: never closed\n\ntext");
  EXPECT_EQ(markdown("---\n---\ntext").text, "text");
}

TEST(Markdown, InvalidFrontMatterNamesTheLine) {
  struct Case {
    std::string_view yaml;
    std::string_view line;
  };
  const std::string deep = std::string(2000, '[');
  const std::vector<std::pair<std::string, std::string>> cases = {{"title: x\nlist: [a, b\nmore: y\n", "line 4"},
                                                                  {"a: 1\na: 2\n", "line 3"},
                                                                  {"a: &x [1]\nb: *x\n", "line 3"},
                                                                  {"key: " + deep + "\n", "line 2"},
                                                                  {"{a: 1\n", "line"},
                                                                  {"a: b: c\n", "line 2"},
                                                                  {"? [complex, key]\n: value\n", "line 2"},
                                                                  {"good: 1\n\tbad: 2\n", "line 3"},
                                                                  {"[1, 2]\n", "line 2"},
                                                                  {"date: {{date}}\n", "line 2"}};
  for (const auto& [yaml, line] : cases) {
    const auto error = parse_badly("---\n" + yaml + "---\ntext\n", "text/markdown");
    EXPECT_EQ(error.name, "INVALID_FRONT_MATTER") << yaml.substr(0, 80);
    EXPECT_EQ(error.code, base::Code::invalid);
    EXPECT_THAT(error.message, HasSubstr(line)) << yaml.substr(0, 80);
  }
}

TEST(Markdown, FrontMatterIsBounded) {
  std::string many = "---\n";
  for (int i = 0; i < 200; ++i) many += fmt::format("k{}: {}\n", i, i);
  EXPECT_EQ(parse_badly(many + "---\ntext", "text/markdown").name, "INVALID_FRONT_MATTER");
  EXPECT_EQ(parse_badly("---\na: " + std::string(100000, 'x') + "\n---\ntext", "text/markdown").name,
            "INVALID_FRONT_MATTER");
  std::string bomb = "---\na: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'j'; ++c)
    bomb += fmt::format("{0}: &{0} [*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1}]\n", c, static_cast<char>(c - 1));
  EXPECT_EQ(parse_badly(bomb + "---\ntext", "text/markdown").name, "INVALID_FRONT_MATTER");
}

TEST(Markdown, LongTitlesAreCutBetweenCharacters) {
  for (int spaces = 1; spaces < 8; ++spaces) {
    std::string source = "# a" + std::string(static_cast<size_t>(spaces), ' ');
    for (int i = 0; i < 300; ++i) source += "\u20ac";
    EXPECT_EQ(markdown(source).structure.headings.size(), 1U);
  }
}

TEST(Markdown, BlocksEndWithTheText) {
  EXPECT_EQ(block_text(markdown("\tcode \v\f"), 0), "\tcode");
  EXPECT_EQ(block_text(markdown("```\n\v"), 0), "```");
}

TEST(Markdown, LineEndsAndBrokenBytes) {
  EXPECT_EQ(markdown("# A\r\n\r\ntext\rmore").text, "# A\n\ntext\nmore");
  EXPECT_EQ(markdown("\xEF\xBB\xBF---\r\ntitle: T\r\n---\r\nbody").title, "T");
  EXPECT_EQ(markdown(std::string_view("a\0b \xC3\xA9 \xFF c", 11)).text, "ab é \uFFFD c");
}

TEST(Markdown, HostileInputIsLinear) {
  for (const std::string_view piece :
       {"[[", "`", "``` `", "> ", "#", "- ", "| ", "![[a|", "](", "\\", "<!--", "[[a]] ", "#a ", "    ", "*", "``a`"}) {
    std::string text = "x ";
    while (text.size() < 2'000'000) text += piece;
    parse_well(text, "text/markdown", "a.md");
    text = "";
    while (text.size() < 1'000'000) text.append(piece).append("\nx");
    parse_well(text, "text/markdown", "a.md");
  }
}

}  // namespace
}  // namespace tessera::parse
