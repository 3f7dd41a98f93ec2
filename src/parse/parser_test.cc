#include <gmock/gmock.h>

#include <thread>

#include "base/random.h"
#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

using std::string_literals::operator""s;

using testing::HasSubstr;

TEST(Parser, TheContentTypeDecides) {
  EXPECT_EQ(parse_well("# x", "text/plain; charset=utf-8", "a.md").structure.headings.size(), 0U);
  EXPECT_EQ(parse_well("# x", "Text/Markdown ", "a.txt").structure.headings.size(), 1U);
  EXPECT_EQ(parse_well("<p>x", "text/html").text, "x");
  EXPECT_EQ(parse_well("<p>x", "application/xhtml+xml").content_type, "text/html");
}

TEST(Parser, ThenTheBytesThenTheName) {
  EXPECT_EQ(parse_well("# x", "", "A.MD").content_type, "text/markdown");
  EXPECT_EQ(parse_well("# x", "application/octet-stream", "https://h/x/a.markdown?v=1.html").content_type,
            "text/markdown");
  EXPECT_EQ(parse_well("a,b\n1,2", "", "a.tsv").content_type, "text/tab-separated-values");
  EXPECT_EQ(parse_well("{\"a\":1}", "", "a.jsonl").content_type, "application/x-ndjson");
  EXPECT_EQ(parse_well("\n<!DOCTYPE html><p>x", "", "page").content_type, "text/html");
  EXPECT_EQ(parse_well("<html><p>x", "", "note.md").content_type, "text/markdown");
  EXPECT_EQ(parse_well("words", "", "").content_type, "text/plain");
  EXPECT_EQ(parse_well("words", "", "program.xyz").content_type, "text/plain");
}

