#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/structure.h"

namespace tessera::parse {

/// Collects readable text with its structure, for formats whose markup is thrown away. Breaks are remembered and
/// written before the next content, so the text never starts or ends with white space and never has more than one empty
/// line in a row. Input must be valid UTF-8. A value; one thread. Beyond `bytes_max` nothing is appended and
/// overflowed() is true.
class TextBuilder {
 public:
  explicit TextBuilder(size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Running text: each run of ASCII white space becomes one space, and none stands at the start of a line.
  void flow(std::string_view text);
  /// Preformatted text: as it is.
  void verbatim(std::string_view text);
  /// The next content starts on a new line / after an empty line.
  void line_break();
  void paragraph_break();
  /// Written in front of the next content ("- ").
  void prefix(std::string_view text) { prefix_ = text; }
  /// Written at once, without its own content (" | " between cells).
  void separator(std::string_view text);

  /// What is appended until close_heading() is a heading, unless it is empty or inside a block.
  void open_heading(int level);
  void close_heading();
  /// What is appended until close_block() belongs together. Nested blocks count as one; drop_block() forgets the
  /// outermost.
  void open_block();
  void close_block();
  void drop_block();

  [[nodiscard]] bool overflowed() const { return overflowed_; }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] bool in_block() const { return block_depth_ > 0; }
  std::string take_text();
  text::Structure take_structure() { return std::move(structure_); }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  void begin_content();
  void append(std::string_view text);
  [[nodiscard]] size_t trimmed_size() const;

  size_t bytes_max_;
  std::string text_;
  text::Structure structure_;
  std::string prefix_;
  int pending_newlines_ = 0;
  bool pending_space_ = false;
  bool overflowed_ = false;
  int heading_level_ = 0;
  size_t heading_start_ = kNone;
  int block_depth_ = 0;
  bool block_dropped_ = false;
  size_t block_start_ = kNone;
};

/// White space runs become one space, ends trimmed, at most `bytes_max` bytes.
std::string one_line(std::string_view text, size_t bytes_max);

}  // namespace tessera::parse
