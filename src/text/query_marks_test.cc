#include "text/query_marks.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::text {
namespace {

/// Each item in brackets, with its marks in one way of writing.
std::string shown(std::string_view query) {
  std::string out;
  QueryMarks marks(query);
  for (MarkedText item; marks.next(item);) {
    if (item.mark == MarkedText::Mark::required) out += '+';
    if (item.mark == MarkedText::Mark::excluded) out += '-';
    out += item.phrase ? '"' : '[';
    out += item.text;
    out += item.phrase ? '"' : ']';
    if (item.prefix) out += '*';
  }
  return out;
}

TEST(QueryMarks, ReadsWordsPhrasesAndMarks) {
  EXPECT_EQ(shown("  red\tHouse "), "[red][House]");
  EXPECT_EQ(shown("big \"red house\" +door -window"), "[big]\"red house\"+[door]-[window]");
  EXPECT_EQ(shown("-\"old barn\" +\"one\""), "-\"old barn\"+\"one\"");
  EXPECT_EQ(shown("hou* +ba* -wi* \"st*\""), "[hou]*+[ba]*-[wi]*\"st*\"");
  EXPECT_EQ(shown("a\"b c\"d"), "[a]\"b c\"[d]");
  EXPECT_EQ(shown(""), "");
}

TEST(QueryMarks, MarksWithoutMeaningAreText) {
  EXPECT_EQ(shown("e-mail c++ a+b"), "[e-mail][c++][a+b]");
  EXPECT_EQ(shown("- + -- *"), "[-][+]-[-][*]");
  EXPECT_EQ(shown("an \"open -quote +\"and"), "[an]\"open -quote +\"[and]");
  EXPECT_EQ(shown("\"open -quote +a\"b"), "\"open -quote +a\"[b]");
  EXPECT_EQ(shown("\"never closed \" \"a\" +\"b"), "\"never closed \"\"a\"+[b]");
  EXPECT_EQ(shown("x \"y -z"), "[x][y]-[z]");
  EXPECT_EQ(shown("\"\" +\"\" \""), "\"\"+\"\"[]");
}

/// Each item lies behind the one before, and nothing but marks and white space lies between them.
TEST(QueryMarks, AnyBytesAreReadOnce) {
  constexpr std::string_view kBytes = "ab \t+-*\"\xC3\xFF";
  uint64_t state = 7;
  for (int round = 0; round < 50'000; ++round) {
    std::string query;
    for (state = state * 6364136223846793005U + 1442695040888963407U; query.size() < (state >> 59U);) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      query += kBytes[(state >> 33U) % kBytes.size()];
    }
    const std::string_view all = query;
    const char* at = all.data();
    QueryMarks marks(all);
    for (MarkedText item; marks.next(item);) {
      ASSERT_GE(item.text.data(), at) << query;
      EXPECT_EQ(std::string_view(at, item.text.data()).find_first_not_of(" \t+-*\""), std::string_view::npos) << query;
      at = item.text.data() + item.text.size();
    }
    EXPECT_EQ(std::string_view(at, all.data() + all.size()).find_first_not_of(" \t+-*\""), std::string_view::npos);
  }
}

}  // namespace
}  // namespace tessera::text
