#include "text/chunker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "text/chunk_promises.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

using testing::ElementsAre;

/// A token is a run of non-space bytes; of long runs, every 8 bytes.
size_t words(std::string_view text) {
  size_t total = 0, run = 0;
  for (const char c : text) {
    run = is_space(c) ? 0 : run + 1;
    total += run % 8 == 1;
  }
  return total;
}

std::vector<ChunkSpan> chunks_of(std::string_view text, const Structure& structure, ChunkOptions options) {
  auto chunks = chunk_text(text, structure, options, words);
  EXPECT_EQ(broken_chunk_promise(text, chunks, options, words), "");
  return chunks;
}

std::vector<std::string> texts(std::string_view text, const std::vector<ChunkSpan>& chunks) {
  std::vector<std::string> out;
  for (const ChunkSpan& chunk : chunks) out.emplace_back(text.substr(chunk.start, chunk.end - chunk.start));
  return out;
}

std::string sentence(int number, int length) {
  std::string out = "S" + std::to_string(number);
  for (int i = 1; i < length; ++i) out += " w";
  return out + ".";
}

TEST(Chunker, AShortTextIsOneChunk) {
  const auto chunks = chunks_of("  One. Two.\n", {}, {.size = 16, .overlap = 4});
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(chunks[0].start, 2U);
  EXPECT_EQ(chunks[0].end, 11U);
  EXPECT_EQ(chunks[0].tokens, 2U);
  EXPECT_EQ(chunks[0].heading_path, "");
}

TEST(Chunker, NothingGivesNoChunks) {
  EXPECT_TRUE(chunks_of("", {}, {}).empty());
  EXPECT_TRUE(chunks_of(" \n\n\t", {}, {}).empty());
}

TEST(Chunker, CutsAtSentencesAndRepeatsWholeSentences) {
  std::string text;
  for (int i = 1; i <= 6; ++i) text += sentence(i, 5) + " ";
  const auto chunks = chunks_of(text, {}, {.size = 16, .overlap = 6});
  EXPECT_THAT(texts(text, chunks), ElementsAre("S1 w w w w. S2 w w w w. S3 w w w w.",
                                               "S3 w w w w. S4 w w w w. S5 w w w w.", "S5 w w w w. S6 w w w w."));
}

TEST(Chunker, WithoutOverlapChunksAreDisjoint) {
  std::string text;
  for (int i = 1; i <= 20; ++i) text += sentence(i, 5) + " ";
  size_t end = 0;
  for (const ChunkSpan& chunk : chunks_of(text, {}, {.size = 16, .overlap = 0})) {
    EXPECT_GE(chunk.start, end);
    end = chunk.end;
  }
}

TEST(Chunker, HeadingsDivideAndNameTheirChunks) {
  const std::string text = "Intro.\n# A\n\n## B\nText b.\n## C\nText c.\n# D\nText d.";
  Structure structure;
  for (const auto& [mark, level, title] :
       {std::tuple{"# A", 1, "A"}, {"## B", 2, "B"}, {"## C", 2, "C"}, {"# D", 1, "D"}}) {
    structure.headings.push_back({text.find(mark), level, title});
  }
  const auto chunks = chunks_of(text, structure, {});
  EXPECT_THAT(texts(text, chunks), ElementsAre("Intro.", "# A\n\n## B\nText b.", "## C\nText c.", "# D\nText d."));
  std::vector<std::string> paths;
  for (const ChunkSpan& chunk : chunks) paths.push_back(chunk.heading_path);
  EXPECT_THAT(paths, ElementsAre("", "A > B", "A > C", "D"));
}

TEST(Chunker, ABlockStaysWholeWhileItFits) {
  const std::string code = "```\nx = 1. Y = 2.\n\nz = 3. W = 4.\nmore code here\n```";
  const std::string text = sentence(1, 8) + "\n\n" + code + "\n\n" + sentence(2, 8);
  const Structure structure{{}, {{text.find("```"), text.find("```") + code.size()}}};
  const auto chunks = chunks_of(text, structure, {.size = 20, .overlap = 0});
  EXPECT_THAT(texts(text, chunks), ElementsAre(sentence(1, 8), code, sentence(2, 8)));
}

TEST(Chunker, ABlockThatIsTooLargeIsCutAtItsLines) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "a b c d\n";
  const auto chunks = chunks_of(text, {{}, {{0, text.size()}}}, {.size = 16, .overlap = 0});
  EXPECT_EQ(chunks.size(), 10U);
  for (const ChunkSpan& chunk : chunks) EXPECT_EQ(chunk.tokens, 16U);
}

TEST(Chunker, PrefersToStartWithAParagraph) {
  std::string paragraph;
  for (int i = 0; i < 3; ++i) paragraph += sentence(i, 4) + " ";
  const std::string text = paragraph + "\n\n" + paragraph + "\n\n" + paragraph;
  for (const ChunkSpan& chunk : chunks_of(text, {}, {.size = 20, .overlap = 0})) EXPECT_EQ(chunk.tokens, 12U);
}

TEST(Chunker, ALongSentenceIsCutAtWordsAndALongWordAtCharacters) {
  std::string text = "Start ";
  for (int i = 0; i < 100; ++i) text += "word ";
  for (int i = 0; i < 1000; ++i) text += "日本";
  text += " end";
  EXPECT_GT(chunks_of(text, {}, {.size = 16, .overlap = 4}).size(), 40U);
}

