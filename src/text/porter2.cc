#include "text/porter2.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace tessera::text {

static_assert(std::endian::native == std::endian::little);

template <size_t N>
consteval Porter2::Ending::Ending(const char (&letters)[N]) : mask(~uint64_t{0} << (64 - 8 * (N - 1))), size(N - 1) {
  for (size_t i = 0; i + 1 < N; ++i) bytes = bytes >> 8 | static_cast<uint64_t>(letters[i]) << 56;
}

/// What an ending becomes. `only_after`: one of these letters stands before it.
struct Porter2::Rule {
  Ending ending;
  std::string_view by;
  std::string_view only_after = {};
};

namespace {

using Words = std::pair<std::string_view, std::string_view>;

// A consonant 'y' is written 'Y' meanwhile.
constexpr uint32_t letters(std::string_view set) {
  uint32_t bits = 0;
  for (const char letter : set) bits |= uint32_t{1} << (letter & 31);
  return bits;
}
constexpr uint32_t kVowels = letters("aeiouy");

bool is_vowel(char c) {
  return c >= 'a' && (kVowels >> (c & 31) & 1) != 0;
}

constexpr std::array<Words, 18> kIrregular = {{{"skis", "ski"},
                                               {"skies", "sky"},
                                               {"dying", "die"},
                                               {"lying", "lie"},
                                               {"tying", "tie"},
                                               {"idly", "idl"},
                                               {"gently", "gentl"},
                                               {"ugly", "ugli"},
                                               {"early", "earli"},
                                               {"only", "onli"},
                                               {"singly", "singl"},
                                               {"sky", "sky"},
                                               {"news", "news"},
                                               {"howe", "howe"},
                                               {"atlas", "atlas"},
                                               {"bias", "bias"},
                                               {"cosmos", "cosmos"},
                                               {"andes", "andes"}}};
constexpr std::array<std::string_view, 8> kWhole = {"inning",  "outing",  "canning", "herring",
                                                    "earring", "proceed", "exceed",  "succeed"};
constexpr std::array<std::string_view, 3> kLongStarts = {"gener", "commun", "arsen"};

// Longer endings before those they end with.
constexpr std::array<Porter2::Rule, 24> kDoubleSuffixes = {
    {{"ization", "ize"}, {"ational", "ate"}, {"fulness", "ful"}, {"ousness", "ous"},      {"iveness", "ive"},
     {"tional", "tion"}, {"biliti", "ble"},  {"lessli", "less"}, {"entli", "ent"},        {"ation", "ate"},
     {"alism", "al"},    {"aliti", "al"},    {"ousli", "ous"},   {"iviti", "ive"},        {"fulli", "ful"},
     {"enci", "ence"},   {"anci", "ance"},   {"abli", "able"},   {"izer", "ize"},         {"ator", "ate"},
     {"alli", "al"},     {"bli", "ble"},     {"ogi", "og", "l"}, {"li", "", "cdeghkmnrt"}}};
constexpr std::array<Porter2::Rule, 9> kSuffixes = {{{"ational", "ate"},
                                                     {"tional", "tion"},
                                                     {"alize", "al"},
                                                     {"icate", "ic"},
                                                     {"iciti", "ic"},
                                                     {"ative", ""},
                                                     {"ical", "ic"},
                                                     {"ness", ""},
                                                     {"ful", ""}}};
constexpr std::array<Porter2::Rule, 18> kLastSuffixes = {{{"ement", ""},
                                                          {"ance", ""},
                                                          {"ence", ""},
                                                          {"able", ""},
                                                          {"ible", ""},
                                                          {"ment", ""},
                                                          {"ant", ""},
                                                          {"ent", ""},
                                                          {"ism", ""},
                                                          {"ate", ""},
                                                          {"iti", ""},
                                                          {"ous", ""},
                                                          {"ive", ""},
                                                          {"ize", ""},
                                                          {"ion", "", "st"},
                                                          {"al", ""},
                                                          {"er", ""},
                                                          {"ic", ""}}};

template <size_t N>
constexpr uint32_t last_letters(const std::array<Porter2::Rule, N>& rules) {
  uint32_t bits = 0;
  for (const auto& rule : rules) bits |= uint32_t{1} << (rule.ending.bytes >> 56 & 31);
  return bits;
}

}  // namespace

uint64_t Porter2::tail() const {
  uint64_t bytes = 0;
  std::memcpy(&bytes, bytes_.data() + size_, sizeof bytes);
  return bytes;
}

std::string_view Porter2::run(std::string_view word) {
  if (word.size() <= 6) {
    const auto known = std::ranges::find(kIrregular, word, &Words::first);
    if (known != kIrregular.end()) return known->second;
  }
  std::memcpy(bytes_.data() + kPadding, word.data(), word.size());
  size_ = word.size();
  mark_consonants();
  mark_regions();
  plural();
  if (size_ > 7 || std::ranges::find(kWhole, view()) == kWhole.end()) {
    past_or_ing();
    final_y();
    double_suffixes();
    suffixes();
    last_suffixes();
    final_e_or_l();
  }
  for (size_t i = 0; i < size_; ++i) {
    if (at(i) == 'Y') at(i) = 'y';
  }
  return view();
}

void Porter2::mark_consonants() {
  if (at(0) == 'y') at(0) = 'Y';
  for (size_t i = 1; i < size_; ++i) {
    if (at(i) == 'y' && is_vowel(at(i - 1))) at(i) = 'Y';
  }
}

