#include "llm/extractive/units.h"

#include <algorithm>

#include "text/sentences.h"

namespace tessera::llm::extractive {
namespace {

constexpr size_t kCodeLinesMax = 12;     // a longer block is quoted line by line
constexpr size_t kTailBytesMax = 700;    // what may follow "...:" in one quotation
constexpr size_t kUnitBytesMax = 1'200;  // beyond this a "sentence" is a data dump

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

text::Range trimmed(std::string_view text, text::Range span) {
  while (span.start < span.end && is_blank(text[span.start])) ++span.start;
  while (span.end > span.start && is_blank(text[span.end - 1])) --span.end;
  return span;
}

// What a line is, and where its content begins after the markdown mark.
enum class LineKind { blank, text, heading, fence, item, row, rule };
struct Line {
  text::Range span;    // without the line end
  size_t content = 0;  // first byte after the mark
  LineKind kind = LineKind::text;
};

size_t item_mark(std::string_view line) {
  if (line.size() >= 2 && (line[0] == '-' || line[0] == '*' || line[0] == '+') && line[1] == ' ') return 2;
  size_t digits = 0;
  while (digits < line.size() && digits < 3 && line[digits] >= '0' && line[digits] <= '9') ++digits;
  if (digits > 0 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') &&
      line[digits + 1] == ' ') {
    return digits + 2;
  }
  return 0;
}

Line classify(std::string_view text, text::Range span) {
  Line line{span, span.start, LineKind::text};
  size_t at = span.start;
  while (at < span.end && (text[at] == ' ' || text[at] == '\t' || text[at] == '>')) ++at;
  line.content = at;
  const std::string_view rest = text.substr(at, span.end - at);
  if (std::ranges::all_of(rest, is_blank)) {
    line.kind = LineKind::blank;
  } else if (rest.starts_with("```") || rest.starts_with("~~~")) {
    line.kind = LineKind::fence;
  } else if (rest.front() == '#' && rest.find_first_not_of('#') != std::string_view::npos &&
             rest[rest.find_first_not_of('#')] == ' ') {
    line.kind = LineKind::heading;
    line.content = at + rest.find_first_not_of('#') + 1;
  } else if (rest.find_first_not_of("-=_*| :\r") == std::string_view::npos && rest.size() >= 3) {
    line.kind = LineKind::rule;
  } else if (rest.front() == '|') {
    line.kind = LineKind::row;
    line.content = at + 1;
  } else if (const size_t mark = item_mark(rest); mark > 0) {
    line.kind = LineKind::item;
    line.content = at + mark;
  }
  return line;
}

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string_view::npos) end = text.size();
    lines.push_back(classify(text, {at, end}));
    at = end + 1;
  }
  return lines;
}

// Walks the lines of one passage and collects units.
class Cutter {
 public:
  Cutter(std::string_view text, size_t source, const std::vector<std::string>& heading_stems, size_t first_index)
      : text_(text), source_(source), base_context_(heading_stems), context_(heading_stems), first_(first_index) {}

  std::vector<Unit> run() {
    const std::vector<Line> lines = lines_of(text_);
    for (size_t i = 0; i < lines.size() && units_.size() < kUnitsPerPassageMax;) {
      switch (lines[i].kind) {
        case LineKind::blank:
        case LineKind::rule:
          ++i;
          break;
        case LineKind::heading:
          i = heading(lines, i);
          break;
        case LineKind::fence:
          i = code(lines, i);
          break;
        case LineKind::row:
          i = table(lines, i);
          break;
        case LineKind::item:
          i = item(lines, i);
          break;
        case LineKind::text:
          i = paragraph(lines, i);
          break;
      }
    }
    return std::move(units_);
  }

 private:
  size_t heading(const std::vector<Line>& lines, size_t i) {
    context_ = base_context_;
    for (const Term& term : terms_of(text_.substr(lines[i].content, lines[i].span.end - lines[i].content))) {
      context_.push_back(term.stem);
    }
    lead_ = kNone;
    linked_ = false;
    return i + 1;
  }

  size_t code(const std::vector<Line>& lines, size_t i) {
    const std::string_view fence = text_.substr(lines[i].content, 3);
    size_t end = i + 1;
    while (end < lines.size() && !text_.substr(lines[end].content).starts_with(fence)) ++end;
    const bool closed = end < lines.size();
    const text::Range whole{lines[i].content, lines[closed ? end : end - 1].span.end};
    const bool small = closed && end - i - 1 <= kCodeLinesMax && whole.end - whole.start <= kTailBytesMax;
    if (small) {
      if (!attach(whole.end)) add(whole, UnitKind::code);
    } else {
      for (size_t line = i + 1; line < end; ++line) add(lines[line].span, UnitKind::code);
    }
    lead_ = kNone;
    return closed ? end + 1 : end;
  }

