#include "index/lexical/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace tessera::index {
namespace {

/// The query in one line: words with counts, then clauses.
std::string shown(std::string_view text, bool stemming = false) {
  const LexicalQuery query = parse_query(text, stemming);
  std::string out;
  const auto word = [&](const LexicalQuery::Word& w) {
    out += w.term + (w.prefix ? "*" : "") + (w.count > 1 ? "^" + std::to_string(w.count) : "") + " ";
  };
  for (const auto& w : query.words) word(w);
  for (const auto& clause : query.clauses) {
    out += clause.excluded ? "-( " : "+( ";
    for (const auto& w : clause.words) word(w);
    out += ") ";
  }
  if (!out.empty()) out.pop_back();
  return out;
}

TEST(ParseQuery, ReadsWordsPhrasesAndMarks) {
  EXPECT_EQ(shown("Red red Caf\u00e9"), "red^2 cafe");
  EXPECT_EQ(shown("big \"Red House\" +door -window"), "big +( red house ) +( door ) -( window )");
  EXPECT_EQ(shown("-\"old barn\" +\"one\""), "-( old barn ) +( one )");
  EXPECT_EQ(shown("hou* +ba* -wi*"), "hou* +( ba* ) -( wi* )");
  EXPECT_EQ(shown("running +houses", true), "run +( hous )");
  EXPECT_EQ(shown("runn*", true), "runn*");
}

TEST(ParseQuery, MarksCountAtTheBeginningOfAWordOnly) {
  EXPECT_EQ(shown("e-mail c++ c# a+b"), "e mail c++ c# a b");
  EXPECT_EQ(shown("+e-mail"), "+( e mail )");
  EXPECT_EQ(shown("- + -- ++ \" +\" -\"\" *"), "");
  EXPECT_EQ(shown("\"never closed"), "never closed");
  EXPECT_EQ(shown("+\"never closed"), "closed +( never )");
  EXPECT_EQ(shown("a\"b c\"d"), "a d +( b c )");
}

TEST(ParseQuery, PlainTakesAllAsWords) {
  const LexicalQuery query = plain_query("+red -\"blue green\" ye*", false);
  EXPECT_TRUE(query.clauses.empty());
  EXPECT_EQ(query.words.size(), 4U);
}

TEST(ParseQuery, IsBounded) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "+w" + std::to_string(i) + " \"";
  const LexicalQuery query = parse_query(text, false);
  EXPECT_LE(query.clauses.size(), kQueryClausesMax);
  std::string phrase = "\"";
  for (int i = 0; i < 5000; ++i) phrase += "word ";
  EXPECT_EQ(parse_query(phrase + "\"", false).clauses.at(0).words.size(), kPhraseWordsMax);
}

}  // namespace
}  // namespace tessera::index
