#pragma once

#include <cstddef>
#include <string_view>

namespace tessera::text {

/// A word or phrase of a query with marks.
struct MarkedText {
  enum class Mark { none, required, excluded };
  std::string_view text;  ///< without the marks; may be empty, or hold nothing to look for
  Mark mark = Mark::none;
  bool phrase = false;  ///< was in quotes
  bool prefix = false;  ///< ended with *; never a phrase
};

/// Reads a query with marks, the only place that knows how: words; "a phrase"; +word and +"a phrase" (required); -word
/// and -"a phrase" (excluded); word* (a prefix). Marks count at the beginning of a word only, so "e-mail" and "c++" are
/// words; an open quote is a mark without meaning, and so are all after it. A value over bytes that outlive it. Linear
/// in all; never fails.
class QueryMarks {
 public:
  explicit QueryMarks(std::string_view query) : query_(query) {}
  /// False: there are no more.
  bool next(MarkedText& item);

 private:
  std::string_view query_;
  size_t at_ = 0;
  bool quotes_ = true;
};

}  // namespace tessera::text
