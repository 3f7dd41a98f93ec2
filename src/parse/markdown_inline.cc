#include "parse/markdown_inline.h"

#include <algorithm>
#include <array>

#include "parse/text_builder.h"
#include "text/utf8.h"

namespace tessera::parse {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kWikilinkBytesMax = 1024;
constexpr size_t kTagBytesMax = 128;
constexpr size_t kListMax = 4096;
constexpr size_t kTitleBytesMax = 512;

constexpr std::array<bool, 256> kInteresting = [] {
  std::array<bool, 256> table{};
  for (const unsigned char c : {'`', '[', '#', '\\'}) table[c] = true;
  return table;
}();

bool is_tag_byte(char raw) {
  const auto c = static_cast<unsigned char>(raw);
  return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-' ||
         c == '/';
}

size_t run_length_at(std::string_view s, size_t at) {
  return std::min(s.find_first_not_of(s[at], at), s.size()) - at;
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

/// What Obsidian shows for a target without alias: "Note#Part" as "Note > Part".
std::string shown_target(std::string_view target) {
  std::string out;
  while (true) {
    const size_t hash = std::min(target.find('#'), target.size());
    const std::string_view part = trim(target.substr(0, hash));
    if (!part.empty()) {
      if (!out.empty()) out += " > ";
      out += part;
    }
    if (hash == target.size()) return out;
    target.remove_prefix(hash + 1);
  }
}

void split_words(std::string_view words, auto&& take) {
  size_t at = 0;
  while ((at = words.find_first_not_of(", \t\n", at)) != kNone) {
    const size_t end = std::min(words.find_first_of(", \t\n", at), words.size());
    take(words.substr(at, end - at));
    at = end;
  }
}

}  // namespace

void MarkdownInline::UniqueList::add(std::string_view item) {
  if (item.empty() || items.size() >= kListMax) return;
  if (seen.emplace(item).second) items.emplace_back(item);
}

void MarkdownInline::append_line(std::string_view line) {
  copied_ = 0;
  unclosed_runs_ = 0;
  size_t i = 0;
  while (i < line.size()) {
    if (!kInteresting[static_cast<unsigned char>(line[i])]) {
      ++i;
      continue;
    }
    switch (line[i]) {
      case '\\':
        i += 2;
        break;
      case '`':
        i = code_span(line, i);
        break;
      case '[':
        i = wikilink(line, i);
        break;
      default:
        i = tag(line, i);
        break;
    }
  }
  out_ += line.substr(copied_);
}

size_t MarkdownInline::code_span(std::string_view line, size_t at) {
  const size_t length = run_length_at(line, at);
  const size_t after = at + length;
  if (length >= 32 || (unclosed_runs_ >> length & 1) != 0) return after;
  size_t i = after;
  while ((i = line.find('`', i)) != kNone) {
    const size_t run = run_length_at(line, i);
    i += run;
    if (run == length) return i;
  }
  unclosed_runs_ |= 1U << length;
  return after;
}

size_t MarkdownInline::wikilink(std::string_view line, size_t at) {
  if (at + 1 >= line.size() || line[at + 1] != '[') return at + 1;
  const std::string_view rest = line.substr(at + 2, kWikilinkBytesMax);
  const size_t end = rest.find_first_of("[]");
  if (end == kNone || end == 0 || !rest.substr(end).starts_with("]]")) return at + 1;
  const std::string_view inner = rest.substr(0, end);
  const size_t bar = std::min(inner.find('|'), inner.size());
  std::string_view target = inner.substr(0, bar);
  if (bar < inner.size() && target.ends_with('\\')) target.remove_suffix(1);  // "\|" inside a table
  target = trim(target);
  const std::string_view alias = bar < inner.size() ? trim(inner.substr(bar + 1)) : std::string_view();
  links_.add(trim(target.substr(0, target.find('#'))));
  const bool embed = at > 0 && line[at - 1] == '!';
  out_ += line.substr(copied_, at - (embed && at > copied_ ? 1 : 0) - copied_);
  out_ += alias.empty() ? shown_target(target) : std::string(alias);
  copied_ = at + 2 + end + 2;
  return copied_;
}

size_t MarkdownInline::tag(std::string_view line, size_t at) {
  if (at > 0 && line[at - 1] != ' ' && line[at - 1] != '\t') return at + 1;
  size_t end = at + 1;
  bool has_letter = false;
  while (end < line.size() && is_tag_byte(line[end])) {
    has_letter = has_letter || line[end] < '0' || line[end] > '9';
    ++end;
  }
  std::string_view name = line.substr(at + 1, end - at - 1);
  while (name.ends_with('/') || name.ends_with('-')) name.remove_suffix(1);
  if (has_letter && name.size() <= kTagBytesMax) tags_.add(name);
  return end;
}

void MarkdownInline::move_into(core::Metadata& metadata) {
  UniqueList all;
  const auto add = [&](std::string_view name) {
    while (name.starts_with('#')) name.remove_prefix(1);
    all.add(name);
  };
  for (const std::string_view field : {"tags", "tag"}) {
    const auto it = metadata.find(field);
    if (it == metadata.end()) continue;
    if (const auto* list = std::get_if<std::vector<std::string>>(&it->second)) {
      for (const std::string& name : *list) add(trim(name));
    } else if (const auto* words = std::get_if<std::string>(&it->second)) {
      split_words(*words, add);
    } else if (const auto* number = std::get_if<int64_t>(&it->second)) {
      add(std::to_string(*number));
    }
    metadata.erase(it);
  }
  for (const std::string& name : tags_.items) add(name);
  if (!all.items.empty()) metadata.insert_or_assign("tags", std::move(all.items));
  if (!links_.items.empty()) metadata.insert_or_assign("links", std::move(links_.items));
}

std::string plain_title(std::string_view markdown) {
  std::string out;
  for (size_t i = 0; i < markdown.size() && (out.size() <= kTitleBytesMax || !text::is_boundary(markdown, i)); ++i) {
    const char c = markdown[i];
    if (c == '\\' && i + 1 < markdown.size() && !is_tag_byte(markdown[i + 1])) {
      out += markdown[++i];
    } else if (c == '*' || c == '`') {
      continue;
    } else if (c == ']' && i + 1 < markdown.size() && markdown[i + 1] == '(') {
      const size_t close = markdown.substr(0, std::min(markdown.size(), i + kWikilinkBytesMax)).find(')', i);
      const size_t open = out.rfind('[');
      if (close == kNone || open == std::string::npos) {
        out += c;
        continue;
      }
      out.erase(open - (open > 0 && out[open - 1] == '!' ? 1 : 0), 1 + (open > 0 && out[open - 1] == '!' ? 1 : 0));
      i = close;
    } else {
      out += c;
    }
  }
  return one_line(out, kTitleBytesMax);
}

}  // namespace tessera::parse
