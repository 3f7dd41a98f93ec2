#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "text/bpe_embedded.h"

namespace tessera::text {
namespace {

using Ids = std::vector<uint32_t>;

Ids encode(const BpeVocabulary& vocabulary, std::string_view text) {
  Ids ids;
  vocabulary.encode(text, ids);
  return ids;
}

std::string decode(const BpeVocabulary& vocabulary, const Ids& ids) {
  std::string text;
  for (const uint32_t id : ids) text += vocabulary.token(id);
  return text;
}

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

Ids numbers(const std::string& list) {
  std::istringstream in(list);
  Ids ids;
  for (uint32_t id; in >> id;) ids.push_back(id);
  return ids;
}

/// The definition of merging, quadratic: the least id among adjacent pairs, the leftmost of equals, until none is left.
Ids merge_plainly(const std::unordered_map<std::string, uint32_t>& ids, const std::string& piece) {
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  for (;;) {
    uint32_t best = UINT32_MAX;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ids.find(parts[i] + parts[i + 1]);
      if (found != ids.end() && found->second < best) best = found->second, best_at = i;
    }
    if (best == UINT32_MAX) break;
    parts[best_at] += parts[best_at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
  Ids out;
  for (const auto& part : parts) out.push_back(ids.at(part));
  return out;
}

TEST(Bpe, EmbeddedVocabulariesAreSound) {
  for (const auto file : {embedded_cl100k(), embedded_o200k()}) {
    const auto vocabulary = BpeVocabulary::open(file);
    ASSERT_TRUE(vocabulary) << vocabulary.error().detail;
  }
  EXPECT_EQ(BpeVocabulary::cl100k().name(), "cl100k");
  EXPECT_EQ(BpeVocabulary::cl100k().size(), 100256U);
  EXPECT_EQ(BpeVocabulary::o200k().name(), "o200k");
  EXPECT_EQ(BpeVocabulary::o200k().size(), 199998U);
}

TEST(Bpe, SameIdsAsTheReference) {
  std::ifstream in(std::string(TESSERA_SOURCE_DIR) + "/src/text/testdata/bpe_golden.txt");
  const auto cl100k = BpeVocabulary::cl100k(), o200k = BpeVocabulary::o200k();
  size_t cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    const size_t first = line.find('\t'), second = line.find('\t', first + 1);
    const std::string text = unhex(line.substr(0, first));
    const Ids want_cl100k = numbers(line.substr(first + 1, second - first - 1)),
              want_o200k = numbers(line.substr(second));
    ASSERT_EQ(encode(cl100k, text), want_cl100k) << "cl100k: " << text;
    ASSERT_EQ(encode(o200k, text), want_o200k) << "o200k: " << text;
    ASSERT_EQ(cl100k.count_tokens(text), want_cl100k.size());
    ASSERT_EQ(o200k.count_tokens(text), want_o200k.size());
  }
  EXPECT_GT(cases, 600U);
}

TEST(Bpe, LongPiecesMergeByTheDefinition) {
  const auto vocabulary = BpeVocabulary::o200k();
  std::unordered_map<std::string, uint32_t> by_bytes;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) by_bytes.emplace(vocabulary.token(id), id);
  std::mt19937 random(3);
  for (const size_t size : {100U, 127U, 128U, 129U, 500U}) {
    for (const std::string_view letters : {"a", "ab", "etaoinshr"}) {
      std::string piece;
      for (size_t i = 0; i < size; ++i) piece += letters[random() % letters.size()];
      EXPECT_EQ(encode(vocabulary, piece), merge_plainly(by_bytes, piece)) << piece;
    }
  }
}

/// Counting cuts pieces of wide scripts and merges many at once, encoding does neither; a filter says what may merge.
TEST(Bpe, PiecesOfManyScriptsMergeByTheDefinition) {
  const std::vector<std::vector<std::string>> alphabets = {
      {"e", "t", "a", "o", "i", "n", "s", "h", "r"},
      {"a", "\xC3\xA4", "z", "\xC5\x82", "\xC3\x9F", "k"},
      {"\xD0\xB0", "\xD0\xB5", "\xD0\xBD", "\xD0\xB8", "\xD1\x82", "\xD1\x81", "\xD0\xBE"},
      {"\xE3\x81\x99", "\xE3\x82\x8B", "\xE3\x81\xAE", "\xE3\x83\xBC", "\xE3\x83\x95", "\xE8\xA1\x8C", "\xE7\xAC\xA6"},
      {"\xE4\xB8\xAD", "\xE6\x96\x87", "\xE7\x9A\x84", "\xE6\x95\xB0", "\xE6\x8D\xAE", "\xE4\xB8\x80", "\xE6\x98\xAF"},
      {"\xED\x95\x9C", "\xEA\xB5\xAD", "\xEB\x8B\x88", "\xEB\x8B\xA4", "\xEC\x8A\xB5", "\xEC\x9D\xB4", "\xEC\x9E\xA5"}};
  std::mt19937 random(4);
  for (const auto& vocabulary : {BpeVocabulary::cl100k(), BpeVocabulary::o200k()}) {
    std::unordered_map<std::string, uint32_t> by_bytes;
    for (uint32_t id = 0; id < vocabulary.size(); ++id) by_bytes.emplace(vocabulary.token(id), id);
    for (const auto& alphabet : alphabets) {
      std::string text;
      size_t total = 0;
      for (int i = 0; i < 250; ++i) {
        std::string piece = i % 2 == 0 ? " " : "";
        for (size_t j = 1 + random() % 14; j > 0; --j) piece += alphabet[random() % alphabet.size()];
        const auto whole = by_bytes.find(piece);
        const Ids want = whole != by_bytes.end() ? Ids{whole->second} : merge_plainly(by_bytes, piece);
        ASSERT_EQ(encode(vocabulary, piece), want) << piece;
        ASSERT_EQ(vocabulary.count_tokens(piece), want.size()) << piece;
        if (piece.front() != ' ') continue;
        text += piece;
        total += want.size();
      }
      EXPECT_EQ(vocabulary.count_tokens(text), total);
    }
  }
}

TEST(Bpe, AppendsAndCounts) {
  const auto vocabulary = BpeVocabulary::cl100k();
  Ids ids = {7};
  vocabulary.encode("hello world", ids);
  EXPECT_EQ(ids, (Ids{7, 15339, 1917}));
  EXPECT_EQ(vocabulary.count_tokens("hello world"), 2U);
  EXPECT_EQ(vocabulary.count_tokens(""), 0U);
}

TEST(Bpe, SpecialTokensAreText) {
  for (const auto& vocabulary : {BpeVocabulary::cl100k(), BpeVocabulary::o200k()}) {
    const Ids ids = encode(vocabulary, "<|endoftext|>");
    EXPECT_GT(ids.size(), 1U);
    EXPECT_EQ(decode(vocabulary, ids), "<|endoftext|>");
    EXPECT_EQ(vocabulary.token(vocabulary.size()), "");
  }
}

TEST(Bpe, InvalidSequencesAreReplacementCharacters) {
  const auto vocabulary = BpeVocabulary::cl100k();
  for (const std::string_view bad : {"a\xFFz", "a\xC3z", "a\xE2\x82z", "a\xED\xA0\x80z", "\x80", "\xF0\x9F\x98"}) {
    const std::string text = decode(vocabulary, encode(vocabulary, bad));
    EXPECT_NE(text.find("\xEF\xBF\xBD"), std::string::npos) << text;
    EXPECT_EQ(encode(vocabulary, text), encode(vocabulary, bad));
    EXPECT_EQ(vocabulary.count_tokens(bad), encode(vocabulary, bad).size());
  }
  const std::string_view nul("a\0b\xFF", 4);
  EXPECT_EQ(decode(vocabulary, encode(vocabulary, nul)), std::string_view("a\0b\xEF\xBF\xBD", 6));
}

/// Pieces from few words, so that they come again, in every size that a counter remembers and more.
std::string random_text(std::mt19937& random, size_t pieces) {
  static constexpr std::string_view kParts[] = {"a",
                                                "the",
                                                "qz",
                                                "ing",
                                                " ",
                                                "\n",
                                                "7",
                                                "'s",
                                                "!!",
                                                "\xC3\xA9",
                                                "\xD0\xB6\xD0\xB0",
                                                "\xE4\xB8\xAD\xE6\x96\x87",
                                                "\xF0\x9F\x98\x80",
                                                "\xE0\xB8\x81",
                                                "\0"};
  std::string text;
  for (size_t i = 0; i < pieces; ++i) {
    const size_t parts = random() % (i % 16 == 0 ? 24 : 6);
    for (size_t j = 0; j < parts; ++j) text += kParts[random() % std::size(kParts)];
    text += random() % 2 == 0 ? " " : "";
  }
  return text;
}

TEST(Bpe, CounterThatRemembersCountsAsEncodingDoes) {
  std::mt19937 random(11);
  for (const auto& vocabulary : {BpeVocabulary::cl100k(), BpeVocabulary::o200k()}) {
    const BpeCounter counter(vocabulary, 1);
    for (int i = 0; i < 400; ++i) {
      const std::string text = random_text(random, random() % 60);
      const size_t want = encode(vocabulary, text).size();
      ASSERT_EQ(counter.count(text), want) << text;
      ASSERT_EQ(vocabulary.count_tokens(text), want) << text;
    }
    EXPECT_EQ(counter.count("a\xFF"), encode(vocabulary, "a\xFF").size());
  }
}

/// A text that ends with its memory: nothing behind it is read, whatever the size of the last piece.
TEST(Bpe, CountsToTheLastByteOfItsMemory) {
  const BpeCounter counter(BpeVocabulary::o200k(), 1);
  for (size_t size = 1; size < 70; ++size) {
    for (const char letter : {'q', ' ', '-', '5'}) {
      const std::vector<char> exact(size, letter);
      const std::string_view text(exact.data(), size);
      ASSERT_EQ(counter.count(text), encode(BpeVocabulary::o200k(), text).size());
    }
  }
}

TEST(Bpe, CounterServesMoreThreadsThanItHasWorkspaces) {
  const BpeCounter counter(BpeVocabulary::cl100k(), 2);
  std::atomic<size_t> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (uint32_t seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&counter, &wrong, seed] {
        std::mt19937 random(seed);
        for (int i = 0; i < 50; ++i) {
          const std::string text = random_text(random, 30);
          wrong += counter.count(text) != encode(BpeVocabulary::cl100k(), text).size();
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0U);
}

/// Cost of hostile texts grows as their length does, not as its square: 16 times the text, not 256 times the time.
TEST(Bpe, HostileTextsTakeNearlyLinearTime) {
  const auto vocabulary = BpeVocabulary::o200k();
  const auto seconds = [&](const std::string& unit, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += unit;
    const std::clock_t start = std::clock();
    EXPECT_GT(vocabulary.count_tokens(text), 0U);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  for (const std::string unit : {"a", "A", " ", "\n ", "ab", "\xCC\x81",
                                 "\xCC\x81"
                                 "A",
                                 "!\n", "\xE4\xB8\xAD", "'", "1", "\xE0\xB8\x81", "\xE0\xB8\x81\xE0\xB8\xB2",
                                 "\xE4\xB8\xAD\xE6\x96\x87\xE5\xAD\x97", "\xFF"}) {
    double ratio = 1e9;  // the least of three: other processes take time too
    for (int i = 0; i < 3; ++i) ratio = std::min(ratio, seconds(unit, 1 << 17) / (seconds(unit, 1 << 13) + 1e-4));
    EXPECT_LT(ratio, 100) << unit;
  }
  // Nothing repeats: letters in one piece of a megabyte, and bytes.
  std::mt19937 random(12);
  for (const uint32_t range : {26U, 256U}) {
    std::string unit;
    for (int i = 0; i < 1 << 20; ++i) unit += static_cast<char>(range == 26 ? 'a' + random() % 26 : random() % 256);
    double ratio = 1e9;
    for (int i = 0; i < 3; ++i) {
      ratio = std::min(ratio, seconds(unit, unit.size()) / (seconds(unit.substr(0, 1 << 16), 1 << 16) + 1e-4));
    }
    EXPECT_LT(ratio, 100) << range;
  }
}

class BpeFile : public testing::Test {
 protected:
  void SetUp() override { restore(); }
  void restore() { bytes_.assign(embedded_cl100k().begin(), embedded_cl100k().end()); }
  void reseal() {
    std::memset(bytes_.data() + 40, 0, 8);
    const uint64_t sum = base::hash64(view().substr(128), base::hash64(view().substr(0, 128)));
    std::memcpy(bytes_.data() + 40, &sum, sizeof sum);
  }
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }
  std::vector<char> bytes_;
};

TEST_F(BpeFile, DamageIsFound) {
  ASSERT_TRUE(BpeVocabulary::open(view()));
  EXPECT_FALSE(BpeVocabulary::open(view().substr(0, 60)));
  EXPECT_FALSE(BpeVocabulary::open(view().substr(0, bytes_.size() - 1)));
  EXPECT_FALSE(BpeVocabulary::open({}));
  std::mt19937 random(5);
  for (int i = 0; i < 300; ++i) {
    const size_t at = i < 200 ? random() % 128 : random() % bytes_.size();
    bytes_[at] = static_cast<char>(bytes_[at] ^ (1 << random() % 8));
    const auto opened = BpeVocabulary::open(view());
    ASSERT_FALSE(opened) << at;
    EXPECT_EQ(opened.error().name, "BPE_VOCABULARY_DAMAGED");
    restore();
  }
}

TEST_F(BpeFile, LiesUnderAGoodChecksumAreHarmless) {
  std::mt19937 random(6);
  uint32_t sections[16];
  std::memcpy(sections, bytes_.data() + 48, sizeof sections);
  for (const size_t section : {0U, 1U, 2U, 3U, 5U, 6U, 7U}) {
    for (int i = 0; i < 8; ++i) {
      const size_t at = sections[section * 2] + random() % sections[section * 2 + 1] / 4 * 4;
      const auto lie = static_cast<uint32_t>(random() | 0x00300001);
      std::memcpy(bytes_.data() + at, &lie, sizeof lie);
      reseal();
      // A lie inside a token's bytes gives another vocabulary, not an unsafe one.
      if (const auto opened = BpeVocabulary::open(view())) EXPECT_GT(opened->count_tokens("Some text, 12 words."), 0U);
      restore();
    }
  }
}

}  // namespace
}  // namespace tessera::text
