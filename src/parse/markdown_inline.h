#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/metadata.h"

namespace tessera::parse {

/// Copies lines of Markdown into a text, replacing wikilinks by what they show, and collects link targets and #tags.
/// Code spans and escaped characters are left alone. Linear in the line, also for unclosed brackets and backticks.
class MarkdownInline {
 public:
  /// `out` must outlive this object.
  explicit MarkdownInline(std::string& out) : out_(out) {}
  void append_line(std::string_view line);
  /// Adds `links` and `tags`, joining front matter's `tags` and `tag` (a list, or words split by comma or space).
  void move_into(core::Metadata& metadata);

 private:
  /// Each handles the construct at line[at] and returns where to go on; text before it was copied up to `copied_`.
  size_t code_span(std::string_view line, size_t at);
  size_t wikilink(std::string_view line, size_t at);
  size_t tag(std::string_view line, size_t at);

  struct UniqueList {
    std::vector<std::string> items;
    std::unordered_set<std::string> seen;
    void add(std::string_view item);
  };

  std::string& out_;
  size_t copied_ = 0;           // of the current line
  uint32_t unclosed_runs_ = 0;  // bit n: the rest of the line has no backtick run of length n
  UniqueList links_;
  UniqueList tags_;
};

/// A heading's text without emphasis marks, code marks and link targets.
std::string plain_title(std::string_view markdown);

}  // namespace tessera::parse
