#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/load.h"

namespace tessera::app {

/// What the command line may assume about its output. A value.
struct Terminal {
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool colour = false;  ///< on a terminal, unless NO_COLOR is set or TERM is dumb
  size_t width = 80;

  static Terminal of_process(const config::Environment& environment);
};

enum class Style { plain, bold, dim, red, green, yellow, cyan };

/// `text` in a style, when the terminal has colours.
std::string styled(const Terminal& terminal, Style style, std::string_view text);

/// Control characters replaced, so that no document can command the terminal. Line breaks stay when `lines`.
std::string harmless(std::string_view text, bool lines = true);

/// Broken at blanks into lines of at most `width` bytes, each after the first preceded by `indent` blanks (not
/// counted). UTF-8 is not cut.
std::string wrapped(std::string_view text, size_t width, size_t indent);

/// Rows of as many cells each, the first of them headings, as lines: each column as wide as its longest cell, those
/// from `right` to `right_end` aligned to the right.
std::string table(const Terminal& terminal, const std::vector<std::vector<std::string>>& rows, size_t right,
                  size_t right_end);

/// "840 ms", "3.2 s", "2 min 5 s".
std::string human_duration(double ms);

/// Whole writes to standard output and error; false when the reader is gone.
bool write_out(std::string_view text);
bool write_err(std::string_view text);

/// A line on standard error that shows how far long work is; draws only on a terminal, at most ten times a second.
/// One thread at a time.
class ProgressBar {
 public:
  ProgressBar(const Terminal& terminal, const base::Clock& clock, std::string label, int64_t total);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void advance(int64_t by = 1);
  /// Takes the line away, to print something else.
  void clear();
  /// The line as it would be drawn now.
  [[nodiscard]] std::string line() const;

 private:
  const Terminal& terminal_;
  const base::Clock& clock_;
  std::string label_;
  int64_t total_;
  int64_t done_ = 0;
  base::SteadyTime start_;
  base::SteadyTime drawn_{};
  bool visible_ = false;
};

}  // namespace tessera::app
