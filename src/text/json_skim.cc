#include "text/json_skim.h"

#include <fmt/format.h>

#include <array>
#include <bitset>
#include <charconv>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/log.h"

namespace tessera::text {
namespace {

constexpr size_t kQuotedMin = 2;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The first byte from `at` on that ends a plain stretch of a string: a quote, a backslash or a control character.
size_t plain_end(std::string_view text, size_t at) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1f);
  for (; at + 16 <= text.size(); at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const __m128i marked = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                        _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    const int mask = _mm_movemask_epi8(marked);
    if (mask != 0) return at + static_cast<size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
#endif
  while (at < text.size() && text[at] != '"' && text[at] != '\\' && static_cast<unsigned char>(text[at]) > 0x1f) ++at;
  return at;
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

// The four hexadecimal digits at `at`; -1 when they are not there.
int32_t hex_unit(std::string_view text, size_t at) {
  if (at + 4 > text.size()) return -1;
  int32_t unit = 0;
  for (size_t i = at; i < at + 4; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

constexpr std::string_view kEscapes = "\"\\/bfnrt";
constexpr std::string_view kEscaped = "\"\\/\b\f\n\r\t";

// The code point of the "\uXXXX" (or pair of them) at `at`, which moves behind it.
char32_t take_unicode(std::string_view text, size_t& at) {
  const int32_t unit = hex_unit(text, at + 2);
  at += 6;
  if (unit < 0xD800 || unit > 0xDFFF) return static_cast<char32_t>(unit);
  if (unit < 0xDC00 && text.substr(at, 2) == "\\u") {
    const int32_t low = hex_unit(text, at + 2);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      at += 6;
      return static_cast<char32_t>(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
    }
  }
  return 0xFFFD;
}

size_t utf8_size(char32_t point) {
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x10000 ? 3 : 4;
}

void append_utf8(std::string& out, char32_t point) {
  const size_t size = utf8_size(point);
  if (size == 1) {
    out += static_cast<char>(point);
    return;
  }
  constexpr std::array<unsigned, 5> kLead{0, 0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLead[size] | (point >> (6 * (size - 1))));
  for (size_t left = size - 1; left > 0; --left)
    out += static_cast<char>(0x80U | ((point >> (6 * (left - 1))) & 0x3FU));
}

// Resolves the escapes of what stood between quotes and was read by a cursor before.
std::string resolve(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (size_t at = 0; at < raw.size();) {
    const size_t next = std::min(raw.find('\\', at), raw.size());
    out.append(raw.substr(at, next - at));
    at = next;
    if (at >= raw.size()) break;
    if (raw[at + 1] == 'u') {
      append_utf8(out, take_unicode(raw, at));
    } else {
      out += kEscaped[kEscapes.find(raw[at + 1])];
      at += 2;
    }
  }
  return out;
}

// What is between the quotes of a value that is one sound string; nothing otherwise.
std::optional<std::string_view> inside(std::string_view value) {
  if (value.size() < kQuotedMin || value.front() != '"') return std::nullopt;
  JsonCursor cursor(value);
  if (cursor.skip().size() != value.size()) return std::nullopt;
  return value.substr(1, value.size() - 2);
}

}  // namespace

void JsonCursor::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

bool JsonCursor::fail() {
  failed_ = true;
  return false;
}

bool JsonCursor::take(char c) {
  skip_space();
  if (failed_ || at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

JsonKind JsonCursor::peek() {
  skip_space();
  if (failed_ || at_ >= text_.size()) return JsonKind::none;
  switch (text_[at_]) {
    case '{':
      return JsonKind::object;
    case '[':
      return JsonKind::array;
    case '"':
      return JsonKind::string;
    case 't':
    case 'f':
      return JsonKind::boolean;
    case 'n':
      return JsonKind::null;
    default:
      return text_[at_] == '-' || is_digit(text_[at_]) ? JsonKind::number : JsonKind::none;
  }
}

bool JsonCursor::enter_object() {
  if (!take('{')) return fail();
  return fresh_ = true;
}

bool JsonCursor::enter_array() {
  if (!take('[')) return fail();
  return fresh_ = true;
}

bool JsonCursor::next_member(std::string_view& key) {
  if (failed_) return false;
  const bool first = std::exchange(fresh_, false);
  if (take('}')) return false;
  if (!first && !take(',')) return fail();
  skip_space();
  const size_t start = at_ + 1;
  if (!string()) return false;
  key = text_.substr(start, at_ - start - 1);
  return take(':') || fail();
}

bool JsonCursor::next_element() {
  if (failed_) return false;
  const bool first = std::exchange(fresh_, false);
  if (take(']')) return false;
  return first || take(',') || fail();
}

bool JsonCursor::at_end() {
  skip_space();
  return !failed_ && at_ == text_.size();
}

// From the opening quote to behind the closing one.
bool JsonCursor::string() {
  if (at_ >= text_.size() || text_[at_] != '"') return fail();
  ++at_;
  while (true) {
    at_ = plain_end(text_, at_);
    if (at_ >= text_.size()) return fail();
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] != '\\' || at_ + 1 >= text_.size()) return fail();
    if (text_[at_ + 1] == 'u') {
      if (hex_unit(text_, at_ + 2) < 0) return fail();
      at_ += 6;
    } else {
      if (kEscapes.find(text_[at_ + 1]) == std::string_view::npos) return fail();
      at_ += 2;
    }
  }
}

bool JsonCursor::number() {
  const auto digits = [this] {
    const size_t start = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > start;
  };
  const auto is_here = [this](char c) { return at_ < text_.size() && text_[at_] == c; };
  if (is_here('-')) ++at_;
  if (is_here('0')) {
    ++at_;
  } else if (!digits()) {
    return fail();
  }
  if (is_here('.')) {
    ++at_;
    if (!digits()) return fail();
  }
  if (is_here('e') || is_here('E')) {
    ++at_;
    if (is_here('+') || is_here('-')) ++at_;
    if (!digits()) return fail();
  }
  return true;
}

bool JsonCursor::literal(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) return fail();
  at_ += word.size();
  return true;
}

bool JsonCursor::scalar(char first) {
  switch (first) {
    case '"':
      return string();
    case 't':
      return literal("true");
    case 'f':
      return literal("false");
    case 'n':
      return literal("null");
    default:
      return number();
  }
}

// From an opening bracket to behind its closing one. `in_object` remembers what each open bracket was.
bool JsonCursor::container() {
  std::bitset<kDepthMax> in_object;
  size_t depth = 0;
  do {
    // At a value.
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    bool closed = true;
    if (c == '{' || c == '[') {
      if (depth == kDepthMax) return fail();
      in_object[depth++] = c == '{';
      ++at_;
      closed = take(c == '{' ? '}' : ']');
      if (closed) --depth;
    } else if (!scalar(c)) {
      return false;
    }
    // Behind a value: close what ends here, then to the next value.
    while (closed && depth > 0) {
      if (take(',')) break;
      if (!take(in_object[depth - 1] ? '}' : ']')) return fail();
      --depth;
    }
    if (depth == 0) return true;
    skip_space();
    if (in_object[depth - 1]) {
      if (!string() || !take(':')) return fail();
      skip_space();
    }
  } while (true);
}

std::string_view JsonCursor::skip() {
  skip_space();
  if (failed_ || at_ >= text_.size()) {
    fail();
    return {};
  }
  fresh_ = false;
  const size_t start = at_;
  const char c = text_[at_];
  if (!(c == '{' || c == '[' ? container() : scalar(c))) return {};
  return text_.substr(start, at_ - start);
}

bool JsonMember::is(std::string_view name) const {
  if (key == name) return true;
  return key.size() > name.size() && key.find('\\') != std::string_view::npos && resolve(key) == name;
}

base::Result<> skim_json_object(std::string_view text, std::vector<JsonMember>& members) {
  members.clear();
  JsonCursor cursor(text);
  if (cursor.peek() != JsonKind::object) {
    return base::fail(base::Code::invalid, "BAD_JSON", "what was sent is not a JSON object");
  }
  cursor.enter_object();
  JsonMember member;
  while (cursor.next_member(member.key)) {
    member.kind = cursor.peek();
    member.value = cursor.skip();
    if (member.value.empty()) break;
    if (members.size() == kJsonMembersMax) {
      return base::fail(base::Code::invalid, "BAD_JSON",
                        fmt::format("the JSON object has more than {} members", kJsonMembersMax));
    }
    members.push_back(member);
  }
  if (cursor.at_end()) return {};
  return base::fail(base::Code::invalid, "BAD_JSON",
                    fmt::format("what was sent is not valid JSON: mistake at byte {}", cursor.position()));
}

const JsonMember* find_member(const std::vector<JsonMember>& members, std::string_view name) {
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    if (member->is(name)) return &*member;
  }
  return nullptr;
}

std::optional<std::string> json_text(std::string_view value) {
  const auto raw = inside(value);
  if (!raw) return std::nullopt;
  return resolve(*raw);
}

size_t json_text_size(std::string_view value) {
  const auto raw = inside(value);
  if (!raw) return 0;
  size_t size = raw->size();
  for (size_t at = raw->find('\\'); at < raw->size(); at = raw->find('\\', at)) {
    const size_t start = at;
    size_t means = 1;
    if ((*raw)[at + 1] == 'u') {
      means = utf8_size(take_unicode(*raw, at));
    } else {
      at += 2;
    }
    size -= at - start - means;
  }
  return size;
}

std::optional<int64_t> json_integer(std::string_view value) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (value.empty() || error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return number;
}

std::string json_quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  base::append_json_string(out, text);
  return out;
}

}  // namespace tessera::text
