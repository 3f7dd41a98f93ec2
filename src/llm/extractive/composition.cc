#include "llm/extractive/composition.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/code_state.h"

namespace tessera::llm::extractive {
namespace {

constexpr size_t kPieceBytesMin = 16;

// Whether only white space lies between two units of one passage, so that they read as one quotation.
bool adjoin(std::string_view text, const Unit& a, const Unit& b) {
  if (a.source != b.source || a.tail_end > b.start || a.kind != UnitKind::sentence || b.kind != UnitKind::sentence) {
    return false;
  }
  return text.substr(a.tail_end, b.start - a.tail_end).find_first_not_of(" \n\r\t") == std::string_view::npos;
}

bool is_block(std::string_view quotation) {
  return quotation.find("\n```") != std::string_view::npos || quotation.starts_with("```") ||
         quotation.find("\n~~~") != std::string_view::npos || quotation.starts_with("~~~") ||
         quotation.find("\n- ") != std::string_view::npos || quotation.find("\n\n") != std::string_view::npos;
}

// Whether a line is of code, a list or a table, so that a marker behind it would become part of that.
bool opens_block(std::string_view line) {
  const bool number = !line.empty() && line.front() >= '0' && line.front() <= '9';
  return number || line.empty() || std::string_view(" \t-*+|>#`~").find(line.front()) != std::string_view::npos;
}

// Whether a quotation's last paragraph is no prose; a code span may begin prose.
bool ends_in_block(std::string_view quotation) {
  while (!quotation.empty() && (quotation.back() == '\n' || quotation.back() == ' ')) quotation.remove_suffix(1);
  const size_t gap = quotation.rfind("\n\n");
  const std::string_view last = gap == std::string_view::npos ? quotation : quotation.substr(gap + 2);
  if (is_block(last)) return true;
  const auto is_code_span = [](std::string_view line) { return line.starts_with('`') && !line.starts_with("```"); };
  for (const std::string_view line : {last, last.substr(last.rfind('\n') + 1)}) {
    if (opens_block(line) && !is_code_span(line)) return true;
  }
  return false;
}

// Longest "[12, 13]" that a reader of the answer takes for a marker, and some more.
constexpr size_t kMarkerBytesMax = 80;

// Where a bracketed number begins that would end `text` once "]" is added; npos when there is none.
size_t begin_of_number(std::string_view text) {
  bool digit = false;
  for (size_t i = text.size(); i > 0 && text.size() - i < kMarkerBytesMax;) {
    const char c = text[--i];
    if (c == '[') return digit ? i : std::string_view::npos;
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && c != ',' && c != ' ') break;
    digit = digit || is_digit;
  }
  return std::string_view::npos;
}

// Appends a quotation without the bracketed numbers of the document ("[12]", as in wikis), which would pass for ours.
// In code they mean something else and stay. What remains never closes up to a new one. `code` has seen the answer.
void append_quotation(std::string_view quotation, text::CodeState& code, std::string& answer) {
  const size_t begin = answer.size();
  for (size_t i = 0; i < quotation.size(); ++i) {
    const char c = quotation[i];
    const bool in_code = code.take(c);
    const size_t number =
        c == ']' && !in_code ? begin_of_number(std::string_view(answer).substr(begin)) : std::string_view::npos;
    if (number == std::string_view::npos) {
      answer += c;
      continue;
    }
    answer.resize(begin + number);
    const bool word_follows =
        i + 1 < quotation.size() && std::string_view(" \n.,;:!?)").find(quotation[i + 1]) == std::string_view::npos;
    if (!word_follows && answer.size() > begin && answer.back() == ' ') answer.pop_back();
  }
}

}  // namespace

std::string compose_answer(std::span<const core::Passage> sources, const std::vector<Unit>& units,
                           const std::vector<size_t>& chosen) {
  std::string answer;
  text::CodeState code;
  bool block_before = false;
  const auto append = [&](std::string_view ours) {
    for (const char c : ours) code.take(c);
    answer += ours;
  };
  for (size_t i = 0; i < chosen.size();) {
    const Unit& first = units[chosen[i]];
    const std::string_view text = sources[first.source].text;
    size_t end = first.tail_end;
    for (++i; i < chosen.size() && adjoin(text, units[chosen[i - 1]], units[chosen[i]]); ++i) {
      end = units[chosen[i]].tail_end;
    }
    const std::string_view quotation = text.substr(first.start, end - first.start);
    const bool block = is_block(quotation);
    if (!answer.empty()) append(block || block_before ? "\n\n" : " ");
    append_quotation(quotation, code, answer);
    append(fmt::format("{}[{}]", block && ends_in_block(quotation) ? "\n\n" : " ", first.source + 1));
    block_before = block;
  }
  return answer;
}

std::vector<std::string_view> stream_pieces(std::string_view answer) {
  std::vector<std::string_view> pieces;
  while (!answer.empty()) {
    size_t cut = answer.find_first_of(" \n", kPieceBytesMin);
    cut = cut == std::string_view::npos ? answer.size() : cut + 1;
    pieces.push_back(answer.substr(0, cut));
    answer.remove_prefix(cut);
  }
  return pieces;
}

}  // namespace tessera::llm::extractive
