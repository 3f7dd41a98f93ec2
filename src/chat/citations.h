#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chat/events.h"
#include "core/documents.h"
#include "text/code_state.h"

namespace tessera::chat {

/// Takes markers without a source out of an answer while it streams. A marker is "[" numbers "]", the numbers separated
/// by commas and spaces ("[2]", "[1, 3]"), outside of Markdown code; numbers not in 1..sources are removed, a marker
/// left empty goes with one space before it. Holds back at most kHeldMax + 1 bytes (what may become a marker).
/// The concatenated output does not depend on how the input was cut. A value, one per answer; one thread.
class CitationFilter {
 public:
  static constexpr size_t kHeldMax = 64;

  /// Numbers 1..sources have a source, except those in `gone`.
  explicit CitationFilter(size_t sources, std::set<int64_t> gone = {}) : sources_(sources), gone_(std::move(gone)) {}
  /// Appends the text that may be shown now to `out`.
  void push(std::string_view text, std::string& out);
  /// The end of the answer: what was held back.
  void finish(std::string& out);
  [[nodiscard]] int64_t removed() const { return removed_; }
  /// Numbers of the sources that were cited.
  [[nodiscard]] const std::set<int64_t>& cited() const { return cited_; }

 private:
  void step(char c, std::string& out);
  void emit(char c, std::string& out);
  void close_marker(std::string& out);
  void give_up(std::string& out);

  size_t sources_;
  std::set<int64_t> gone_;
  text::CodeState code_;
  std::string held_;       // a space and/or the beginning of a marker
  char last_ = '\n';       // what was given out last
  bool open_out_ = false;  // what was given out ends like the beginning of a marker
  int64_t removed_ = 0;
  std::set<int64_t> cited_;
};

/// Where a marker stands: bytes [start, end) of the answer and the numbers in it.
struct Marker {
  size_t start = 0;
  size_t end = 0;
  std::vector<int64_t> numbers;
};

/// Markers of a finished answer, in order, outside of code.
std::vector<Marker> find_markers(std::string_view answer);

/// Removes the numbers in `gone` from the answer's markers; how many were removed.
int64_t remove_markers(std::string& answer, const std::set<int64_t>& gone);

/// Citations for `passages` (numbered from 1 in their order). For a cited one the span is narrowed to the sentence
/// before its marker where the chunk has that sentence verbatim.
std::vector<Citation> make_citations(const std::vector<core::Passage>& passages, std::string_view answer);

}  // namespace tessera::chat
