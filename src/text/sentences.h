#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace tessera::text {

/// Bytes [start, end) of a text.
struct Range {
  size_t start = 0;
  size_t end = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

/// A sentence: its bytes, without outer white space, and whether a paragraph, list item, heading or table row starts
/// with it.
struct Sentence {
  Range range;
  bool starts_paragraph = false;
};

/// Reads the sentences of a text one by one. A sentence ends at . ! ? … and their East Asian forms with the closing
/// quotes and brackets after them, when white space and something other than a lower-case letter follow; not after
/// abbreviations, initials, acronyms and the number of a list item. Paragraphs, list items, headings and table rows
/// always end. Together the sentences cover every byte that is not white space. Tuned to English, safe on anything;
/// linear, no allocation.
class SentenceReader {
 public:
  explicit SentenceReader(std::string_view text) : text_(text) {}

  /// The next sentence, or false at the end.
  bool next(Sentence& sentence);

 private:
  std::string_view text_;
  size_t pos_ = 0;
  bool paragraph_ = true;
};

/// All sentences of a text.
std::vector<Range> split_sentences(std::string_view text);

}  // namespace tessera::text
