#include <gmock/gmock.h>

#include "base/random.h"
#include "parse/parse_testing.h"

namespace tessera::parse {
namespace {

std::string csv(std::string_view source) {
  return parse_well(source, "text/csv", "t.csv").text;
}

TEST(Csv, RowsNameTheirColumns) {
  const auto document = parse_well("name,age,note\r\nAda,36,\"a \"\"quoted\"\", one\ntwo\"\r\n\r\nBob,,x,extra\r\n",
                                   "text/csv", "people.csv");
  EXPECT_EQ(document.text, "name: Ada\nage: 36\nnote: a \"quoted\", one two\n\nname: Bob\nnote: x\ncolumn 4: extra");
  EXPECT_EQ(document.title, "people");
  ASSERT_EQ(document.structure.blocks.size(), 2U);
  EXPECT_EQ(block_text(document, 1), "name: Bob\nnote: x\ncolumn 4: extra");
}

TEST(Csv, Delimiters) {
  EXPECT_EQ(csv("a;b\n1,5;2,5\n"), "a: 1,5\nb: 2,5");
  EXPECT_EQ(csv("a\tb\nx, y\tz\n"), "a: x, y\nb: z");
  EXPECT_EQ(csv("a|b\nx|z\n"), "a: x\nb: z");
  EXPECT_EQ(parse_well("a,b\tc\n1,2\t3", "text/tab-separated-values").text, "a,b: 1,2\nc: 3");
  EXPECT_EQ(csv("word\nother\n"), "word: other");
}

TEST(Csv, WithoutHeader) {
  EXPECT_EQ(csv("1,2\n3,4\n"), "column 1: 1\ncolumn 2: 2\n\ncolumn 1: 3\ncolumn 2: 4");
  EXPECT_EQ(csv("a,a\nb,c"), "column 1: a\ncolumn 2: a\n\ncolumn 1: b\ncolumn 2: c");
  EXPECT_EQ(csv("only,one"), "column 1: only\ncolumn 2: one");
}

TEST(Csv, AQuoteThatNeverEndsIsText) {
  EXPECT_EQ(csv("h,size\nx,5\ny,\"3 inch\nz,6\n"), "h: x\nsize: 5\n\nh: y\nsize: \"3 inch\n\nh: z\nsize: 6");
  EXPECT_EQ(csv("h,k\nx\"y,\"q\"tail\n"), "h: x\"y\nk: qtail");
}

TEST(Csv, Bounds) {
  EXPECT_EQ(parse_badly(",,,\n,,\n", "text/csv").name, "EMPTY_DOCUMENT");
  std::string wide(3'000'000, ',');
  wide += "end\n";
  EXPECT_EQ(parse_badly(wide, "text/csv").name, "UNREADABLE_DOCUMENT");
  std::string heavy(100'000, 'h');
  heavy += ",b\n";
  for (int i = 0; i < 100'000; ++i) heavy += "x,y\n";
  EXPECT_EQ(parse_badly(heavy, "text/csv", "", {.text_bytes_max = 1UL << 20}).name, "DOCUMENT_TOO_LARGE");
}

/// Any table survives: written with every field quoted, each value is found under its column.
TEST(Csv, RandomTablesComeBack) {
  base::SeededRandom random(3);
  for (int round = 0; round < 300; ++round) {
    const size_t columns = random.below(5) + 2;
    const size_t rows = random.below(6) + 1;
    const char delimiter = std::array{',', ';', '\t', '|'}[random.below(4)];
    std::string source;
    std::string expected;
    for (size_t c = 0; c < columns; ++c)
      source += fmt::format("{}\"col{}\"", c == 0 ? "" : std::string(1, delimiter), c);
    source += '\n';
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        std::string value = "v";
        std::string written = "v";
        for (uint64_t i = random.below(6); i > 0; --i) {
          const char piece = std::array{'a', ',', ';', '"', '|', ':'}[random.below(6)];
          value += piece;
          written += piece;
          if (piece == '"') written += piece;
        }
        if (c > 0) source += delimiter;
        source += '"' + written + '"';
        expected += fmt::format("{}col{}: {}", c == 0 ? (r == 0 ? "" : "\n\n") : "\n", c, value);
      }
      source += '\n';
    }
    ASSERT_EQ(csv(source), expected) << source;
  }
}

}  // namespace
}  // namespace tessera::parse
