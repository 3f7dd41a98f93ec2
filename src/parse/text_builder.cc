#include "parse/text_builder.h"

#include <algorithm>

#include "text/utf8.h"

namespace tessera::parse {
namespace {

using text::is_space;

constexpr size_t kHeadingBytesMax = 512;

}  // namespace

void TextBuilder::append(std::string_view text) {
  if (overflowed_ || text.size() > bytes_max_ - std::min(bytes_max_, text_.size())) {
    overflowed_ = true;
    return;
  }
  text_ += text;
}

void TextBuilder::begin_content() {
  if (pending_newlines_ > 0 && !text_.empty()) {
    int present = 0;
    for (size_t i = text_.size(); i > 0 && text_[i - 1] == '\n' && present < pending_newlines_; --i) ++present;
    append(std::string_view("\n\n").substr(0, static_cast<size_t>(pending_newlines_ - present)));
  } else if (pending_space_ && !text_.empty() && !is_space(text_.back())) {
    append(" ");
  }
  pending_newlines_ = 0;
  pending_space_ = false;
  if (heading_level_ > 0 && heading_start_ == kNone) heading_start_ = text_.size();
  if (block_depth_ > 0 && block_start_ == kNone) block_start_ = text_.size();
  if (!prefix_.empty()) {
    append(prefix_);
    prefix_.clear();
  }
}

void TextBuilder::flow(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && !overflowed_) {
    if (is_space(text[i])) {
      pending_space_ = true;
      ++i;
      continue;
    }
    // As many words as stand one space apart.
    size_t end = i + 1;
    while (end < text.size() &&
           (!is_space(text[end]) || (text[end] == ' ' && end + 1 < text.size() && !is_space(text[end + 1]))))
      ++end;
    begin_content();
    append(text.substr(i, end - i));
    i = end;
  }
}

void TextBuilder::verbatim(std::string_view text) {
  if (text.empty()) return;
  begin_content();
  append(text);
}

void TextBuilder::line_break() {
  pending_newlines_ = std::max(pending_newlines_, 1);
}

void TextBuilder::paragraph_break() {
  pending_newlines_ = 2;
}

void TextBuilder::separator(std::string_view text) {
  pending_space_ = false;
  begin_content();
  append(text);
}

void TextBuilder::open_heading(int level) {
  close_heading();
  paragraph_break();
  heading_level_ = block_depth_ > 0 ? 0 : std::clamp(level, 1, 6);
}

void TextBuilder::close_heading() {
  if (heading_level_ > 0 && heading_start_ != kNone && !overflowed_) {
    std::string title = one_line(std::string_view(text_).substr(heading_start_), kHeadingBytesMax);
    if (!title.empty()) structure_.headings.push_back({heading_start_, heading_level_, std::move(title)});
  }
  heading_level_ = 0;
  heading_start_ = kNone;
}

void TextBuilder::open_block() {
  if (block_depth_++ == 0) {
    close_heading();
    paragraph_break();
    block_start_ = kNone;
    block_dropped_ = false;
  }
}

void TextBuilder::close_block() {
  if (block_depth_ == 0 || --block_depth_ > 0) return;
  const size_t end = trimmed_size();
  if (!block_dropped_ && block_start_ != kNone && block_start_ < end && !overflowed_) {
    structure_.blocks.push_back({block_start_, end});
  }
  block_start_ = kNone;
  paragraph_break();
}

void TextBuilder::drop_block() {
  block_dropped_ = true;
}

size_t TextBuilder::trimmed_size() const {
  size_t end = text_.size();
  while (end > 0 && is_space(text_[end - 1])) --end;
  return end;
}

std::string TextBuilder::take_text() {
  while (block_depth_ > 0) close_block();
  close_heading();
  text_.resize(trimmed_size());
  return std::move(text_);
}

std::string one_line(std::string_view text, size_t bytes_max) {
  std::string out;
  bool space = false;
  for (const char c : text) {
    if (is_space(c)) {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
    if (out.size() > bytes_max) break;
  }
  return std::string(text::prefix(out, bytes_max));
}

}  // namespace tessera::parse
