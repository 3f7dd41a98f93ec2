#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "parse/decode.h"
#include "parse/sniff.h"
#include "parse/source.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

using Row = std::vector<std::string>;

constexpr size_t kColumnsMax = 16384;
constexpr size_t kSampleBytes = 64UL << 10;

/// Reads RFC 4180 rows, quotes doubled inside quotes. A stray quote inside a bare field is text.
class RowReader {
 public:
  RowReader(std::string_view text, char delimiter, bool quotes) : text_(text), delimiter_(delimiter), quotes_(quotes) {}

  /// False at the end. Empty lines are skipped. `row` keeps its strings' memory.
  bool next(Row& row) {
    while (pos_ < text_.size() && text_[pos_] == '\n') ++pos_;
    if (pos_ >= text_.size()) return false;
    size_t fields = 0;
    bool more = true;
    while (more) {
      if (fields == row.size()) row.emplace_back();
      row[fields].clear();
      more = field(row[fields]);
      if (++fields > kColumnsMax) {
        too_wide_ = true;
        return false;
      }
    }
    row.resize(fields);
    return true;
  }

  /// A quoted field had no end: the quotes were not meant as quotes.
  [[nodiscard]] bool unclosed_quote() const { return unclosed_; }
  /// A row has more than kColumnsMax fields; reading stopped there.
  [[nodiscard]] bool too_wide() const { return too_wide_; }

 private:
  /// True if another field follows in this row.
  bool field(std::string& out) {
    if (quotes_ && pos_ < text_.size() && text_[pos_] == '"') quoted(out);
    const std::array stops = {delimiter_, '\n'};
    const size_t end = std::min(text_.find_first_of(std::string_view(stops.data(), stops.size()), pos_), text_.size());
    out += text_.substr(pos_, end - pos_);
    pos_ = std::min(end + 1, text_.size());
    return end < text_.size() && text_[end] == delimiter_;
  }

  void quoted(std::string& out) {
    ++pos_;
    while (true) {
      const size_t end = text_.find('"', pos_);
      if (end == std::string_view::npos) {
        unclosed_ = true;
        out += text_.substr(pos_);
        pos_ = text_.size();
        return;
      }
      out += text_.substr(pos_, end - pos_);
      pos_ = end + 1;
      if (pos_ >= text_.size() || text_[pos_] != '"') return;
      out += '"';
      ++pos_;
    }
  }

  std::string_view text_;
  char delimiter_;
  bool quotes_;
  size_t pos_ = 0;
  bool unclosed_ = false;
  bool too_wide_ = false;
};

/// The candidate that cuts the first rows into the same number of fields, at least two; the comma if none does.
char sniff_delimiter(std::string_view text) {
  text = text.substr(0, kSampleBytes);
  char best = ',';
  size_t best_score = 0;
  for (const char candidate : {',', ';', '\t', '|'}) {
    RowReader reader(text, candidate, true);
    Row row;
    size_t columns = 0;
    size_t agreeing = 0;
    for (int i = 0; i < 50 && reader.next(row); ++i) {
      if (i == 0) columns = row.size();
      if (row.size() == columns) ++agreeing;
    }
    const size_t score = columns < 2 ? 0 : agreeing * 1000 + std::min<size_t>(columns, 999);
    if (score > best_score) {
      best_score = score;
      best = candidate;
    }
  }
  return best;
}

bool is_number(std::string_view field) {
  return !field.empty() && field.find_first_not_of("0123456789.,+-eE% ") == std::string_view::npos &&
         field.find_first_of("0123456789") != std::string_view::npos;
}

/// A first row of distinct, non-empty words names the columns.
bool is_header(const Row& row) {
  Row names = row;
  for (std::string& name : names) name = one_line(name, 256);
  std::ranges::sort(names);
  return std::ranges::adjacent_find(names) == names.end() &&
         std::ranges::none_of(names, [](const std::string& name) { return name.empty() || is_number(name); });
}

/// "column: value" lines; empty values are left out. Each row is one block.
void write_row(TextBuilder& builder, const std::vector<std::string>& names, const Row& row) {
  builder.open_block();
  for (size_t i = 0; i < row.size() && !builder.overflowed(); ++i) {
    if (row[i].find_first_not_of(" \t\n") == std::string::npos) continue;
    builder.line_break();
    if (i < names.size()) {
      builder.flow(names[i]);
    } else {
      builder.flow(fmt::format("column {}", i + 1));
    }
    builder.flow(": ");
    builder.flow(row[i]);
  }
  builder.close_block();
}

void write_table(RowReader& reader, TextBuilder& builder) {
  Row row;
  if (!reader.next(row)) return;
  std::vector<std::string> names;
  Row second;
  const bool has_second = reader.next(second);
  if (has_second && is_header(row)) {
    for (const std::string& name : row) names.push_back(one_line(name, 256));
  } else {
    write_row(builder, names, row);
  }
  if (has_second) write_row(builder, names, second);
  while (!builder.overflowed() && reader.next(row)) write_row(builder, names, row);
}

}  // namespace

base::Result<core::ParsedDocument> parse_csv(const Source& source) {
  const std::string text = decode_text(source.bytes, source.charset);
  const char delimiter = source.format == Format::tsv ? '\t' : sniff_delimiter(text);
  core::ParsedDocument document;
  for (const bool quotes : {true, false}) {
    TextBuilder builder(source.limits.text_bytes_max);
    RowReader reader(text, delimiter, quotes);
    write_table(reader, builder);
    if (builder.overflowed()) return std::unexpected(text_too_large(source.limits.text_bytes_max));
    document.text = builder.take_text();
    document.structure = builder.take_structure();
    if (!reader.unclosed_quote()) {
      if (reader.too_wide())
        return std::unexpected(unreadable(fmt::format("The table has more than {} columns.", kColumnsMax)));
      break;
    }
  }
  return document;
}

}  // namespace tessera::parse
