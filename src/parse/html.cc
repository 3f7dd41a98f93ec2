#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "parse/decode.h"
#include "parse/markup.h"
#include "parse/source.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

using Kind = MarkupToken::Kind;

// Which parts of a page are read. Tried in this order until there is text: pages that put everything in <nav> exist.
enum class Scope { main_only, without_noise, everything };

constexpr size_t kMetaBytesMax = 2048;
constexpr size_t kListDepthMax = 8;

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::find(names, name) != names.end();
}

// Never text of the page.
constexpr std::array<std::string_view, 13> kSilent = {"script",   "style",    "template", "iframe", "noembed",
                                                      "noframes", "textarea", "select",   "object", "canvas",
                                                      "audio",    "video",    "datalist"};
// Text, but about the site rather than the page.
constexpr std::array<std::string_view, 5> kNoise = {"nav", "footer", "button", "dialog", "noscript"};
constexpr std::array<std::string_view, 14> kVoid = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                                                    "input", "link", "meta", "param", "source", "track", "wbr"};
constexpr std::array<std::string_view, 17> kParagraphs = {
    "p",  "blockquote", "section", "article", "main",  "header",  "aside", "figure", "hr",
    "dl", "fieldset",   "form",    "body",    "table", "details", "ul",    "ol"};
constexpr std::array<std::string_view, 12> kLines = {"div",        "br",      "li",     "dt",      "dd",     "tr",
                                                     "figcaption", "summary", "legend", "caption", "option", "address"};

int heading_level(std::string_view name) {
  return name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6' ? name[1] - '0' : 0;
}

std::string decoded(std::string_view raw) {
  std::string out;
  append_decoded(out, raw);
  return out;
}

/// Turns tokens into text. Keeps counters instead of a tree, so nesting costs nothing.
class Renderer {
 public:
  Renderer(std::string_view html, Scope scope, size_t text_bytes_max)
      : scanner_(html, MarkupScanner::Dialect::html), scope_(scope), builder_(text_bytes_max) {}

  void run() {
    MarkupToken token;
    while (!builder_.overflowed() && scanner_.next(token)) {
      switch (token.kind) {
        case Kind::text:
          text(token);
          break;
        case Kind::open:
          open(token);
          break;
        case Kind::close:
          close(token.name);
          break;
      }
    }
  }

  TextBuilder& builder() { return builder_; }
  core::Metadata& metadata() { return metadata_; }
  std::string& title() { return title_; }

 private:
  void text(const MarkupToken& token) {
    if (in_title_) {
      if (title_.empty()) title_ = one_line(decoded(token.text), kMetaBytesMax);
      return;
    }
    if (!skipped_.empty() || (scope_ == Scope::main_only && main_depth_ == 0)) return;
    std::string_view shown = token.text;
    if (!token.literal && shown.find('&') != std::string_view::npos) {
      scratch_.clear();
      append_decoded(scratch_, shown);
      shown = scratch_;
    }
    if (pre_depth_ > 0) {
      if (pre_start_ && shown.starts_with('\n')) shown.remove_prefix(1);
      pre_start_ = false;
      builder_.verbatim(shown);
    } else {
      builder_.flow(shown);
    }
  }

  void open(const MarkupToken& token) {
    const std::string_view name = token.name;
    if (!skipped_.empty()) {
      if (name == skipped_) ++skip_depth_;
      return;
    }
    if (name == "title" && !seen_body_) {
      in_title_ = true;
      return;
    }
    if (name == "meta") return meta(token.attributes);
    if (name == "html") return language(token.attributes);
    if (name == "body") seen_body_ = true;
    if (is_one_of(name, kVoid)) {
      if (name == "br" || name == "hr") break_for(name);
      return;
    }
    if (skips(token)) {
      skipped_ = name;
      skip_depth_ = 1;
      return;
    }
    if (name == "main") ++main_depth_;
    if (const int level = heading_level(name); level > 0) {
      if (cell_depth_ > 0) lay_out();
      builder_.open_heading(level);
      return;
    }
    if (name == "pre") return open_pre();
    if (name == "ul" || name == "ol") return open_list(name == "ol");
    if (name == "table") return open_table();
    if (name == "tr" || name == "td" || name == "th") return open_cell(name);
    break_for(name);
    if (name == "li") list_item();
  }

  void close(std::string_view name) {
    if (!skipped_.empty()) {
      if (name == skipped_ && --skip_depth_ == 0) skipped_.clear();
      return;
    }
    if (name == "title") {
      in_title_ = false;
      return;
    }
    if (name == "main" && main_depth_ > 0) --main_depth_;
    if (heading_level(name) > 0) {
      builder_.close_heading();
      builder_.paragraph_break();
    } else if (name == "pre") {
      if (pre_depth_ > 0 && --pre_depth_ == 0) builder_.close_block();
    } else if (name == "ul" || name == "ol") {
      if (!lists_.empty()) lists_.pop_back();
      if (excess_lists_ > 0) --excess_lists_;
      break_for(lists_.empty() ? "ul" : "li");
    } else if (name == "table") {
      close_table();
    } else {
      break_for(name);
    }
  }

