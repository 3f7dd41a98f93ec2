#include "rag/duplicates.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/hash.h"
#include "text/utf8.h"
#include "text/words.h"

namespace tessera::rag {
namespace {

constexpr size_t kWordsMin = 20;   // shorter texts must have the same words from end to end
constexpr size_t kMoreShare = 10;  // one in so many words may come before or behind

/// The text's hash, runs of white space taken for one space.
uint64_t hash_text(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  bool space = false;
  for (const char c : text) {
    if (text::is_space(c)) {
      space = !plain.empty();
      continue;
    }
    if (space) plain += ' ';
    space = false;
    plain += c;
  }
  return base::hash64(plain);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Whether the character at `at` changes what words and numbers say: a sign, an operator.
bool tells(std::string_view text, size_t at) {
  constexpr std::string_view kSigns = "!=<>+%&|~^$@/\\";
  if (text[at] == '-') return at + 1 < text.size() && is_digit(text[at + 1]);
  return kSigns.find(text[at]) != std::string_view::npos;
}

/// Hashes of the words and of the signs between them.
std::vector<uint64_t> read_words(std::string_view text) {
  std::vector<uint64_t> words;
  size_t from = 0;
  const auto read_signs = [&](size_t to) {
    for (; from < to; ++from) {
      if (tells(text, from)) words.push_back(static_cast<unsigned char>(text[from]));
    }
  };
  text::for_each_word(text, [&](const text::Word& word) {
    read_signs(word.start);
    words.push_back(base::hash64(word.term));
    from = std::max(from, word.end);
  });
  read_signs(text.size());
  return words;
}

/// Whether `text` stands in `kept`, which may have a tenth more words around it. Not the other way round: what a longer
/// text adds ("this no longer holds") may be the point.
bool stands_in(std::span<const uint64_t> text, std::span<const uint64_t> kept) {
  if (text.empty() || text.size() > kept.size()) return false;
  const size_t more = kept.size() - text.size();
  if (more > (kept.size() >= kWordsMin ? kept.size() / kMoreShare : 0)) return false;
  for (size_t at = 0; at <= more; ++at) {
    if (kept[at] == text.front() && std::ranges::equal(text, kept.subspan(at, text.size()))) return true;
  }
  return false;
}

}  // namespace

bool DuplicateFilter::repeats(std::string_view text) {
  if (kind_ == core::Duplicates::keep) return false;
  if (!texts_.insert(hash_text(text)).second) return true;
  if (kind_ == core::Duplicates::same) return false;
  Words words = read_words(text);
  if (std::ranges::any_of(kept_, [&](const Words& before) { return stands_in(words, before); })) return true;
  kept_.push_back(std::move(words));
  return false;
}

}  // namespace tessera::rag