/// Behind the first consonant after a vowel.
size_t Porter2::past_syllable(size_t from) const {
  while (from < size_ && !is_vowel(at(from))) ++from;
  while (from < size_ && is_vowel(at(from))) ++from;
  return from < size_ ? from + 1 : size_ + 1;
}

void Porter2::mark_regions() {
  const auto start =
      std::ranges::find_if(kLongStarts, [this](std::string_view each) { return view().starts_with(each); });
  first_ = start != kLongStarts.end() ? start->size() : std::min(past_syllable(0), size_);
  second_ = std::min(past_syllable(first_), size_);
}

bool Porter2::has_vowel(size_t before) const {
  for (size_t i = 0; i < before; ++i) {
    if (is_vowel(at(i))) return true;
  }
  return false;
}

/// Consonant (not w, x, Y), vowel, consonant before `end`; or vowel, consonant as the whole.
bool Porter2::short_syllable(size_t end) const {
  if (end < 2 || is_vowel(at(end - 1)) || !is_vowel(at(end - 2))) return false;
  if (end == 2) return true;
  const char last = at(end - 1);
  return last != 'w' && last != 'x' && last != 'Y' && !is_vowel(at(end - 3));
}

void Porter2::replace(size_t cut, std::string_view by) {
  std::memcpy(bytes_.data() + kPadding + size_ - cut, by.data(), by.size());
  size_ = size_ - cut + by.size();
}

void Porter2::plural() {
  if (at(size_ - 1) == 'd' ? !ends("ied") : at(size_ - 1) != 's') return;
  if (ends("sses")) return replace(2, "");
  if (ends("ied") || ends("ies")) return replace(3, size_ > 4 ? "i" : "ie");
  if (ends("us") || ends("ss")) return;
  if (has_vowel(size_ - 2)) replace(1, "");
}

void Porter2::past_or_ing() {
  const char last = at(size_ - 1);
  if (last != 'd' && last != 'g' && last != 'y') return;
  const size_t eed = ends("eedly") ? 5 : ends("eed") ? 3 : 0;
  if (eed != 0) {
    if (size_ - eed >= first_) replace(eed, "ee");
    return;
  }
  const size_t cut = ends("ingly") ? 5 : ends("edly") ? 4 : ends("ing") ? 3 : ends("ed") ? 2 : 0;
  if (cut == 0 || !has_vowel(size_ - cut)) return;
  replace(cut, "");
  after_past_or_ing();
}

void Porter2::after_past_or_ing() {
  constexpr uint32_t kDoubled = letters("bdfgmnprt");
  if (ends("at") || ends("bl") || ends("iz")) return replace(0, "e");
  const char last = at(size_ - 1);
  if (size_ >= 2 && last == at(size_ - 2) && last >= 'a' && (kDoubled >> (last & 31) & 1) != 0) return replace(1, "");
  if (size_ == first_ && short_syllable(size_)) replace(0, "e");
}

void Porter2::final_y() {
  if (size_ > 2 && (at(size_ - 1) == 'y' || at(size_ - 1) == 'Y') && !is_vowel(at(size_ - 2))) at(size_ - 1) = 'i';
}

template <size_t N>
const Porter2::Rule* Porter2::longest(const std::array<Rule, N>& rules) const {
  const uint64_t last = tail();
  for (const Rule& rule : rules) {
    if ((last & rule.ending.mask) == rule.ending.bytes) return &rule;
  }
  return nullptr;
}

void Porter2::double_suffixes() {
  static constexpr uint32_t kLast = last_letters(kDoubleSuffixes);
  if ((kLast >> (at(size_ - 1) & 31) & 1) == 0) return;
  const Rule* rule = longest(kDoubleSuffixes);
  if (rule == nullptr || size_ - rule->ending.size < first_) return;
  if (!rule->only_after.empty()) {
    const size_t before = size_ - rule->ending.size;
    if (before == 0 || !rule->only_after.contains(at(before - 1))) return;
  }
  replace(rule->ending.size, rule->by);
}

void Porter2::suffixes() {
  static constexpr uint32_t kLast = last_letters(kSuffixes);
  if ((kLast >> (at(size_ - 1) & 31) & 1) == 0) return;
  const Rule* rule = longest(kSuffixes);
  if (rule == nullptr || size_ - rule->ending.size < first_) return;
  if (ends("ative") && size_ - rule->ending.size < second_) return;
  replace(rule->ending.size, rule->by);
}

void Porter2::last_suffixes() {
  static constexpr uint32_t kLast = last_letters(kLastSuffixes);
  if ((kLast >> (at(size_ - 1) & 31) & 1) == 0) return;
  const Rule* rule = longest(kLastSuffixes);
  if (rule == nullptr || size_ - rule->ending.size < second_) return;
  const size_t before = size_ - rule->ending.size;
  if (!rule->only_after.empty() && (before == 0 || !rule->only_after.contains(at(before - 1)))) return;
  replace(rule->ending.size, "");
}

void Porter2::final_e_or_l() {
  const char last = at(size_ - 1);
  const size_t before = size_ - 1;
  if (last == 'e' && (before >= second_ || (before >= first_ && !short_syllable(before)))) return replace(1, "");
  if (last == 'l' && before >= second_ && before > 0 && at(before - 1) == 'l') replace(1, "");
}

}  // namespace tessera::text
