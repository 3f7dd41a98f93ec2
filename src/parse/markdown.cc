#include <algorithm>
#include <string>

#include "parse/decode.h"
#include "parse/front_matter.h"
#include "parse/markdown_inline.h"
#include "parse/source.h"
#include "parse/text_builder.h"
#include "text/utf8.h"

namespace tessera::parse {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_blank(std::string_view s) {
  return s.find_first_not_of(" \t") == kNone;
}

/// A line split into its quote markers, indent and content.
struct Line {
  std::string_view whole;    ///< without "\n"
  std::string_view content;  ///< after quote markers and indent
  int quotes = 0;
  size_t indent = 0;  ///< columns before the content
  /// Bytes before the content.
  [[nodiscard]] size_t lead() const { return whole.size() - content.size(); }
};

Line split_line(std::string_view whole) {
  Line line;
  line.whole = whole;
  size_t i = 0;
  size_t columns = 0;
  while (i < whole.size()) {
    const char c = whole[i];
    if (c == ' ') {
      ++columns;
    } else if (c == '\t') {
      columns += 4 - columns % 4;
    } else if (c == '>' && columns <= 3) {
      ++line.quotes;
      columns = 0;
      if (i + 1 < whole.size() && whole[i + 1] == ' ') ++i;
    } else {
      break;
    }
    ++i;
  }
  line.indent = columns;
  line.content = whole.substr(i);
  return line;
}

size_t run_length(std::string_view s, char c) {
  return std::min(s.find_first_not_of(c), s.size());
}

/// "- ", "* ", "+ ", "12. ", "3) ".
bool is_list_item(std::string_view content) {
  size_t i = 0;
  if (content[0] == '-' || content[0] == '*' || content[0] == '+') {
    i = 1;
  } else {
    while (i < content.size() && i < 9 && content[i] >= '0' && content[i] <= '9') ++i;
    if (i == 0 || i == content.size() || (content[i] != '.' && content[i] != ')')) return false;
    ++i;
  }
  return i == content.size() || content[i] == ' ' || content[i] == '\t';
}

bool is_rule(std::string_view content) {
  const char mark = content[0];
  if (mark != '-' && mark != '*' && mark != '_') return false;
  size_t marks = 0;
  for (const char c : content) {
    if (c == mark) {
      ++marks;
    } else if (c != ' ' && c != '\t') {
      return false;
    }
  }
  return marks >= 3;
}

/// The cells of a table row: pipes that are not escaped, outer ones not counted.
size_t count_cells(std::string_view row) {
  while (!row.empty() && (row.back() == ' ' || row.back() == '\t')) row.remove_suffix(1);
  if (row.starts_with('|')) row.remove_prefix(1);
  if (row.ends_with('|') && !row.ends_with("\\|")) row.remove_suffix(1);
  size_t cells = 1;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] == '\\') {
      ++i;
    } else if (row[i] == '|') {
      ++cells;
    }
  }
  return cells;
}

/// "| --- | :-: |": at least one dash in every cell, a pipe somewhere.
bool is_table_rule(std::string_view row) {
  return row.find('|') != kNone && row.find('-') != kNone && row.find_first_not_of("|-: \t") == kNone;
}

struct Fence {
  char mark = 0;  ///< 0: none is open
  size_t length = 0;
  int quotes = 0;
};

/// Copies Markdown line by line, rewriting wikilinks and recording structure. Knows the blocks of CommonMark and GFM
/// that decide where headings are and what stays whole; containers are followed by indent only, which suffices for
/// that.
class MarkdownReader {
 public:
  MarkdownReader(std::string_view source, core::ParsedDocument& document)
      : source_(source), document_(document), inline_(document.text) {}

  void run() {
    document_.text.reserve(source_.size());
    size_t at = std::min(source_.find_first_not_of('\n'), source_.size());
    while (at < source_.size()) {
      const size_t end = std::min(source_.find('\n', at), source_.size());
      line_start_ = document_.text.size();
      read_line(split_line(source_.substr(at, end - at)));
      document_.text += '\n';
      at = end + 1;
    }
    line_start_ = document_.text.size();
    end_block();
  }

