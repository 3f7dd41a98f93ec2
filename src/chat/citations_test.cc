#include "chat/citations.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tessera::chat {
namespace {

std::string filter(std::string_view text, size_t sources, int64_t* removed = nullptr) {
  CitationFilter filter(sources);
  std::string out;
  filter.push(text, out);
  filter.finish(out);
  if (removed != nullptr) *removed = filter.removed();
  return out;
}

TEST(CitationFilter, KeepsMarkersWithASourceAndRemovesOthers) {
  int64_t removed = 0;
  EXPECT_EQ(filter("So it is [1]. And so [3].", 2, &removed), "So it is [1]. And so.");
  EXPECT_EQ(removed, 1);
  EXPECT_EQ(filter("Both [1, 2], some [2, 9], none [8,9].", 2, &removed), "Both [1, 2], some [2], none.");
  EXPECT_EQ(removed, 3);
  EXPECT_EQ(filter("[0] [00] [1] [01]", 1, &removed), " [1] [01]");
  EXPECT_EQ(filter("huge [99999999999999999999999]", 5, &removed), "huge");
  EXPECT_EQ(removed, 1);
  EXPECT_EQ(filter("x [1]", 0, &removed), "x");
}

TEST(CitationFilter, LeavesWhatIsNoMarker) {
  for (const std::string text : {"[a]", "[]", "[ ]", "[x] done", "[", "a [", "[12", "- [ ] task", "f(x)[y]", "[^1]",
                                 "[-1]", "a  b   c", "x [1", "[1.5]"}) {
    EXPECT_EQ(filter(text, 0), text);
  }
  const std::string digits = "[" + std::string(100, '1') + "]";
  EXPECT_EQ(filter(digits, 1), digits);
}

TEST(CitationFilter, LeavesCode) {
  EXPECT_EQ(filter("Use `a[7]` and [7]", 1), "Use `a[7]` and");
  EXPECT_EQ(filter("```\nx[9] ` [8]\n```\n[9]", 1), "```\nx[9] ` [8]\n```\n");
  EXPECT_EQ(filter("lonely ` tick\n[9]!", 1), "lonely ` tick\n!");
}

TEST(CitationFilter, RemovingMakesNoNewMarker) {
  for (const std::string text :
       {"[[9]7]", "[1[9]7]", "[ [9] 7]", "[[9]1]", "`x`[9]```\n[9]\n```", "``[9]`[9]", "[[1]9]"}) {
    const auto out = filter(text, 1);
    for (const auto& marker : find_markers(out)) {
      for (const int64_t n : marker.numbers) EXPECT_EQ(n, 1) << text << " -> " << out;
    }
  }
}

TEST(CitationFilter, DoesNotDependOnHowTheTextWasCut) {
  const std::string text = "One [1], two [2][9]. `code [7]` [[9]1] [1, 9] a[ 3 ] ```\n[5]\n``` end [4";
  const auto whole = filter(text, 3);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    CitationFilter parts(3);
    std::string out;
    parts.push(text.substr(0, cut), out);
    parts.push(text.substr(cut), out);
    parts.finish(out);
    EXPECT_EQ(out, whole) << "cut at " << cut;
  }
}

TEST(CitationFilter, RandomTextsHaveOnlyValidMarkersAndAStableResult) {
  constexpr std::string_view kAlphabet = "[[[]]]`` 0123, x\n9";
  base::SeededRandom random(42);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const auto length = random.below(40);
    for (uint64_t i = 0; i < length; ++i) text += kAlphabet[random.below(kAlphabet.size())];
    const auto out = filter(text, 2);
    for (const auto& marker : find_markers(out)) {
      for (const int64_t n : marker.numbers)
        ASSERT_TRUE(n == 1 || n == 2) << testing::PrintToString(text) << " -> " << testing::PrintToString(out);
    }
    int64_t removed = 0;
    EXPECT_EQ(filter(out, 2, &removed), out) << testing::PrintToString(text);
    EXPECT_EQ(removed, 0);
    CitationFilter bytes(2);
    std::string stepwise;
    for (const char c : text) {
      const size_t before = stepwise.size();
      bytes.push({&c, 1}, stepwise);
      EXPECT_LE(stepwise.size() - before, CitationFilter::kHeldMax + 2);
    }
    bytes.finish(stepwise);
    ASSERT_EQ(stepwise, out);
  }
}

core::Passage passage(std::string text, int64_t start) {
  core::Passage p;
  p.document_id = "doc";
  p.ordinal = 4;
  p.text = std::move(text);
  p.start = start;
  p.end = start + static_cast<int64_t>(p.text.size());
  p.score = 0.5;
  return p;
}

TEST(Citations, NarrowToTheQuotedSentence) {
  const std::vector<core::Passage> passages{
      passage("Herons wait. The grey heron stands\nstill for hours. It eats fish.", 100),
      passage("Storks clatter with their bills.", 0), passage("Nobody cites this.", 7)};
  const auto citations = make_citations(
      passages,
      "They are patient: \"The grey heron stands still for hours\" [1]. Storks clatter with their bills [2].");
  ASSERT_EQ(citations.size(), 3U);
  EXPECT_TRUE(citations[0].cited);
  EXPECT_EQ(citations[0].snippet, "The grey heron stands\nstill for hours.");
  EXPECT_EQ(citations[0].start, 113);
  EXPECT_EQ(citations[0].end - citations[0].start, static_cast<int64_t>(citations[0].snippet.size()));
  EXPECT_EQ(citations[0].chunk_id, "doc#4");
  EXPECT_EQ(citations[1].snippet, passages[1].text);
  EXPECT_FALSE(citations[2].cited);
  EXPECT_EQ(citations[2].snippet, passages[2].text);
}

TEST(Citations, NarrowOverBracketedNumbersOfTheDocument) {
  const std::vector<core::Passage> passages{
      passage("It is old. The canal was dug in 1822 [1] by Karl Lund [12, 13]. It is long.[2] Trains came later.", 50)};
  const auto first = make_citations(passages, "The canal was dug in 1822 by Karl Lund. [1]");
  EXPECT_EQ(first[0].snippet, "The canal was dug in 1822 [1] by Karl Lund [12, 13].");
  EXPECT_EQ(first[0].start, 61);
  const auto second = make_citations(passages, "It is long. Trains came later. [1]");
  EXPECT_EQ(second[0].snippet, "It is long.[2] Trains came later.");
}

TEST(Citations, ParaphrasesCiteTheWholeChunk) {
  const auto citations = make_citations({passage("The heron stands still for hours.", 10)}, "It does not move [1].");
  EXPECT_TRUE(citations[0].cited);
  EXPECT_EQ(citations[0].start, 10);
  EXPECT_EQ(citations[0].snippet, "The heron stands still for hours.");
}

TEST(Citations, NeighbouringMarkersRestOnTheSameWords) {
  const auto citations =
      make_citations({passage("A. Fish swim in cold water.", 0), passage("B. Fish swim in cold water.", 50)},
                     "Fish swim in cold water [1][2].");
  EXPECT_EQ(citations[0].start, 3);
  EXPECT_EQ(citations[1].start, 53);
}

TEST(Citations, RemoveMarkersTakesOutWhatIsGone) {
  std::string answer = "One [1], two [2], both [1, 2].";
  EXPECT_EQ(remove_markers(answer, {2}), 2);
  EXPECT_EQ(answer, "One [1], two, both [1].");
}

}  // namespace
}  // namespace tessera::chat
