#pragma once

#include <cstddef>

namespace tessera::text {

/// Whether a character of a Markdown text stands in code: fenced (three and more backticks, to the closing run or the
/// end of the text) or inline (to the closing run or the end of the line). Fed character by character. A value.
class CodeState {
 public:
  /// True when `c` belongs to code or is one of its backticks.
  bool take(char c);

 private:
  size_t run_ = 0;   // length of the run of backticks being read
  size_t open_ = 0;  // length of the run that opened the code we are in, 0 outside
};

}  // namespace tessera::text