  MarkdownInline& inline_parts() { return inline_; }

 private:
  enum class Open { none, fence, comment, callout, table, code };

  void read_line(const Line& line) {
    if (fence_.mark != 0) {
      if (line.quotes >= fence_.quotes) return fence_line(line);
      fence_.mark = 0;  // the quote around it ended
      if (open_ == Open::fence) end_block();
    }
    if (comment_) {
      copy(line);
      if (line.whole.find("-->") != kNone) comment_ = false;
      return;
    }
    if (open_ == Open::callout && line.quotes == 0) end_block();
    if (line.content.empty() || is_blank(line.content)) return blank_line(line);
    if (open_ == Open::code && line.indent < 4) end_block();
    if (opens_fence(line)) return open_fence(line);
    if (line.quotes == 0 && line.indent >= 4 && !in_paragraph_ && !in_list_) return code_line(line);
    if (line.indent <= 3 && line.content.starts_with("<!--")) {
      comment_ = line.content.find("-->") == kNone;
      paragraph_ends();
      return copy(line);
    }
    if (line.quotes > 0) return quote_line(line);
    if (line.indent == 0 && !in_paragraph_ && !is_list_item(line.content)) in_list_ = false;
    if (line.indent <= 3 && special_line(line)) return;
    paragraph_line(line);
  }

  /// Headings, rules, table rules and list items. True if the line was one.
  bool special_line(const Line& line) {
    const char first = line.content[0];
    if (first == '#' && heading(line)) return true;
    if (in_paragraph_ && !paragraph_in_list_ && (first == '=' || first == '-')) {
      std::string_view marks = line.content;
      while (marks.back() == ' ' || marks.back() == '\t') marks.remove_suffix(1);
      if (run_length(marks, first) == marks.size()) {
        setext_heading(line, first == '=' ? 1 : 2);
        return true;
      }
    }
    if (opens_table(line)) {
      begin_block(Open::table, previous_line_start_);
      in_paragraph_ = false;
      copy_inline(line);
      return true;
    }
    if (is_rule(line.content)) {
      paragraph_ends();
      copy(line);
      return true;
    }
    if (is_list_item(line.content)) {
      paragraph_ends();
      in_list_ = true;
      in_paragraph_ = true;
      paragraph_in_list_ = true;
      previous_line_start_ = kNone;  // no table starts at a list item's own line
      copy_inline(line);
      return true;
    }
    return false;
  }

  void paragraph_line(const Line& line) {
    if (open_ != Open::table) {
      if (!in_paragraph_) {
        paragraph_start_ = line_start_;
        paragraph_in_list_ = in_list_ && line.indent > 0;
      }
      in_paragraph_ = true;
      previous_line_start_ = line_start_;
      previous_content_ = line.content;
    }
    copy_inline(line);
  }

  void blank_line(const Line& line) {
    copy(line);
    in_paragraph_ = false;
    if (open_ == Open::table) end_block();
  }

  void paragraph_ends() {
    in_paragraph_ = false;
    if (open_ == Open::table || open_ == Open::code) end_block();
  }

  bool heading(const Line& line) {
    const size_t level = run_length(line.content, '#');
    if (level > 6 || (level < line.content.size() && line.content[level] != ' ' && line.content[level] != '\t'))
      return false;
    paragraph_ends();
    copy_inline(line);
    std::string_view title = std::string_view(document_.text).substr(line_start_ + line.lead() + level);
    while (!title.empty() && (title.back() == ' ' || title.back() == '\t')) title.remove_suffix(1);
    const size_t last = title.find_last_not_of('#');  // a closing "##" belongs to the markup if a space precedes it
    if (last == kNone) {
      title = {};
    } else if (last + 1 < title.size() && (title[last] == ' ' || title[last] == '\t')) {
      title = title.substr(0, last);
    }
    add_heading(line_start_, static_cast<int>(level), title);
    in_list_ = false;
    return true;
  }

  void setext_heading(const Line& line, int level) {
    add_heading(paragraph_start_, level, std::string_view(document_.text).substr(paragraph_start_));
    copy(line);
    paragraph_ends();
  }

