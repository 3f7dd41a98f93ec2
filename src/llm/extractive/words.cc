#include "llm/extractive/words.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace tessera::llm::extractive {
namespace {

// Each list is sorted, for binary search; the tests check that.
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
bool holds(const std::array<std::string_view, N>& sorted, std::string_view word) {
  return std::find(sorted.begin(), sorted.end(), word) != sorted.end();
}

bool is_letter_byte(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}
bool is_digit_byte(unsigned char c) {
  return c >= '0' && c <= '9';
}

// Bytes of a UTF-8 encoded punctuation mark or space at `at` (general punctuation, no-break space, CJK stops), or 0.
size_t wide_mark(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (byte(at) == 0xC2 && byte(at + 1) >= 0xA0 && byte(at + 1) <= 0xBF) return 2;
  if (byte(at) == 0xE2 && byte(at + 1) >= 0x80 && byte(at + 1) <= 0x8F) return 3;  // U+2000 .. U+23FF
  if (byte(at) == 0xE3 && byte(at + 1) == 0x80) return 3;                          // U+3000 .. U+303F
  return 0;
}

bool ends(std::string_view word, std::string_view tail, size_t stem_min) {
  return word.size() >= tail.size() + stem_min && word.ends_with(tail);
}

bool has_vowel(std::string_view word) {
  return word.find_first_of("aeiouy") != std::string_view::npos;
}

// A light stemmer: plurals, -ed, -ing, -ly and doubled consonants. Mild on purpose; what it misses, shared beginnings
// and the embedding catch.
std::string stem_of(std::string_view word) {
  std::string stem(word);
  if (stem.size() < 4 ||
      std::ranges::any_of(stem, [](char c) { return is_digit_byte(static_cast<unsigned char>(c)); })) {
    return stem;
  }
  const auto cut = [&](size_t bytes) { stem.resize(stem.size() - bytes); };
  if (ends(stem, "ies", 3)) {
    cut(3);
    stem += 'y';
  } else if (ends(stem, "sses", 2) || ends(stem, "shes", 2) || ends(stem, "ches", 2) || ends(stem, "xes", 2)) {
    cut(2);
  } else if (stem.ends_with('s') && !stem.ends_with("ss") && !stem.ends_with("us") && !stem.ends_with("is")) {
    cut(1);
  }
  bool cut_verb = false;
  if (ends(stem, "ing", 3) && has_vowel(std::string_view(stem).substr(0, stem.size() - 3))) {
    cut(3);
    cut_verb = true;
  } else if (ends(stem, "ied", 3)) {
    cut(3);
    stem += 'y';
  } else if (ends(stem, "ed", 3) && has_vowel(std::string_view(stem).substr(0, stem.size() - 2))) {
    cut(2);
    cut_verb = true;
  } else if (ends(stem, "ly", 4)) {
    cut(2);
  }
  const size_t n = stem.size();
  if (cut_verb && n > 3 && stem[n - 1] == stem[n - 2] && stem[n - 1] != 'l' && stem[n - 1] != 's') cut(1);
  if (stem.size() > 4 && stem.ends_with('e')) cut(1);
  return stem;
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
  size_t i = 0;
  const auto wordy = [&](size_t at) {
    const auto c = static_cast<unsigned char>(text[at]);
    return (is_letter_byte(c) || is_digit_byte(c)) && (c < 0x80 || wide_mark(text, at) == 0);
  };
  while (i < text.size()) {
    if (!wordy(i)) {
      i += std::max<size_t>(1, wide_mark(text, i));
      continue;
    }
    Term term;
    term.start = i;
    while (i < text.size()) {
      const bool digit = is_digit_byte(static_cast<unsigned char>(text[i]));
      if (wordy(i)) {
        const char c = text[i];
        if (term.text.empty()) term.capital = c >= 'A' && c <= 'Z';
        term.digit = term.digit || digit;
        term.text += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        ++i;
      } else if (text[i] == ',' && i > term.start && i + 1 < text.size() &&
                 is_digit_byte(static_cast<unsigned char>(text[i - 1])) &&
                 is_digit_byte(static_cast<unsigned char>(text[i + 1]))) {
        ++i;  // 1,000 is one number
      } else {
        break;
      }
    }
    term.end = i;
    term.stem = stem_of(term.text);
    terms.push_back(std::move(term));
  }
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
