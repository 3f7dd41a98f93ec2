#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "llm/extractive/words.h"

namespace tessera::llm::extractive {

enum class UnitKind { sentence, list_item, code, table_row };

/// Something that can be quoted from a passage: bytes [start, end) of its text, markdown marks at the ends left out.
/// `tail_end` > end when a list, table or code block that the sentence introduces belongs to the quotation.
struct Unit {
  size_t source = 0;  ///< position of the passage
  size_t start = 0;
  size_t end = 0;
  size_t tail_end = 0;
  UnitKind kind = UnitKind::sentence;
  std::vector<Term> terms;           ///< of [start, end)
  std::vector<Term> tail_terms;      ///< of [end, tail_end)
  std::vector<std::string> context;  ///< stems of headings above, and of a table's column names
  std::ptrdiff_t previous = -1;      ///< the unit before in the same passage and section, which may explain a pronoun
  std::ptrdiff_t next = -1;
};

inline constexpr size_t kUnitsPerPassageMax = 400;

/// Cuts a passage of Markdown or plain text into units, in order. `heading_stems` start every unit's context. Indices
/// in `previous` and `next` count from `first_index`. Linear time.
std::vector<Unit> cut_units(std::string_view text, size_t source, const std::vector<std::string>& heading_stems,
                            size_t first_index);

}  // namespace tessera::llm::extractive