TEST(Chunker, AStructureThatFitsNothingDoesNoHarm) {
  const std::string text = "äöü text. More text here.\n\nAnd more.";
  const Structure structure{
      {{1, 1, "cuts a character"}, {1, 9, "again"}, {20, -3, "deep"}, {5, 2, "back"}, {999, 1, "out"}},
      {{30, 10}, {3, 4}, {2, 5000}, {7000, 9000}}};
  chunks_of(text, structure, {.size = 16, .overlap = 8});
}

/// Random texts and structures against the promises.
TEST(Chunker, KeepsItsPromisesOnRandomTexts) {
  std::mt19937 random(5);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::vector<std::string> parts = {
      "word ",       "Longer words here. ", "\n",    "\n\n", "# head\n", "- item\n", "日本語。", "ä", ". ", "   ",
      "| a | b |\n", std::string(200, 'x'), "```\n", "1. "};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t i = below(60); i > 0; --i) text += parts[below(parts.size())];
    Structure structure;
    size_t at = 0;
    for (size_t i = below(5); i > 0; --i)
      structure.headings.push_back({at += below(40), static_cast<int>(1 + below(6)), "T"});
    at = 0;
    for (size_t i = below(4); i > 0; --i) {
      const size_t start = at + below(60);
      structure.blocks.push_back({start, at = start + below(200)});
    }
    const ChunkOptions options{.size = 16 + below(30), .overlap = below(16)};
    const auto chunks = chunks_of(text, structure, options);
    const auto again = chunk_text(text, structure, options, words);
    ASSERT_EQ(chunks.size(), again.size());
    if (HasFailure()) FAIL() << text;
  }
}

/// Hostile texts of a megabyte: the bytes given to the counter stay within a small multiple of the text.
TEST(Chunker, IsLinear) {
  std::vector<std::pair<std::string, Structure>> cases = {
      {std::string(1 << 20, 'x'), {}}, {std::string(1 << 20, '\n'), {}}, {std::string(1 << 20, '.'), {}}};
  std::string spaced, headed, dots;
  for (int i = 0; i < 10'000; ++i) spaced += "a" + std::string(100, ' ');
  for (int i = 0; i < 350'000; ++i) dots += "a. ";
  Structure headings;
  const std::string title(1000, 't');
  for (int i = 0; i < 50'000; ++i) {
    headings.headings.push_back({headed.size(), 1 + i % 6, title});
    headed += "# heading\n";
  }
  cases.insert(cases.end(), {{spaced, {}}, {dots, {}}, {headed, headings}});
  for (const auto& [text, structure] : cases) {
    size_t counted = 0;
    const auto chunks = chunk_text(text, structure, {}, [&](std::string_view piece) {
      counted += piece.size() + 1;
      return words(piece);
    });
    EXPECT_LT(counted, text.size() * 4);
    EXPECT_EQ(broken_chunk_promise(text, chunks, {}, words), "");
  }
}

TEST(Chunker, KeepsEachChunksTokens) {
  // Sentences, blocks larger than a chunk, sentences of many words, words larger than a chunk.
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    Structure structure;
    for (size_t parts = random() % 12; parts > 0; --parts) {
      const size_t start = text.size();
      const size_t words_in = random() % 5 == 0 ? 40 : random() % 9;
      for (size_t i = 0; i < words_in; ++i)
        text += std::string(1 + random() % 6, static_cast<char>('a' + random() % 26)) + " ";
      if (random() % 4 == 0) text += std::string(random() % 600, 'x');
      text += random() % 2 == 0 ? ".\n" : "!\n\n";
      if (random() % 4 == 0) structure.headings.push_back({start, static_cast<int>(1 + random() % 3), "title"});
      if (random() % 4 == 0) structure.blocks.push_back({start, text.size()});
    }
    const ChunkOptions options{.size = 16 + random() % 16, .overlap = random() % 8};
    // A token is its word's first byte and its size; of long words, one for every eight bytes.
    TokenKeeper keeper;
    keeper.read = [](std::string_view piece, std::vector<uint16_t>& tokens) {
      size_t found = 0;
      for (size_t pos = 0; pos < piece.size();) {
        size_t end = pos;
        while (end < piece.size() && end - pos < 8 && !is_space(piece[end])) ++end;
        if (end > pos) tokens.push_back(static_cast<uint16_t>(piece[pos] * 16 + static_cast<int>(end - pos))), ++found;
        pos = std::max(end, pos + 1);
        if (end == pos && pos < piece.size() && is_space(piece[pos])) ++pos;
      }
      return found;
    };
    const auto chunks = chunk_text(text, structure, options, keeper);
    size_t covered = 0;
    for (const ChunkSpan& chunk : chunks) {
      std::vector<uint16_t> read;
      ASSERT_EQ(keeper.read(std::string_view(text).substr(chunk.start, chunk.end - chunk.start), read), chunk.tokens);
      ASSERT_LE(chunk.first_token, covered);
      ASSERT_LE(chunk.first_token + chunk.tokens, keeper.tokens.size());
      ASSERT_EQ(read, std::vector<uint16_t>(
                          keeper.tokens.begin() + static_cast<ptrdiff_t>(chunk.first_token),
                          keeper.tokens.begin() + static_cast<ptrdiff_t>(chunk.first_token + chunk.tokens)));
      covered = chunk.first_token + chunk.tokens;
    }
    ASSERT_EQ(covered, keeper.tokens.size());
  }
}

}  // namespace
}  // namespace tessera::text
