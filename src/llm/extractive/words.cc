#include "llm/extractive/words.h"

#include <algorithm>
#include <array>

#include "text/stem.h"
#include "text/words.h"

namespace tessera::llm::extractive {
namespace {

constexpr auto kStopWords = std::to_array<std::string_view>(
    {"a",     "about", "after",  "all",    "also",   "am",   "an",   "and",   "any",     "are",   "as",
     "at",    "be",    "been",   "before", "being",  "but",  "by",   "can",   "could",   "d",     "did",
     "do",    "does",  "doing",  "don",    "during", "each", "else", "ever",  "for",     "from",  "give",
     "had",   "has",   "have",   "having", "he",     "her",  "here", "hers",  "him",     "his",   "how",
     "i",     "if",    "in",     "into",   "is",     "it",   "its",  "just",  "let",     "ll",    "many",
     "may",   "me",    "might",  "more",   "most",   "much", "must", "my",    "no",      "not",   "of",
     "off",   "on",    "only",   "or",     "other",  "our",  "out",  "over",  "please",  "re",    "s",
     "shall", "she",   "should", "so",     "some",   "such", "t",    "tell",  "than",    "that",  "the",
     "their", "them",  "then",   "there",  "these",  "they", "this", "those", "through", "to",    "too",
     "up",    "us",    "ve",     "very",   "was",    "we",   "were", "what",  "when",    "where", "whether",
     "which", "while", "who",    "whom",   "whose",  "why",  "will", "with",  "would",   "you",   "your"});

constexpr auto kWeakWords = std::to_array<std::string_view>(
    {"allow",      "amount",     "another",   "are",    "become",   "become",    "call",     "called",  "come",
     "consider",   "considered", "date",      "day",    "describe", "different", "doe",      "example", "explain",
     "find",       "first",      "following", "get",    "go",       "happen",    "happened", "kind",    "kinds",
     "know",       "known",      "last",      "like",   "long",     "made",      "make",     "mean",    "meant",
     "name",       "named",      "need",      "new",    "number",   "old",       "one",      "part",    "people",
     "percentage", "person",     "place",     "refer",  "referred", "same",      "say",      "show",    "sort",
     "take",       "term",       "thing",     "things", "time",     "two",       "type",     "types",   "use",
     "used",       "using",      "want",      "way",    "word",     "work",      "year",     "years"});

constexpr auto kNumberWords = std::to_array<std::string_view>(
    {"billion",  "billions",  "dozen", "dozens",   "eight",  "eighth", "eleven", "fifteen", "fifth",
     "fifty",    "first",     "five",  "forty",    "four",   "fourth", "half",   "hundred", "hundreds",
     "million",  "millions",  "nine",  "ninth",    "none",   "once",   "one",    "quarter", "second",
     "seven",    "seventh",   "six",   "sixth",    "sixty",  "ten",    "tenth",  "third",   "thirty",
     "thousand", "thousands", "three", "trillion", "twelve", "twenty", "twice",  "two",     "zero"});

constexpr auto kTimeWords = std::to_array<std::string_view>(
    {"april",     "august",   "autumn",   "centuries", "century",  "daily",    "day",      "days",     "decade",
     "decades",   "december", "february", "friday",    "hour",     "hours",    "january",  "july",     "june",
     "march",     "minutes",  "monday",   "month",     "months",   "november", "october",  "saturday", "seconds",
     "september", "spring",   "summer",   "sunday",    "thursday", "today",    "tomorrow", "tuesday",  "wednesday",
     "week",      "weeks",    "winter",   "year",      "years",    "yesterday"});

template <size_t N>
bool holds(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// Whether the character that starts at `at` is an upper-case letter (ASCII, Latin-1, basic Greek and Cyrillic).
bool is_capital(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  const unsigned second = byte(at + 1);
  return (first >= 'A' && first <= 'Z') || (first == 0xC3 && second >= 0x80 && second <= 0x9E) ||
         (first == 0xCE && second >= 0x91 && second <= 0xA9) || (first == 0xD0 && second >= 0x80 && second <= 0xAF);
}

// Whether one insertion, deletion, change or swap of neighbours turns a into b.
bool one_slip(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > 1) return false;
  size_t i = 0;
  while (i < a.size() && a[i] == b[i]) ++i;
  if (a.size() == b.size()) {
    if (a.substr(i + 1) == b.substr(i + 1)) return true;
    return i + 1 < a.size() && a[i] == b[i + 1] && a[i + 1] == b[i] && a.substr(i + 2) == b.substr(i + 2);
  }
  return a.substr(i) == b.substr(i + 1);
}

}  // namespace

std::vector<Term> terms_of(std::string_view text) {
  std::vector<Term> terms;
  text::Stemmer stemmer;
  text::for_each_word(text, [&](const text::Word& word) {
    Term term;
    term.text = word.term;
    term.stem = stemmer.stem(word.term);
    term.start = word.start;
    term.end = word.end;
    term.capital = is_capital(text, word.start);
    term.digit = word.term.find_first_of("0123456789") != std::string_view::npos;
    terms.push_back(std::move(term));
  });
  return terms;
}

bool is_stop_word(std::string_view lower) {
  return holds(kStopWords, lower);
}
bool is_weak_word(std::string_view lower) {
  return holds(kWeakWords, lower);
}
bool is_number_word(std::string_view lower) {
  return holds(kNumberWords, lower);
}
bool is_time_word(std::string_view lower) {
  return holds(kTimeWords, lower);
}

double stem_likeness(std::string_view a, std::string_view b) {
  if (a == b) return 1;
  const size_t shorter = std::min(a.size(), b.size());
  const size_t longer = std::max(a.size(), b.size());
  if (shorter < 4) return 0;
  size_t shared = 0;
  while (shared < shorter && a[shared] == b[shared]) ++shared;
  if (shared >= 5 && shared * 3 >= longer * 2) return 0.8;
  if (shared == shorter && longer - shorter <= 3) return 0.75;
  if (shorter >= 6 && one_slip(a, b)) return 0.7;
  return 0;
}

}  // namespace tessera::llm::extractive
