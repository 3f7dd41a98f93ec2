#include "llm/extractive/composition.h"

#include <fmt/format.h>

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

}  // namespace

std::string compose_answer(std::span<const core::Passage> sources, const std::vector<Unit>& units,
                           const std::vector<size_t>& chosen) {
  std::string answer;
  bool block_before = false;
  for (size_t i = 0; i < chosen.size();) {
    const Unit& first = units[chosen[i]];
    const std::string_view text = sources[first.source].text;
    size_t end = first.tail_end;
    for (++i; i < chosen.size() && adjoin(text, units[chosen[i - 1]], units[chosen[i]]); ++i) {
      end = units[chosen[i]].tail_end;
    }
    const std::string_view quotation = text.substr(first.start, end - first.start);
    const bool block = is_block(quotation);
    if (!answer.empty()) answer += block || block_before ? "\n\n" : " ";
    answer += quotation;
    answer += fmt::format("{}[{}]", block ? "\n\n" : " ", first.source + 1);
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
