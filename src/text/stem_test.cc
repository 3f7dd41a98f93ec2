#include "text/stem.h"

#include <gtest/gtest.h>
#include <libstemmer.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace tessera::text {
namespace {

/// Snowball's own, the reference.
class Reference {
 public:
  Reference() : stemmer_(sb_stemmer_new("english", "UTF_8")) {}
  ~Reference() { sb_stemmer_delete(stemmer_); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  std::string stem(const std::string& word) {
    const auto* symbols = reinterpret_cast<const sb_symbol*>(word.data());
    const sb_symbol* out = sb_stemmer_stem(stemmer_, symbols, static_cast<int>(word.size()));
    return {reinterpret_cast<const char*>(out), static_cast<size_t>(sb_stemmer_length(stemmer_))};
  }

 private:
  sb_stemmer* stemmer_;
};

const std::vector<std::string> kEndings{
    "",       "s",    "es",    "ies",     "ied",   "ed",      "edly",    "ing",     "ingly", "eed",   "eedly",
    "y",      "ly",   "li",    "us",      "ss",    "sses",    "tional",  "enci",    "ency",  "anci",  "ancy",
    "abli",   "ably", "entli", "ently",   "izer",  "ization", "ational", "ation",   "ator",  "alism", "aliti",
    "ality",  "alli", "ally",  "fulness", "ousli", "ously",   "ousness", "iveness", "iviti", "ivity", "biliti",
    "bility", "bli",  "ogi",   "logy",    "fulli", "fully",   "lessly",  "alize",   "icate", "iciti", "ical",
    "ful",    "ness", "ative", "al",      "ance",  "ence",    "er",      "ic",      "able",  "ible",  "ant",
    "ement",  "ment", "ent",   "ism",     "ate",   "iti",     "ous",     "ive",     "ize",   "sion",  "tion",
    "ion",    "e",    "l",     "ll",      "le",    "y",       "ying"};
const std::vector<std::string> kStarts{"gener",   "commun",  "arsen",   "past",    "univers", "later",
                                       "emerg",   "organ",   "inter",   "sk",      "y",       "ay",
                                       "outing",  "inning",  "early",   "proceed", "exceed",  "succeed",
                                       "canning", "herring", "earring", "news",    "howe",    "andes"};

TEST(Stemmer, FindsTheStemOfEnglishWords) {
  Stemmer stemmer;
  EXPECT_EQ(stemmer.stem("running"), "run");
  EXPECT_EQ(stemmer.stem("generously"), "generous");
  EXPECT_EQ(stemmer.stem("caresses"), "caress");
  EXPECT_EQ(stemmer.stem("gpt4"), "gpt4");
  EXPECT_EQ(stemmer.stem("東京"), "東京");
  EXPECT_EQ(stemmer.stem("as"), "as");
  EXPECT_EQ(stemmer.stem(""), "");
  EXPECT_EQ(stemmer.stem("{ed"), "{ed");
  EXPECT_EQ(stemmer.stem("r`nning"), "r`nning");
  EXPECT_EQ(stemmer.stem(std::string(70, 'a') + "ing"), std::string(70, 'a') + "ing");
}

/// Letters at random, with the endings and beginnings that the rules name, one after the other and of every length.
TEST(Stemmer, AgreesWithSnowballsOwn) {
  std::mt19937 random(7);
  Reference reference;
  Stemmer remembering;
  const std::string likely = "aeiouyaeiouybcdeghklmnrtstlxw";
  for (int i = 0; i < 400'000; ++i) {
    std::string word = random() % 8 == 0 ? kStarts[random() % kStarts.size()] : "";
    for (size_t letters = random() % 7; letters > 0; --letters) {
      word += random() % 4 == 0 ? static_cast<char>('a' + random() % 26) : likely[random() % likely.size()];
    }
    for (size_t endings = random() % 4; endings > 0; --endings) word += kEndings[random() % kEndings.size()];
    if (word.size() < 3 || word.size() > 60) continue;
    const std::string expected = reference.stem(word);
    ASSERT_EQ(Stemmer().stem(word), expected) << word;
    ASSERT_EQ(remembering.stem(word), expected) << word;
    ASSERT_EQ(remembering.stem(word), expected) << word;
  }
}

/// Every word of up to three letters and every ending on its own.
TEST(Stemmer, AgreesOnShortWords) {
  Reference reference;
  Stemmer stemmer;
  std::set<std::string> words(kEndings.begin(), kEndings.end());
  words.insert(kStarts.begin(), kStarts.end());
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) {
      for (char c = 'a'; c <= 'z'; ++c) words.insert({a, b, c});
      for (const auto& ending : kEndings) words.insert(std::string{a, b} + ending);
    }
  }
  for (const auto& word : words) {
    if (word.size() >= 3) ASSERT_EQ(stemmer.stem(word), reference.stem(word)) << word;
  }
}

/// What is not a letter anywhere in a word leaves the word as it is.
TEST(Stemmer, LeavesWhatIsNotLetters) {
  Stemmer stemmer;
  for (size_t size = 3; size <= 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const char other : {'0', '`', '{', 'A', 'Z', '\x7F', '\x80', '\xE1', '\xFF'}) {
        std::string word(size - 3, 'b');
        word += "ing";
        word[at] = other;
        ASSERT_EQ(stemmer.stem(word), word) << size << ' ' << at << ' ' << static_cast<int>(other);
      }
    }
  }
}

}  // namespace
}  // namespace tessera::text
