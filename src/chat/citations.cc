#include "chat/citations.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

namespace tessera::chat {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool in_marker(char c) {
  return is_digit(c) || c == ',' || c == ' ';
}
bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// The numbers in "1, 3"; one too large for a source is given as -1.
std::vector<int64_t> parse_numbers(std::string_view text) {
  constexpr size_t kDigitsMax = 9;
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    int64_t value = 0;
    while (end < text.size() && is_digit(text[end])) {
      if (end - i < kDigitsMax) value = value * 10 + (text[end] - '0');
      ++end;
    }
    numbers.push_back(end - i <= kDigitsMax ? value : -1);
    i = end;
  }
  return numbers;
}

}  // namespace

void CitationFilter::push(std::string_view text, std::string& out) {
  for (const char c : text) step(c, out);
}

void CitationFilter::finish(std::string& out) {
  give_up(out);
}

void CitationFilter::emit(char c, std::string& out) {
  out += c;
  open_out_ = c == '[' || (open_out_ && in_marker(c));
  last_ = c;
}

void CitationFilter::give_up(std::string& out) {
  for (const char c : held_) emit(c, out);
  held_.clear();
}

void CitationFilter::step(char c, std::string& out) {
  if (code_.take(c)) {
    give_up(out);
    emit(c, out);
    return;
  }
  const bool in_bracket = held_.size() > 1 || held_ == "[";
  if (in_bracket && c == ']') {
    close_marker(out);
    return;
  }
  if (in_bracket && in_marker(c) && held_.size() - (held_.front() == ' ' ? 1 : 0) < kHeldMax) {
    held_ += c;
    return;
  }
  if (held_ == " " && c == '[') {
    held_ += c;
    return;
  }
  give_up(out);
  if (c == ' ' || c == '[') {
    held_ = c;
  } else {
    emit(c, out);
  }
}

void CitationFilter::close_marker(std::string& out) {
  const auto numbers = parse_numbers(held_);
  std::vector<int64_t> valid;
  for (const int64_t n : numbers) {
    if (n >= 1 && n <= static_cast<int64_t>(sources_) && !gone_.contains(n)) {
      valid.push_back(n);
      cited_.insert(n);
    } else {
      ++removed_;
    }
  }
  if (valid.size() == numbers.size()) {  // also "[]" and "[ ]", which are no markers
    give_up(out);
    emit(']', out);
    return;
  }
  const bool spaced = held_.front() == ' ';
  held_.clear();
  if (!valid.empty()) {
    const std::string kept = fmt::format("{}[{}]", spaced ? " " : "", fmt::join(valid, ", "));
    for (const char c : kept) emit(c, out);
  } else if (open_out_) {
    // "[[9]7]": what remains must not close up to a new marker.
    emit('[', out);
    emit(']', out);
  } else if (last_ == '`') {
    // Two runs of backticks must not merge into another one.
    emit(' ', out);
  }
}

std::vector<Marker> find_markers(std::string_view answer) {
  std::vector<Marker> markers;
  text::CodeState code;
  std::optional<size_t> open;
  for (size_t i = 0; i < answer.size(); ++i) {
    const char c = answer[i];
    if (code.take(c)) {
      open.reset();
    } else if (c == '[') {
      open = i;
    } else if (open && c == ']') {
      auto numbers = parse_numbers(answer.substr(*open, i - *open));
      if (!numbers.empty()) markers.push_back({*open, i + 1, std::move(numbers)});
      open.reset();
    } else if (open && (!in_marker(c) || i - *open >= CitationFilter::kHeldMax)) {
      open.reset();
    }
  }
  return markers;
}

int64_t remove_markers(std::string& answer, const std::set<int64_t>& gone) {
  // Everything else passed the filter before, so only `gone` counts here.
  CitationFilter filter(static_cast<size_t>(INT64_MAX), gone);
  std::string kept;
  filter.push(answer, kept);
  filter.finish(kept);
  answer = std::move(kept);
  return filter.removed();
}

