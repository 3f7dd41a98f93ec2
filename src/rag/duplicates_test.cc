#include "rag/duplicates.h"

#include <gtest/gtest.h>

namespace tessera::rag {
namespace {

using core::Duplicates;

/// Forty different words with one set in the middle.
std::string long_text(const std::string& middle = "heron") {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text +=
        (i == 20 ? middle : "w" + std::string(1, static_cast<char>('a' + i % 26)) + std::string(1 + i / 26, 'x')) + " ";
  return text;
}

bool repeated(Duplicates kind, const std::string& first, const std::string& second) {
  DuplicateFilter filter(kind);
  EXPECT_FALSE(filter.repeats(first));
  return filter.repeats(second);
}

TEST(Duplicates, KeepLeavesNothingOut) {
  EXPECT_FALSE(repeated(Duplicates::keep, "a", "a"));
}

TEST(Duplicates, SameIsTheTextButForWhiteSpace) {
  EXPECT_TRUE(repeated(Duplicates::same, "One  two\nthree", " One two three\n"));
  EXPECT_FALSE(repeated(Duplicates::same, "One two", "one two"));
  EXPECT_FALSE(repeated(Duplicates::same, "One two", "Onetwo"));
  EXPECT_TRUE(repeated(Duplicates::same, "...", "..."));
}

TEST(Duplicates, NearLooksThroughCaseAccentsAndPunctuation) {
  EXPECT_TRUE(repeated(Duplicates::near, "Das Café, am Ufer.", "das cafe am ufer"));
  EXPECT_FALSE(repeated(Duplicates::same, "Das Café, am Ufer.", "das cafe am ufer"));
}

TEST(Duplicates, NearLeavesOutWhatAKeptTextHasWithATenthMore) {
  EXPECT_TRUE(repeated(Duplicates::near, "Draft copy " + long_text() + "the end", long_text()));
  EXPECT_FALSE(repeated(Duplicates::near, long_text() + "one two three four five six", long_text()));
  EXPECT_FALSE(repeated(Duplicates::near, "Ask Ann Miller", "Ask Ann"));  // a short text must be the same
}

TEST(Duplicates, WhatALongerTextAddsIsNotLost) {
  EXPECT_FALSE(repeated(Duplicates::near, long_text(), long_text() + "no longer holds"));
  EXPECT_FALSE(repeated(Duplicates::near, long_text(), "Not true: " + long_text()));
}

TEST(Duplicates, VersionsAreTwoAnswers) {
  EXPECT_FALSE(repeated(Duplicates::near, long_text("2023"), long_text("2024")));
  EXPECT_FALSE(repeated(Duplicates::near, long_text("Berlin"), long_text("Munich")));
  EXPECT_FALSE(repeated(Duplicates::near, long_text("is"), long_text("is not")));
  EXPECT_FALSE(repeated(Duplicates::near, "if (ready) return", "if (!ready) return"));
  EXPECT_FALSE(repeated(Duplicates::near, "x = a + b", "x = a / b"));
  EXPECT_FALSE(repeated(Duplicates::near, "it was 5 degrees", "it was -5 degrees"));
}

TEST(Duplicates, TextsWithoutWordsAreComparedAsTheyAre) {
  EXPECT_FALSE(repeated(Duplicates::near, "...", ":::"));
  EXPECT_FALSE(repeated(Duplicates::near, "", "..."));
  EXPECT_TRUE(repeated(Duplicates::near, "\xff\xfe", "\xff\xfe"));
}

}  // namespace
}  // namespace tessera::rag