  size_t table(const std::vector<Line>& lines, size_t i) {
    size_t end = i;
    while (end < lines.size() && (lines[end].kind == LineKind::row || lines[end].kind == LineKind::rule)) ++end;
    const std::vector<std::string> outer = context_;
    size_t row = i;
    if (i + 1 < end && lines[i + 1].kind == LineKind::rule) {
      for (const Term& term : terms_of(text_.substr(lines[i].content, lines[i].span.end - lines[i].content))) {
        context_.push_back(term.stem);
      }
      row = i + 2;
    }
    for (; row < end; ++row) {
      if (lines[row].kind != LineKind::row) continue;
      text::Range cell = trimmed(text_, {lines[row].content, lines[row].span.end});
      if (cell.end > cell.start && text_[cell.end - 1] == '|') --cell.end;
      add(trimmed(text_, cell), UnitKind::table_row);
    }
    context_ = outer;
    lead_ = kNone;
    return end;
  }

  size_t item(const std::vector<Line>& lines, size_t i) {
    size_t end = i + 1;
    while (end < lines.size() && lines[end].kind == LineKind::text) ++end;
    const text::Range span = trimmed(text_, {lines[i].content, lines[end - 1].span.end});
    const size_t lead = lead_;
    if (lead != kNone) {
      Unit& unit = units_[lead];
      if (span.end - unit.end <= kTailBytesMax) {
        unit.tail_end = span.end;
        append_terms(unit.tail_terms, {span.start, span.end});
      }
    }
    // A long item is several sentences; its first names what the others speak of.
    const std::vector<text::Range> sentences = text::split_sentences(text_.substr(span.start, span.end - span.start));
    if (span.end - span.start > 240 && sentences.size() > 1) {
      for (const text::Range sentence : sentences) {
        add({span.start + sentence.start, span.start + sentence.end}, UnitKind::list_item);
      }
    } else {
      add(span, UnitKind::list_item);
    }
    lead_ = lead;  // the next item belongs to the same introduction
    return end;
  }

  size_t paragraph(const std::vector<Line>& lines, size_t i) {
    size_t end = i + 1;
    while (end < lines.size() && lines[end].kind == LineKind::text) ++end;
    const text::Range span = trimmed(text_, {lines[i].content, lines[end - 1].span.end});
    lead_ = kNone;
    for (const text::Range sentence : text::split_sentences(text_.substr(span.start, span.end - span.start))) {
      add({span.start + sentence.start, span.start + sentence.end}, UnitKind::sentence);
    }
    if (units_.empty() || units_.back().end != span.end) return end;
    size_t next = end;
    while (next < lines.size() && lines[next].kind == LineKind::blank) ++next;
    const bool colon = text_[span.end - 1] == ':';
    const bool code_follows = next < lines.size() && lines[next].kind == LineKind::fence;
    if (colon || code_follows) lead_ = units_.size() - 1;
    return end;
  }

  // Makes [.., end) part of the sentence that introduced it; false when there is none or it is too much.
  bool attach(size_t end) {
    if (lead_ == kNone || end - units_[lead_].end > kTailBytesMax) return false;
    Unit& unit = units_[lead_];
    append_terms(unit.tail_terms, {unit.end, end});
    unit.tail_end = end;
    return true;
  }

  void append_terms(std::vector<Term>& terms, text::Range span) const {
    for (Term& term : terms_of(text_.substr(span.start, span.end - span.start))) {
      term.start += span.start;
      term.end += span.start;
      terms.push_back(std::move(term));
    }
  }

  void add(text::Range span, UnitKind kind) {
    span = trimmed(text_, span);
    if (span.start >= span.end || span.end - span.start > kUnitBytesMax || units_.size() >= kUnitsPerPassageMax) return;
    Unit unit;
    unit.source = source_;
    unit.start = span.start;
    unit.end = unit.tail_end = span.end;
    unit.kind = kind;
    append_terms(unit.terms, span);
    if (unit.terms.empty()) return;
    unit.context = context_;
    if (linked_ && !units_.empty()) {
      unit.previous = static_cast<std::ptrdiff_t>(first_ + units_.size() - 1);
      units_.back().next = static_cast<std::ptrdiff_t>(first_ + units_.size());
    }
    linked_ = true;
    units_.push_back(std::move(unit));
  }

  static constexpr size_t kNone = static_cast<size_t>(-1);

  std::string_view text_;
  size_t source_;
  const std::vector<std::string>& base_context_;
  std::vector<std::string> context_;
  size_t first_;
  std::vector<Unit> units_;
  size_t lead_ = kNone;  // the unit whose list or code block is being read
  bool linked_ = false;  // whether the next unit continues the section
};

}  // namespace

std::vector<Unit> cut_units(std::string_view text, size_t source, const std::vector<std::string>& heading_stems,
                            size_t first_index) {
  return Cutter(text, source, heading_stems, first_index).run();
}

}  // namespace tessera::llm::extractive
