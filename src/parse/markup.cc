#include "parse/markup.h"

#include <algorithm>
#include <array>

#include "parse/decode.h"

namespace tessera::parse {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
bool is_name_start(char c) {
  return is_letter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::ranges::equal(a, b, {}, lower, lower);
}

constexpr std::array<std::string_view, 9> kRawElements = {"script", "style",   "textarea", "title",    "xmp",
                                                          "iframe", "noembed", "noframes", "plaintext"};

/// One attribute at the front of `rest`, which is shortened by it. False at the end.
bool next_attribute(std::string_view& rest, std::string_view& name, std::string_view& value) {
  size_t i = 0;
  while (i < rest.size() && (is_space(rest[i]) || rest[i] == '/')) ++i;
  if (i == rest.size()) return false;
  const size_t name_start = i++;
  while (i < rest.size() && !is_space(rest[i]) && rest[i] != '=' && rest[i] != '/') ++i;
  name = rest.substr(name_start, i - name_start);
  value = {};
  size_t equals = i;
  while (equals < rest.size() && is_space(rest[equals])) ++equals;
  if (equals < rest.size() && rest[equals] == '=') {
    i = equals + 1;
    while (i < rest.size() && is_space(rest[i])) ++i;
    const char quote = i < rest.size() ? rest[i] : '\0';
    if (quote == '"' || quote == '\'') {
      const size_t end = std::min(rest.find(quote, i + 1), rest.size());
      value = rest.substr(i + 1, end - i - 1);
      i = std::min(end + 1, rest.size());
    } else {
      const size_t start = i;
      while (i < rest.size() && !is_space(rest[i])) ++i;
      value = rest.substr(start, i - start);
    }
  }
  rest.remove_prefix(i);
  return true;
}

/// Past the ">" that ends the tag whose name ends at `i`; kNone if the input ends first. Quoted values may hold ">".
size_t tag_end(std::string_view input, size_t i) {
  bool after_equals = false;
  while (i < input.size()) {
    const char c = input[i];
    if (c == '>') return i + 1;
    if ((c == '"' || c == '\'') && after_equals) {
      i = input.find(c, i + 1);
      if (i == kNone) return kNone;
      after_equals = false;
    } else if (!is_space(c)) {
      after_equals = c == '=';
    }
    ++i;
  }
  return kNone;
}

/// The reference at raw[at] ('&'): its length and code point; length 0 if it is none.
struct Reference {
  size_t length = 0;
  char32_t code = 0;
};

Reference numeric_reference(std::string_view raw, size_t at) {
  size_t i = at + 2;
  const bool hex = i < raw.size() && lower(raw[i]) == 'x';
  if (hex) ++i;
  const size_t digits = i;
  char32_t code = 0;
  for (; i < raw.size(); ++i) {
    const char c = lower(raw[i]);
    char32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<char32_t>(c - '0');
    } else if (hex && c >= 'a' && c <= 'f') {
      digit = static_cast<char32_t>(c - 'a' + 10);
    } else {
      break;
    }
    code = std::min<char32_t>(code * (hex ? 16 : 10) + digit, 0x110000);
  }
  if (i == digits) return {};
  if (i < raw.size() && raw[i] == ';') ++i;
  return {.length = i - at, .code = code == 0 || code > 0x10FFFF ? 0xFFFD : code};
}

Reference reference_at(std::string_view raw, size_t at) {
  if (at + 1 < raw.size() && raw[at + 1] == '#') return numeric_reference(raw, at);
  constexpr size_t kNameMax = 8;
  size_t i = at + 1;
  while (i < raw.size() && i - at <= kNameMax && (is_letter(raw[i]) || (raw[i] >= '0' && raw[i] <= '9'))) ++i;
  const std::string_view name = raw.substr(at + 1, i - at - 1);
  if (i < raw.size() && raw[i] == ';') {
    const char32_t code = html_entity(name);
    return {.length = code == 0 ? 0 : i + 1 - at, .code = code};
  }
  for (const std::string_view legacy : {"amp", "lt", "gt", "quot", "nbsp"}) {  // valid without ";"
    if (name == legacy) return {.length = i - at, .code = html_entity(legacy)};
  }
  return {};
}

}  // namespace

std::string_view MarkupScanner::until(std::string_view terminator, size_t from) {
  size_t end = input_.find(terminator, from);
  if (end == kNone) {
    truncated_ = true;
    pos_ = input_.size();
    return input_.substr(std::min(from, input_.size()));
  }
  pos_ = end + terminator.size();
  return input_.substr(from, end - from);
}