  bool skips(const MarkupToken& token) const {
    if (is_one_of(token.name, kSilent)) return true;
    if (scope_ == Scope::everything) return false;
    if (is_one_of(token.name, kNoise)) return true;
    if (token.attributes.size() < 6) return false;
    return find_attribute(token.attributes, "hidden").has_value() ||
           find_attribute(token.attributes, "role") == "navigation" ||
           find_attribute(token.attributes, "aria-hidden") == "true";
  }

  /// Inside a table cell lines stay together, so that a row is one line.
  void break_for(std::string_view name) {
    const bool paragraph = is_one_of(name, kParagraphs);
    if (!paragraph && !is_one_of(name, kLines)) return;
    if (pre_depth_ > 0) {
      if (name == "br") builder_.verbatim("\n");
    } else if (cell_depth_ > 0 && !layout_) {
      builder_.flow(" ");
    } else if (paragraph && lists_.empty()) {
      builder_.paragraph_break();
    } else {
      builder_.line_break();
    }
  }

  void open_pre() {
    if (pre_depth_++ > 0) return;
    if (cell_depth_ > 0) lay_out();
    builder_.open_block();
    pre_start_ = true;
  }

  void open_list(bool ordered) {
    if (cell_depth_ > 0) lay_out();
    break_for(lists_.empty() ? "ul" : "li");
    if (lists_.size() < kListDepthMax && excess_lists_ == 0) {
      lists_.push_back(ordered ? 1 : 0);
    } else {
      ++excess_lists_;
    }
  }

  void list_item() {
    if (lists_.empty()) return builder_.prefix("- ");
    std::string mark((lists_.size() - 1) * 2, ' ');
    mark += lists_.back() == 0 ? std::string("- ") : fmt::format("{}. ", lists_.back()++);
    builder_.prefix(mark);
  }

  void open_table() {
    if (cell_depth_ > 0) lay_out();
    if (table_depth_++ == 0) {
      layout_ = false;
      builder_.open_block();
    }
  }

  void close_table() {
    if (table_depth_ == 0 || --table_depth_ > 0) return;
    cell_depth_ = 0;
    if (layout_) builder_.drop_block();
    layout_ = false;
    builder_.close_block();
  }

  void open_cell(std::string_view name) {
    if (table_depth_ == 0 || layout_ || pre_depth_ > 0) return builder_.line_break();
    if (name == "tr") {
      builder_.line_break();
      cells_in_row_ = 0;
      cell_depth_ = 0;
      return;
    }
    cell_depth_ = 1;
    if (cells_in_row_++ > 0) builder_.separator(" | ");
  }

  /// This table arranges a page rather than data: cells hold headings, lists or tables. Its lines break as usual.
  void lay_out() { layout_ = true; }

  void meta(std::string_view attributes) {
    const auto content = find_attribute(attributes, "content");
    const auto name = find_attribute(attributes, "name");
    if (!content || !name) return;
    std::string key(name->substr(0, 32));
    std::ranges::transform(key, key.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (key != "description" && key != "author" && key != "keywords") return;
    std::string value = one_line(decoded(*content), kMetaBytesMax);
    if (!value.empty()) metadata_.try_emplace(std::move(key), std::move(value));
  }

  void language(std::string_view attributes) {
    const auto lang = find_attribute(attributes, "lang");
    if (lang && !lang->empty() && lang->size() <= 35) metadata_.try_emplace("lang", decoded(*lang));
  }

  MarkupScanner scanner_;
  Scope scope_;
  TextBuilder builder_;
  core::Metadata metadata_;
  std::string title_;
  std::string scratch_;
  std::string skipped_;  // the element being skipped, or empty
  size_t skip_depth_ = 0;
  size_t main_depth_ = 0;
  size_t pre_depth_ = 0;
  size_t table_depth_ = 0;
  size_t cell_depth_ = 0;
  size_t cells_in_row_ = 0;
  std::vector<int> lists_;  // the next number, or 0 for bullets; at most kListDepthMax
  size_t excess_lists_ = 0;
  bool layout_ = false;
  bool in_title_ = false;
  bool seen_body_ = false;
  bool pre_start_ = false;
};

bool holds_main(std::string_view html) {
  return html.find("<main") != std::string_view::npos || html.find("<MAIN") != std::string_view::npos;
}

}  // namespace

base::Result<core::ParsedDocument> parse_html(const Source& source) {
  const std::string html = decode_text(source.bytes, source.charset);
  core::ParsedDocument document;
  for (const Scope scope : {Scope::main_only, Scope::without_noise, Scope::everything}) {
    if (scope == Scope::main_only && !holds_main(html)) continue;
    Renderer renderer(html, scope, source.limits.text_bytes_max);
    renderer.run();
    if (renderer.builder().overflowed()) return std::unexpected(text_too_large(source.limits.text_bytes_max));
    document.text = renderer.builder().take_text();
    document.structure = renderer.builder().take_structure();
    document.metadata = std::move(renderer.metadata());
    document.title = std::move(renderer.title());
    if (!document.text.empty()) break;
  }
  if (document.title.empty()) {
    const auto first = std::ranges::find(document.structure.headings, 1, &text::Heading::level);
    if (first != document.structure.headings.end()) document.title = first->title;
  }
  return document;
}

}  // namespace tessera::parse