  void add_heading(size_t offset, int level, std::string_view raw_title) {
    std::string title = plain_title(raw_title);
    if (!title.empty() && open_ == Open::none)
      document_.structure.headings.push_back({offset, level, std::move(title)});
  }

  bool opens_fence(const Line& line) const {
    if (line.indent > 3 && !in_list_) return false;
    const char mark = line.content[0];
    if (mark != '`' && mark != '~') return false;
    const size_t length = run_length(line.content, mark);
    return length >= 3 && (mark == '~' || line.content.find('`', length) == kNone);
  }

  void open_fence(const Line& line) {
    paragraph_ends();
    if (open_ != Open::callout) begin_block(Open::fence, line_start_);
    fence_ = {.mark = line.content[0], .length = run_length(line.content, line.content[0]), .quotes = line.quotes};
    copy(line);
  }

  void fence_line(const Line& line) {
    copy(line);
    if (line.content.empty() || line.content[0] != fence_.mark) return;
    const size_t length = run_length(line.content, fence_.mark);
    if (length < fence_.length || !is_blank(line.content.substr(length))) return;
    fence_.mark = 0;
    if (open_ == Open::fence) end_block(document_.text.size());
  }

  /// GFM: a rule under a paragraph's line with as many cells.
  bool opens_table(const Line& line) const {
    return in_paragraph_ && open_ == Open::none && is_table_rule(line.content) &&
           count_cells(line.content) == count_cells(previous_content_) && previous_line_start_ < line_start_;
  }

  void quote_line(const Line& line) {
    if (open_ == Open::table || open_ == Open::code) end_block();
    in_paragraph_ = false;
    if (open_ == Open::none && line.content.starts_with("[!")) begin_block(Open::callout, line_start_);
    copy_inline(line);
  }

  void code_line(const Line& line) {
    if (open_ == Open::none) begin_block(Open::code, line_start_);
    copy(line);
  }

  void begin_block(Open kind, size_t start) {
    end_block();
    open_ = kind;
    block_start_ = start;
  }

  void end_block() { end_block(line_start_); }
  void end_block(size_t end) {
    if (open_ == Open::none) return;
    open_ = Open::none;
    const std::string& text = document_.text;
    end = std::min(end, text.size());
    while (end > block_start_ && text::is_space(text[end - 1])) --end;
    if (end > block_start_) document_.structure.blocks.push_back({block_start_, end});
  }

  void copy(const Line& line) { document_.text += line.whole; }
  void copy_inline(const Line& line) { inline_.append_line(line.whole); }

  std::string_view source_;
  core::ParsedDocument& document_;
  MarkdownInline inline_;
  size_t line_start_ = 0;  // of the current line, in the text
  Open open_ = Open::none;
  size_t block_start_ = 0;
  Fence fence_;
  bool comment_ = false;
  bool in_paragraph_ = false;
  bool paragraph_in_list_ = false;
  bool in_list_ = false;
  size_t paragraph_start_ = 0;
  size_t previous_line_start_ = 0;
  std::string_view previous_content_;
};

}  // namespace

base::Result<core::ParsedDocument> parse_markdown(const Source& source) {
  const std::string text = decode_text(source.bytes, source.charset);
  TESSERA_TRY(FrontMatter front_matter, read_front_matter(text));
  core::ParsedDocument document;
  MarkdownReader reader(std::string_view(text).substr(front_matter.body_offset), document);
  reader.run();
  document.metadata = std::move(front_matter.fields);
  reader.inline_parts().move_into(document.metadata);
  if (const auto title = document.metadata.find("title"); title != document.metadata.end()) {
    if (const auto* words = std::get_if<std::string>(&title->second)) document.title = *words;
    if (const auto* number = std::get_if<int64_t>(&title->second)) document.title = fmt::format("{}", *number);
  }
  if (document.title.empty()) {
    const auto first = std::ranges::find(document.structure.headings, 1, &text::Heading::level);
    if (first != document.structure.headings.end()) document.title = first->title;
  }
  return document;
}

}  // namespace tessera::parse