bool MarkupScanner::raw_text(MarkupToken& token) {
  const bool decodable = raw_element_ == "textarea" || raw_element_ == "title";
  size_t end = pos_;
  while (true) {
    end = raw_element_ == "plaintext" ? kNone : input_.find("</", end);
    if (end == kNone) {
      end = input_.size();
      break;
    }
    const size_t after = end + 2 + raw_element_.size();
    if (equal_ignoring_case(input_.substr(end + 2, raw_element_.size()), raw_element_) &&
        (after >= input_.size() || is_space(input_[after]) || input_[after] == '>' || input_[after] == '/')) {
      break;
    }
    end += 2;
  }
  token = {.kind = MarkupToken::Kind::text, .text = input_.substr(pos_, end - pos_), .literal = !decodable};
  raw_element_.clear();
  pos_ = end;
  return !token.text.empty();
}

bool MarkupScanner::declaration(MarkupToken& token) {
  const std::string_view rest = input_.substr(pos_);
  if (rest.starts_with("<!-->") || rest.starts_with("<!--->")) {
    pos_ = input_.find('>', pos_) + 1;
  } else if (rest.starts_with("<!--")) {
    until("-->", pos_ + 4);
  } else if (rest.starts_with("<![CDATA[") && dialect_ == Dialect::xml) {
    token = {.kind = MarkupToken::Kind::text, .text = until("]]>", pos_ + 9), .literal = true};
    return !token.text.empty();
  } else if (rest.starts_with("<?") && dialect_ == Dialect::xml) {
    until("?>", pos_ + 2);
  } else if (rest.starts_with("<!DOCTYPE") && dialect_ == Dialect::xml &&
             rest.substr(0, rest.find('>')).find('[') != kNone) {
    until("]>", pos_);  // an internal subset: its entities are not declared to us
  } else {
    until(">", pos_ + 1);
  }
  return false;
}

bool MarkupScanner::tag(MarkupToken& token) {
  const bool close = input_[pos_ + 1] == '/';
  const size_t name_start = pos_ + 1 + (close ? 1 : 0);
  size_t i = name_start;
  while (i < input_.size() && !is_space(input_[i]) && input_[i] != '>' && input_[i] != '/') ++i;
  const size_t end = tag_end(input_, i);
  if (end == kNone) {
    truncated_ = true;
    pos_ = input_.size();
    return false;
  }
  std::string_view name = input_.substr(name_start, i - name_start);
  std::string_view attributes = input_.substr(i, end - 1 - i);
  const bool self_closing = attributes.ends_with('/');
  if (dialect_ == Dialect::html) {
    constexpr size_t kNameMax = 64;
    name_.assign(name.substr(0, kNameMax));
    std::ranges::transform(name_, name_.begin(), lower);
    name = name_;
    if (!close && std::ranges::find(kRawElements, name) != kRawElements.end()) raw_element_ = name_;
  }
  token = {.kind = close ? MarkupToken::Kind::close : MarkupToken::Kind::open,
           .name = name,
           .attributes = attributes,
           .text = {},
           .self_closing = self_closing};
  pos_ = end;
  return true;
}

bool MarkupScanner::next(MarkupToken& token) {
  if (!raw_element_.empty() && raw_text(token)) return true;
  while (pos_ < input_.size()) {
    if (input_[pos_] == '<' && pos_ + 1 < input_.size()) {
      const char c = input_[pos_ + 1];
      if (is_name_start(c) || (c == '/' && pos_ + 2 < input_.size() && is_name_start(input_[pos_ + 2]))) {
        if (tag(token)) return true;
        continue;
      }
      if (c == '!' || c == '?' || c == '/') {
        if (declaration(token)) return true;
        continue;
      }
    }
    const size_t end = std::min(input_.find('<', pos_ + 1), input_.size());
    token = {.kind = MarkupToken::Kind::text, .text = input_.substr(pos_, end - pos_)};
    pos_ = end;
    return true;
  }
  return false;
}

std::optional<std::string_view> find_attribute(std::string_view attributes, std::string_view name) {
  std::string_view found;
  std::string_view value;
  while (next_attribute(attributes, found, value)) {
    if (equal_ignoring_case(found, name)) return value;
  }
  return std::nullopt;
}

void append_decoded(std::string& out, std::string_view raw) {
  constexpr char32_t kNoBreakSpace = 0xA0;
  constexpr char32_t kSoftHyphen = 0xAD;
  size_t from = 0;
  while (from < raw.size()) {
    const size_t at = std::min(raw.find('&', from), raw.size());
    out += raw.substr(from, at - from);
    if (at == raw.size()) return;
    const Reference reference = reference_at(raw, at);
    if (reference.length == 0) {
      out += '&';
    } else if (reference.code == kNoBreakSpace) {
      out += ' ';
    } else if (reference.code != kSoftHyphen) {
      append_code_point(out, reference.code);
    }
    from = at + std::max<size_t>(reference.length, 1);
  }
}

}  // namespace tessera::parse
