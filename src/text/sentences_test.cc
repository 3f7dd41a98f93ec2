#include "text/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "text/utf8.h"

namespace tessera::text {
namespace {

using testing::ElementsAre;

std::vector<std::string> sentences(std::string_view text) {
  std::vector<std::string> out;
  for (const Range range : split_sentences(text)) out.emplace_back(text.substr(range.start, range.end - range.start));
  return out;
}

TEST(Sentences, EndAtStopsBeforeSomethingNew) {
  EXPECT_THAT(sentences("It works. Does it? Yes!  Good."), ElementsAre("It works.", "Does it?", "Yes!", "Good."));
  EXPECT_THAT(sentences("no stop at all"), ElementsAre("no stop at all"));
  EXPECT_THAT(sentences(" \n\n "), ElementsAre());
}

TEST(Sentences, GoOnAfterAbbreviationsInitialsAndNumbers) {
  EXPECT_THAT(sentences("Dr. Smith met J. R. Tolkien vs. Mr. Brown, e.g. in May. Then he left."),
              ElementsAre("Dr. Smith met J. R. Tolkien vs. Mr. Brown, e.g. in May.", "Then he left."));
  EXPECT_THAT(sentences("Pi is 3.14 in v2.0.1 of a.b.c today. Next one."),
              ElementsAre("Pi is 3.14 in v2.0.1 of a.b.c today.", "Next one."));
  EXPECT_THAT(sentences("The U.S. Army grew. He lives in the U.S. The end."),
              ElementsAre("The U.S. Army grew.", "He lives in the U.S.", "The end."));
  EXPECT_THAT(sentences("See No. 5 for it. He said no. Then left."),
              ElementsAre("See No. 5 for it.", "He said no.", "Then left."));
  EXPECT_THAT(sentences("In 1999. After that."), ElementsAre("In 1999.", "After that."));
}

TEST(Sentences, KeepClosingQuotesAndWhatFollowsThem) {
  EXPECT_THAT(sentences("\"Stop!\" he cried. (It was late.) “Why?” She left."),
              ElementsAre("\"Stop!\" he cried.", "(It was late.)", "“Why?”", "She left."));
  EXPECT_THAT(sentences("Wait... what? Well… Maybe."), ElementsAre("Wait... what?", "Well…", "Maybe."));
}

TEST(Sentences, EndWithParagraphsItemsHeadingsAndRows) {
  EXPECT_THAT(
      sentences("# Title\nSome text\nwrapped here\n\nNew paragraph\n- one\n- two\n1. three\n2. four"),
      ElementsAre("# Title", "Some text\nwrapped here", "New paragraph", "- one", "- two", "1. three", "2. four"));
  EXPECT_THAT(sentences("| a. | b |\n| c | d |\nAfter."), ElementsAre("| a. | b |", "| c | d |", "After."));
}

TEST(Sentences, SayWhereParagraphsStart) {
  SentenceReader reader("One. Two.\n\nThree. Four.\n- item");
  std::vector<bool> starts;
  for (Sentence sentence; reader.next(sentence);) starts.push_back(sentence.starts_paragraph);
  EXPECT_THAT(starts, ElementsAre(true, false, true, false, true));
}

TEST(Sentences, KnowEastAsianStops) {
  EXPECT_THAT(sentences("これは文です。次の文！「はい。」終わり"),
              ElementsAre("これは文です。", "次の文！", "「はい。」", "終わり"));
}

TEST(Utf8, RepairsWhatIsNotUtf8AndKeepsWhatIs) {
  EXPECT_EQ(repair_utf8("plain ä 日本 😀"), "plain ä 日本 😀");
  EXPECT_EQ(repair_utf8(std::string_view("a\0b", 3)), "ab");
  EXPECT_EQ(repair_utf8("a\xFF"
                        "b\xC3"),
            "a\uFFFD"
            "b\uFFFD");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(repair_utf8("\xF0\x9F\x98x"), "\uFFFDx");            // one for a truncated sequence
  EXPECT_FALSE(is_valid_utf8("\xC0\x80"));
  EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));
  EXPECT_TRUE(is_valid_utf8("\xF4\x8F\xBF\xBF"));
}

TEST(Utf8, FindsBoundaries) {
  const std::string_view text = "aä日😀";
  EXPECT_EQ(boundary_before(text, 2), 1U);
  EXPECT_EQ(boundary_after(text, 2), 3U);
  EXPECT_EQ(boundary_before(text, 9), 6U);
  EXPECT_EQ(boundary_before(text, 99), text.size());
  EXPECT_EQ(prefix(text, 5), "aä");
  EXPECT_EQ(prefix("\x80\x80\x80\x80\x80\x80", 5).size(), 5U);
}

TEST(Utf8, EncodesWhatItDecodes) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    char bytes[4];
    const size_t size = encode_utf8(c, bytes);
    const CodePoint point = decode_utf8({bytes, size}, 0);
    ASSERT_TRUE(point.valid && point.value == c && point.size == size) << static_cast<uint32_t>(c);
  }
}

}  // namespace
}  // namespace tessera::text
