#include "text/sentences.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace tessera::text {
namespace {

using std::string_view;

// Never the end of a sentence: something belongs to it.
constexpr std::array<string_view, 38> kTitles = {
    "mr",  "mrs", "ms",  "dr",   "prof", "st", "gen", "col", "lt",     "sgt", "capt", "rev", "hon",
    "sen", "rep", "gov", "pres", "mt",   "ft", "vs",  "cf",  "e.g",    "i.e", "viz",  "fig", "figs",
    "eq",  "eqs", "sec", "ch",   "vol",  "pp", "ed",  "eds", "approx", "ca",  "resp", "incl"};
// The end only before a capital letter that opens a sentence.
constexpr std::array<string_view, 30> kAbbreviations = {
    "etc", "inc", "ltd", "co",  "corp", "jr",  "sr",  "al",  "dept", "univ", "est", "jan", "feb", "mar", "apr",
    "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "a.m",  "p.m",  "b.c", "a.d", "no",  "nos", "art"};
constexpr std::array<string_view, 32> kOpeners = {"the", "a",  "an",   "it",   "he",    "she",     "they",  "we",
                                                  "you", "i",  "this", "that", "these", "those",   "in",    "on",
                                                  "at",  "if", "when", "but",  "and",   "however", "there", "for",
                                                  "as",  "to", "its",  "his",  "her",   "their",   "what",  "after"};

// What a byte may start, so that the scan looks closer at few of them.
enum Mark : uint8_t { kNothing, kStop, kNewline, kWide };
constexpr auto kMark = [] {
  std::array<uint8_t, 256> table{};
  table['.'] = table['!'] = table['?'] = kStop;
  table['\n'] = kNewline;
  table[0xE2] = table[0xE3] = table[0xEF] = table[0xE0] = kWide;
  return table;
}();

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
  return is_lower(c) || is_upper(c);
}
char lower(char c) {
  return is_upper(c) ? static_cast<char>(c + 32) : c;
}

template <size_t N>
bool contains(const std::array<string_view, N>& words, string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The bytes of an ending mark beyond ASCII at `pos`: … (needs a space after it) and 。！？ । (do not); else 0.
size_t wide_stop(string_view text, size_t pos, bool& needs_space) {
  const string_view mark = text.substr(pos, 3);
  needs_space = mark == "\xE2\x80\xA6";
  return needs_space || mark == "\xE3\x80\x82" || mark == "\xEF\xBC\x81" || mark == "\xEF\xBC\x9F" ||
                 mark == "\xE0\xA5\xA4"
             ? 3
             : 0;
}

/// Bytes of a closing quote or bracket at `pos`, or 0.
size_t closing(string_view text, size_t pos) {
  if (pos >= text.size()) return 0;
  switch (text[pos]) {
    case ')':
    case ']':
    case '}':
    case '"':
    case '\'':
    case '*':
    case '_':
    case '`':
      return 1;
    case '\xC2':
      return text.substr(pos, 2) == "\xC2\xBB" ? 2 : 0;
    case '\xE2': {
      const string_view mark = text.substr(pos, 3);
      return mark == "\xE2\x80\x9D" || mark == "\xE2\x80\x99" ? 3 : 0;
    }
    case '\xE3': {
      const string_view mark = text.substr(pos, 3);
      return mark == "\xE3\x80\x8D" || mark == "\xE3\x80\x8F" ? 3 : 0;
    }
    default:
      return 0;
  }
}

size_t skip_blanks(string_view text, size_t pos) {
  while (pos < text.size() && (text[pos] == ' ' || text[pos] == '\t' || text[pos] == '\r')) ++pos;
  return pos;
}

/// True when the line at `pos` (blanks skipped) opens something of its own: a list item, heading, table row, fence.
bool opens_block(string_view text, size_t pos) {
  pos = skip_blanks(text, pos);
  if (pos >= text.size()) return true;
  const char c = text[pos];
  const char after = pos + 1 < text.size() ? text[pos + 1] : '\n';
  if (c == '\n' || c == '|' || c == '#') return true;
  if (c == '-' || c == '*' || c == '+') return is_space(after) || after == c;
  if (c == '`' || c == '~') return text.substr(pos, 3) == "```" || text.substr(pos, 3) == "~~~";
  if (c == '>') return true;
  if (c == '\xE2') return text.substr(pos, 3) == "\xE2\x80\xA2";
  if (!is_digit(c)) return false;
  size_t end = pos;
  while (end < text.size() && end - pos < 4 && is_digit(text[end])) ++end;
  return end + 1 < text.size() && (text[end] == '.' || text[end] == ')') && is_space(text[end + 1]);
}

/// True when the line that starts at `line` cannot go on in the next: a heading or a table row.
bool is_closed_line(string_view text, size_t line) {
  line = skip_blanks(text, line);
  return line < text.size() && (text[line] == '#' || text[line] == '|');
}

/// The first word at `pos`, lower case, into `out`; a word that does not fit is no word of ours.
string_view word_at(string_view text, size_t pos, std::array<char, 12>& out) {
  size_t size = 0;
  while (pos + size < text.size() && size < out.size() && is_letter(text[pos + size])) {
    out[size] = lower(text[pos + size]);
    ++size;
  }
  return {out.data(), size};
}

/// Whether the full stop at `dot` ends a sentence that began at `start` when the next one would begin at `following`.
bool stop_ends(string_view text, size_t start, size_t dot, size_t following) {
  const size_t earliest = std::max(start, dot - std::min<size_t>(dot, 10));
  size_t from = dot;
  while (from > earliest && (is_letter(text[from - 1]) || (text[from - 1] == '.' && from < dot))) --from;
  if (from == dot) {
    // "1." that opens a list item; any other stop after a digit or mark ends.
    size_t digits = dot;
    while (digits > earliest && is_digit(text[digits - 1])) --digits;
    return digits == dot || digits != start;
  }
  std::array<char, 10> letters;
  size_t size = 0;
  for (size_t i = from; i < dot; ++i) letters[size++] = lower(text[i]);
  const string_view word(letters.data(), size);
  std::array<char, 12> next_letters;
  const string_view next = word_at(text, following, next_letters);
  if (contains(kTitles, word)) return false;
  if (word == "no" || word == "nos") return following >= text.size() || !is_digit(text[following]);
  const bool initial = size == 1 && is_upper(text[from]) && word != "i";
  const bool acronym = word.find('.') != string_view::npos;
  if (initial || acronym || contains(kAbbreviations, word)) return contains(kOpeners, next) || next.empty();
  return true;
}

}  // namespace

bool SentenceReader::next(Sentence& sentence) {
  while (pos_ < text_.size() && is_space(text_[pos_])) ++pos_;
  if (pos_ >= text_.size()) return false;
  const size_t start = pos_;
  sentence.starts_paragraph = paragraph_;
  paragraph_ = false;
  bool closed_line = sentence.starts_paragraph && is_closed_line(text_, start);
  const auto end_at = [&](size_t end, bool paragraph) {
    pos_ = end;
    paragraph_ = paragraph;
    while (end > start && is_space(text_[end - 1])) --end;
    sentence.range = {start, end};
    return true;
  };
  for (size_t pos = start; pos < text_.size();) {
    const uint8_t mark = kMark[static_cast<unsigned char>(text_[pos])];
    if (mark == kNothing) {
      ++pos;
      continue;
    }
    if (mark == kNewline) {
      if (closed_line || opens_block(text_, pos + 1)) return end_at(pos + 1, true);
      ++pos;
      continue;
    }
    bool needs_space = true;
    const size_t size = mark == kStop ? 1 : wide_stop(text_, pos, needs_space);
    if (size == 0) {
      ++pos;
      continue;
    }
    const size_t stop = pos;
    pos += size;
    size_t after = pos;
    for (size_t close = 0; after - pos < 12 && (close = closing(text_, after)) != 0;) after += close;
    if (!needs_space) return end_at(after, false);
    if (after < text_.size() && !is_space(text_[after])) continue;
    size_t following = after;
    while (following < text_.size() && following - after < 64 && is_space(text_[following])) ++following;
    if (following < text_.size() && (is_lower(text_[following]) || text_[following] == '|')) continue;
    if (text_[stop] == '.' && !stop_ends(text_, start, stop, following)) continue;
    // A line end after the sentence is left to the next call's scan only if it ends the paragraph.
    const size_t newline = skip_blanks(text_, after);
    const bool line_ends = newline < text_.size() && text_[newline] == '\n';
    return end_at(after, line_ends && (closed_line || opens_block(text_, newline + 1)));
  }
  return end_at(text_.size(), true);
}

std::vector<Range> split_sentences(string_view text) {
  std::vector<Range> out;
  SentenceReader reader(text);
  for (Sentence sentence; reader.next(sentence);) out.push_back(sentence.range);
  return out;
}

}  // namespace tessera::text