TEST(Parser, UnknownTypesAreRefusedWithTheKnownOnes) {
  for (const auto& [bytes, type] :
       std::vector<std::pair<std::string, std::string>>{{"x", "application/zip"},
                                                        {"x", "image/png"},
                                                        {"x", "nonsense"},
                                                        {"x", "a\nb"},
                                                        {"\x89PNG\r\n\x1a\n", ""},
                                                        {std::string("PK\x03\x04 zip"), ""},
                                                        {std::string("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), ""},
                                                        {"\x7F"
                                                         "ELF",
                                                         "application/octet-stream"}}) {
    const auto error = parse_badly(bytes, type, "file.md");
    EXPECT_EQ(error.name, "UNSUPPORTED_CONTENT_TYPE") << type;
    EXPECT_EQ(error.code, base::Code::invalid);
    EXPECT_EQ(error.param, "content_type");
    EXPECT_THAT(error.message, HasSubstr("text/markdown"));
    EXPECT_THAT(error.message, testing::Not(HasSubstr("\n")));
  }
}

TEST(Parser, BinaryIsNotText) {
  base::SeededRandom random(1);
  std::string noise;
  for (int i = 0; i < 4096; ++i) noise += static_cast<char>(random.below(256));
  for (const std::string type : {"text/plain", "text/markdown", "text/html", "text/csv", "application/json"}) {
    EXPECT_EQ(parse_badly(noise, type).name, "UNSUPPORTED_CONTENT_TYPE") << type;
  }
}

TEST(Parser, PlainTextIsDecoded) {
  EXPECT_EQ(parse_well("a\0b\r\nc\rd\xC3\xA9\n\n"s, "text/plain").text, "ab\nc\ndé");
  EXPECT_EQ(parse_well("\xFF\xFEh\0i\0\x3D\xD8\x00\xDE"s, "text/plain").text, "hi\U0001F600");
  EXPECT_EQ(parse_well("\xFE\xFF\0h\0i\xD8\0\0x"s, "text/plain").text, "hi\uFFFDx");
  EXPECT_EQ(parse_well("h\0i\0"s, "text/plain; charset=UTF-16LE").text, "hi");
  EXPECT_EQ(parse_well("\xEF\xBB\xBFhi", "text/plain").text, "hi");
  EXPECT_EQ(parse_well("na\xEFve \x93quoted\x94", "text/plain").text, "naïve “quoted”");
  EXPECT_EQ(parse_well("\xC3\xA9 \xED\xA0\x80 \xC0\xAF x", "text/plain").text, "é \uFFFD\uFFFD\uFFFD \uFFFD\uFFFD x");
}

TEST(Parser, EmptyIsRefused) {
  for (const std::string& bytes : {""s, " \n\t\r\n"s, "\0\0"s, "\xEF\xBB\xBF"s}) {
    for (const std::string& type :
         std::vector<std::string>{"text/plain", "text/markdown", "text/html", "text/csv", "application/json", ""}) {
      const auto error = parse_badly(bytes, type);
      EXPECT_EQ(error.name, "EMPTY_DOCUMENT") << type;
      EXPECT_EQ(error.code, base::Code::unreadable);
    }
  }
  EXPECT_EQ(parse_badly("---\na: 1\n---\n", "text/markdown").name, "EMPTY_DOCUMENT");
}

TEST(Parser, SizesAreBounded) {
  const std::string big(1000, 'x');
  EXPECT_EQ(parse_badly(big, "text/plain", "", {.input_bytes_max = 999}).name, "DOCUMENT_TOO_LARGE");
  const auto error = parse_badly(big, "text/plain", "", {.text_bytes_max = 999});
  EXPECT_EQ(error.name, "DOCUMENT_TOO_LARGE");
  EXPECT_EQ(error.code, base::Code::too_large);
  parse_well(big, "text/plain", "", {.input_bytes_max = 1000, .text_bytes_max = 1000});
}

TEST(Parser, KnowsItsEndings) {
  const auto parser = create_parser({});
  for (const std::string_view name : {"a.md", "A.MD", "x/y.markdown", "b.html", "c.pdf", "d.docx", "e.txt", "f.csv",
                                      "g.json", "h.jsonl", "../../i.md"}) {
    EXPECT_TRUE(parser->knows(name)) << name;
  }
  for (const std::string_view name : {"", ".md", "md", "a.png", "a.md.exe", "dir.md/file", "a."})
    EXPECT_FALSE(parser->knows(name)) << name;
}

/// Words of every format in random order: whatever comes out keeps the invariants.
TEST(Parser, RandomMixturesKeepTheInvariants) {
  const std::vector<std::string> pieces = {"# ",
                                           "\n",
                                           "\n\n",
                                           "```",
                                           "---\n",
                                           "title: x\n",
                                           "[[a|b]]",
                                           "#tag",
                                           "| a | b |\n",
                                           "|---|---|\n",
                                           "> [!note]\n",
                                           "<p>",
                                           "<table><tr><td>",
                                           "</table>",
                                           "<pre>",
                                           "</pre>",
                                           "<h1>",
                                           "</h1>",
                                           "<li>",
                                           "<ul>",
                                           "</ul>",
                                           "&amp;",
                                           "&#0;",
                                           "\"",
                                           ",",
                                           ";",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           ":",
                                           "\"k\":",
                                           "1",
                                           "é",
                                           "\xFF",
                                           std::string(1, '\0'),
                                           "word ",
                                           "    ",
                                           "\t",
                                           "===\n",
                                           "- ",
                                           "\r\n",
                                           "<main>",
                                           "<nav>",
                                           "</nav>",
                                           "<td>",
                                           "<br>",
                                           "~~~\n",
                                           "\xEF\xBB\xBF"};
  base::SeededRandom random(42);
  const auto parser = create_parser({});
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (uint64_t i = random.below(40); i > 0; --i) bytes += pieces[random.below(pieces.size())];
    const std::string type = std::array{"text/markdown",        "text/html", "text/csv", "application/json",
                                        "application/x-ndjson", "text/plain"}[random.below(6)];
    const auto document = parser->parse({.bytes = bytes, .content_type = type, .name = "a"});
    if (document) ASSERT_EQ(violated_invariant(*document), "") << type << "\n" << bytes;
  }
}

TEST(Parser, OneParserServesManyThreads) {
  const auto parser = create_parser({});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&parser] {
      for (int i = 0; i < 200; ++i) {
        const auto document =
            parser->parse({.bytes = "---\na: 1\n---\n# T\n[[x]]", .content_type = "text/markdown", .name = ""});
        EXPECT_TRUE(document.has_value() && document->title == "T");
      }
    });
  }
}

}  // namespace
}  // namespace tessera::parse