namespace {

struct Span {
  size_t start = 0;
  size_t end = 0;
};

// Past a bracketed number, and a space before it, that begins at `at`; `at` when there is none. Quotations leave such
// numbers of the document out, lest they pass for markers.
size_t past_bracketed_number(std::string_view text, size_t at) {
  size_t i = at;
  if (i < text.size() && text[i] == ' ') ++i;
  if (i >= text.size() || text[i] != '[') return at;
  const size_t open = i++;
  bool digit = false;
  for (; i < text.size() && i - open <= CitationFilter::kHeldMax && in_marker(text[i]); ++i) {
    digit = digit || is_digit(text[i]);
  }
  return digit && i < text.size() && text[i] == ']' ? i + 1 : at;
}

// `needle` in `text`, any run of white space matching any other, bracketed numbers of the text skipped. Quadratic at
// worst over two short texts.
std::optional<Span> find_loose(std::string_view text, std::string_view needle) {
  for (size_t start = 0; start < text.size(); ++start) {
    if (text[start] != needle.front()) continue;
    size_t at = start;
    size_t i = 0;
    while (i < needle.size() && at < text.size()) {
      if (is_space(needle[i]) && is_space(text[at])) {
        while (i < needle.size() && is_space(needle[i])) ++i;
        while (at < text.size() && is_space(text[at])) ++at;
      } else if (needle[i] == text[at]) {
        ++i;
        ++at;
      } else if (const size_t after = past_bracketed_number(text, at); after != at) {
        at = after;
        while (i > 0 && is_space(needle[i - 1]) && at < text.size() && is_space(text[at])) ++at;
      } else {
        break;
      }
    }
    if (i == needle.size()) return Span{start, at};
  }
  return std::nullopt;
}

bool at_boundary(std::string_view text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
}

// Quotation marks and list signs around a quotation are the answer's, not the document's.
std::string_view trim_quote(std::string_view text) {
  constexpr std::string_view kOuter[] = {
      " ", "\n",           "\t",           "\r",           "\"",           "'",        ">",       "-", "*", "_",
      ":", "\xE2\x80\x9C", "\xE2\x80\x9D", "\xE2\x80\x98", "\xE2\x80\x99", "\xC2\xAB", "\xC2\xBB"};
  for (bool again = true; again;) {
    again = false;
    for (const auto mark : kOuter) {
      if (text.starts_with(mark)) {
        text.remove_prefix(mark.size());
        again = true;
      }
      if (text.ends_with(mark)) {
        text.remove_suffix(mark.size());
        again = true;
      }
    }
  }
  return text;
}

std::optional<Span> match(std::string_view text, std::string_view quote) {
  constexpr size_t kQuoteMin = 8;
  constexpr size_t kQuoteMax = 4096;
  constexpr std::string_view kStops = ".!?;,";
  quote = trim_quote(quote);
  if (quote.size() < kQuoteMin || quote.size() > kQuoteMax) return std::nullopt;
  auto span = find_loose(text, quote);
  if (!span) {
    // "It is so [1]." and "It is so." in the text, or the other way about.
    while (!quote.empty() && kStops.find(quote.back()) != std::string_view::npos) quote.remove_suffix(1);
    if (quote.size() < kQuoteMin) return std::nullopt;
    span = find_loose(text, quote);
  }
  if (!span) return std::nullopt;
  if (span->end < text.size() && (text[span->end] == '.' || text[span->end] == '!' || text[span->end] == '?'))
    ++span->end;
  if (!at_boundary(text, span->start) || !at_boundary(text, span->end)) return std::nullopt;
  return span;
}

// The quotation in `segment`, the answer's text before a marker: all of it, else what follows a line or sentence end.
std::optional<Span> find_quotation(std::string_view text, std::string_view segment) {
  constexpr int kTries = 24;
  if (const auto whole = match(text, segment)) return whole;
  size_t end = trim_quote(segment).empty() ? 0 : segment.size();
  // From the longest tail to the last sentence.
  int tries = 0;
  for (size_t i = 0; i + 1 < end && tries < kTries; ++i) {
    const char c = segment[i];
    const bool boundary = c == '\n' || c == '"' || c == ':' ||
                          ((c == '.' || c == '!' || c == '?') && is_space(segment[i + 1])) ||
                          (c == '\xE2' && segment.substr(i, 3) == "\xE2\x80\x9C");
    if (!boundary) continue;
    ++tries;
    if (const auto tail = match(text, segment.substr(i + (c == '\xE2' ? 3 : 1)))) return tail;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Citation> make_citations(const std::vector<core::Passage>& passages, std::string_view answer) {
  std::vector<Citation> citations;
  citations.reserve(passages.size());
  for (const auto& passage : passages) {
    Citation citation;
    citation.n = static_cast<int64_t>(citations.size()) + 1;
    citation.document_id = passage.document_id;
    citation.chunk_id = core::chunk_id(passage.document_id, passage.ordinal);
    citation.title = passage.title;
    citation.snippet = passage.text;
    citation.start = passage.start;
    citation.end = passage.end;
    citation.score = passage.score;
    citations.push_back(std::move(citation));
  }
  std::vector<bool> narrowed(passages.size());
  std::string_view segment;
  size_t previous_end = 0;
  for (const auto& marker : find_markers(answer)) {
    // "[1][2]" and "[1], [2]" rest on the same words.
    const auto between = answer.substr(previous_end, marker.start - previous_end);
    if (std::ranges::any_of(between, [](char c) { return !is_space(c) && c != ',' && c != '.'; })) segment = between;
    previous_end = marker.end;
    for (const int64_t n : marker.numbers) {
      if (n < 1 || n > static_cast<int64_t>(citations.size())) continue;
      const auto i = static_cast<size_t>(n - 1);
      citations[i].cited = true;
      if (narrowed[i]) continue;
      if (const auto span = find_quotation(passages[i].text, segment)) {
        citations[i].snippet = passages[i].text.substr(span->start, span->end - span->start);
        citations[i].start = passages[i].start + static_cast<int64_t>(span->start);
        citations[i].end = passages[i].start + static_cast<int64_t>(span->end);
        narrowed[i] = true;
      }
    }
  }
  return citations;
}

}  // namespace tessera::chat
