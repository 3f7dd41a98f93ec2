#include "text/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utf8proc.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "text/fold.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

using testing::ElementsAre;

std::vector<std::string> terms(std::string_view text) {
  std::vector<std::string> out;
  for_each_word(text, [&](const Word& word) { out.emplace_back(word.term); });
  return out;
}

TEST(Words, AreRunsOfLettersAndDigitsInLowerCase) {
  EXPECT_THAT(terms("Hello, World! chunk_size e-mail GPT4"),
              ElementsAre("hello", "world", "chunk", "size", "e", "mail", "gpt4"));
  EXPECT_THAT(terms(""), ElementsAre());
  EXPECT_THAT(terms(" ... --- !?"), ElementsAre());
}

TEST(Words, CarryTheirPlaceInTheText) {
  const std::string_view text = "Der Käse: 1,000 Stück";
  std::vector<std::string> sources;
  for_each_word(text, [&](const Word& word) { sources.emplace_back(text.substr(word.start, word.end - word.start)); });
  EXPECT_THAT(sources, ElementsAre("Der", "Käse", "1,000", "Stück"));
}

TEST(Words, FoldCaseAccentsAndCompatibilityForms) {
  EXPECT_THAT(terms("Ünïcödé CAFÉ e\u0301te\u0301 Straße Ærø Łódź İstanbul ﬁne ＡＢＣ"),
              ElementsAre("unicode", "cafe", "ete", "strasse", "aero", "lodz", "istanbul", "fine", "abc"));
  EXPECT_THAT(terms("Σίσυφος ΌΔΟΣ Ёлка Й"), ElementsAre("σισυφοσ", "οδοσ", "елка", "и"));
  EXPECT_THAT(terms("soft\u00ADhyphen zero\u200Cwidth"), ElementsAre("softhyphen", "zerowidth"));
}

TEST(Words, KeepTheVowelSignsOfScriptsThatNeedThem) {
  EXPECT_THAT(terms("हिन्दी में"), ElementsAre("हिन्दी", "में"));
}

TEST(Words, PassOverTheTailsOfContractions) {
  EXPECT_THAT(terms("Tessera's don't we’ll l'homme O'Neil 'quoted' dogs' Ünsal's x'sy"),
              ElementsAre("tessera", "don", "we", "l", "homme", "o", "neil", "quoted", "dogs", "unsal", "x", "sy"));
}

TEST(Words, KeepNumbersWhole) {
  EXPECT_THAT(terms("3.14, 1,000,000. 2.0.1 10,20 v1.2 5.x 1.5M end 7."),
              ElementsAre("3.14", "1000000", "2.0.1", "10", "20", "v1", "2", "5", "x", "1", "5m", "end", "7"));
}

TEST(Words, KnowTheLanguagesWithMarksInTheirNames) {
  EXPECT_THAT(terms("C++ and C# or F#, not a+b or c#d"),
              ElementsAre("c++", "and", "c#", "or", "f#", "not", "a", "b", "or", "c", "d"));
}

TEST(Words, ReadScriptsWithoutSpacesInPairs) {
  EXPECT_THAT(terms("東京都"), ElementsAre("東京", "京都"));
  EXPECT_THAT(terms("犬"), ElementsAre("犬"));
  EXPECT_THAT(terms("犬 猫"), ElementsAre("犬", "猫"));
  EXPECT_THAT(terms("GPUを使う。はい"), ElementsAre("gpu", "を使", "使う", "はい"));
  EXPECT_THAT(terms("한국어"), ElementsAre("한국", "국어"));
}

TEST(Words, FoldIdeographsAndSyllablesToThemselves) {
  const auto letters = {
      std::pair{0x3041, 0x3096}, {0x30A1, 0x30FA}, {0x3400, 0x4DB5}, {0x4E00, 0x9FEF}, {0xAC00, 0xD7A3}};
  for (const auto& [first, last] : letters) {
    for (int32_t c = first; c <= last; ++c) {
      ASSERT_EQ(utf8proc_category(c), UTF8PROC_CATEGORY_LO) << c;
      char bytes[4];
      const std::string_view itself(bytes, encode_utf8(static_cast<char32_t>(c), bytes));
      Folded scratch;
      const Folded& folded = fold(static_cast<char32_t>(c), scratch);
      ASSERT_EQ(folded.letter, Letter::pair) << c;
      ASSERT_EQ(folded.view(), itself) << c;
    }
  }
}

TEST(Words, AreCutAtALimitAndInvalidBytesDivide) {
  EXPECT_EQ(terms(std::string(1000, 'a')), std::vector{std::string(kTermBytesMax, 'a')});
  EXPECT_EQ(terms(std::string(1000, 'A')), std::vector{std::string(kTermBytesMax, 'a')});
  EXPECT_THAT(terms("ab\xFF"
                    "cd\xE2\x80"),
              ElementsAre("ab", "cd"));
}

/// Near the end of a text there is no room to look at sixteen bytes at once.
TEST(Words, AreTheSameAtTheEndOfATextAsBeforeOtherText) {
  constexpr std::string_view kBytes = "aZzm09.,'#+ -_@[`{\xC3\xA9\xE2\x80\x99s";
  std::mt19937 random(17);
  for (int round = 0; round < 200000; ++round) {
    std::string text;
    for (size_t size = random() % 16; size > 0; --size) {
      text += random() % 3 == 0 ? kBytes[random() % kBytes.size()] : static_cast<char>('a' + random() % 3);
    }
    const std::vector<std::string> alone = terms(text);
    ASSERT_EQ(terms(text + std::string(16, ' ')), alone) << text;
    std::vector<std::string> behind = terms("abcdefghijklmno " + text + std::string(16, '/'));
    behind.erase(behind.begin());
    ASSERT_EQ(behind, alone) << text;
  }
}

TEST(Words, AreFollowedByZerosUpToTheirHead) {
  const std::string text = "A word, ÉTÉ 東京 it's 3.14 c++ 1,000 abcdefghijklmno abcdefghijklmnop " +
                           std::string(40, 'x') + " and the lower-case last";
  size_t seen = 0;
  for_each_word(text, [&](const Word& word) {
    for (size_t i = word.term.size(); i < kTermHead; ++i) ASSERT_EQ(word.term.data()[i], 0) << word.term;
    ++seen;
  });
  EXPECT_EQ(seen, 16U);
}

}  // namespace
}  // namespace tessera::text
