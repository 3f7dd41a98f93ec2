#include "parse/front_matter.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace tessera::parse {
namespace {

using base::Code;

constexpr size_t kBytesMax = 64UL << 10;
constexpr size_t kDepthMax = 16;
constexpr size_t kKeyBytesMax = 256;
constexpr size_t kListItemsMax = 4096;
// Two places are left for the fields the Markdown reader adds, `tags` and `links`.
constexpr size_t kFieldsMax = core::kMetadataFieldsMax - 2;

base::Error invalid(size_t line, std::string_view why) {
  return base::make_error(
      Code::invalid, "INVALID_FRONT_MATTER",
      fmt::format(
          "The front matter is not valid at line {}: {}. Correct it, or remove the block between the '---' lines.",
          line, why));
}

/// Thrown out of yaml-cpp's callbacks and caught in read_front_matter.
struct Refusal {
  size_t line;
  std::string why;
};

/// Lines of the file: the opening "---" is line 1, and the parser counts from 0.
size_t line_of(const YAML::Mark& mark) {
  return static_cast<size_t>(std::max(mark.line, 0)) + 2;
}

/// The YAML 1.2 core schema for plain scalars.
core::MetadataValue typed(const std::string& value) {
  if (value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL") return std::monostate{};
  if (value == "true" || value == "True" || value == "TRUE") return true;
  if (value == "false" || value == "False" || value == "FALSE") return false;
  const char first = value.front();
  if ((first < '0' || first > '9') && first != '-' && first != '+' && first != '.') return value;
  const char* begin = value.data() + (first == '+' ? 1 : 0);
  const char* end = value.data() + value.size();
  int64_t integer = 0;
  if (const auto [p, error] = std::from_chars(begin, end, integer); error == std::errc() && p == end) {
    // A leading zero is a postcode or a phone number, not an amount.
    const size_t digits = first == '-' || first == '+' ? 1 : 0;
    if (value.size() > digits + 1 && value[digits] == '0') return value;
    return integer;
  }
  double real = 0;
  if (const auto [p, error] = std::from_chars(begin, end, real); error == std::errc() && p == end && real - real == 0)
    return real;
  return value;
}

/// Builds the flat metadata from the parser's events; no node tree, so nothing can expand.
class Flattener final : public YAML::EventHandler {
 public:
  explicit Flattener(core::Metadata& out) : out_(out) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { scalar(mark, {}, false); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refusal{line_of(mark), "aliases ('*name') are not read"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    scalar(mark, value, tag == "!");
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    push(mark, false);
    ++lists_;
  }
  void OnSequenceEnd() override {
    const bool empty = frames_.back().empty;
    const size_t line = frames_.back().line;
    frames_.pop_back();
    if (--lists_ == 0 && empty) field(line) = std::vector<std::string>();
    value_done();
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    push(mark, true);
  }
  void OnMapEnd() override {
    frames_.pop_back();
    value_done();
  }

 private:
  struct Frame {
    bool map = false;
    bool key_next = true;
    bool empty = true;
    size_t line = 0;
    std::string key;
    std::vector<std::string> seen;
  };

  void push(const YAML::Mark& mark, bool map) {
    if (frames_.empty() && !map) throw Refusal{line_of(mark), "it must consist of 'name: value' lines"};
    if (!frames_.empty() && frames_.back().map && frames_.back().key_next)
      throw Refusal{line_of(mark), "a name must be plain text"};
    if (frames_.size() == kDepthMax)
      throw Refusal{line_of(mark), fmt::format("it is nested deeper than {} levels", kDepthMax)};
    frames_.push_back({.map = map, .key_next = true, .empty = true, .line = line_of(mark), .key = {}, .seen = {}});
  }

  void scalar(const YAML::Mark& mark, const std::string& value, bool quoted) {
    if (frames_.empty()) {
      if (value.empty()) return;  // only comments
      throw Refusal{line_of(mark), "it must consist of 'name: value' lines"};
    }
    Frame& top = frames_.back();
    if (top.map && top.key_next) return key(mark, top, value);
    core::MetadataValue& target = field(line_of(mark));
    if (lists_ > 0) {
      if (!std::holds_alternative<std::vector<std::string>>(target)) target = std::vector<std::string>();
      auto& list = std::get<std::vector<std::string>>(target);
      if (list.size() == kListItemsMax)
        throw Refusal{line_of(mark), fmt::format("a list has more than {} items", kListItemsMax)};
      list.push_back(clean(value));
    } else if (quoted) {
      target = clean(value);
    } else {
      target = typed(clean(value));
    }
    value_done();
  }

  void key(const YAML::Mark& mark, Frame& top, const std::string& value) {
    if (value.empty() || value.size() > kKeyBytesMax)
      throw Refusal{line_of(mark), fmt::format("a name must have 1 to {} bytes", kKeyBytesMax)};
    std::string name = clean(value);
    if (std::ranges::find(top.seen, name) != top.seen.end()) throw Refusal{line_of(mark), "a name appears twice"};
    if (top.seen.size() == kFieldsMax) too_many(line_of(mark));
    top.seen.push_back(name);
    top.key = std::move(name);
    top.key_next = false;
  }

  void value_done() {
    if (frames_.empty()) return;
    frames_.back().key_next = true;
    frames_.back().empty = false;
  }

  /// The metadata field of the current position.
  core::MetadataValue& field(size_t line) {
    path_.clear();
    for (const Frame& frame : frames_) {
      if (!frame.map) continue;
      if (!path_.empty()) path_ += '.';
      path_ += frame.key;
    }
    if (out_.size() >= kFieldsMax && !out_.contains(path_)) too_many(line);
    return out_[path_];
  }

  [[noreturn]] static void too_many(size_t line) {
    throw Refusal{line, fmt::format("it has more than {} fields", kFieldsMax)};
  }

  /// Escapes such as "\0" can make what the file did not hold.
  static std::string clean(std::string value) {
    std::erase(value, '\0');
    return value;
  }

  core::Metadata& out_;
  std::vector<Frame> frames_;
  size_t lists_ = 0;  // sequences among frames_
  std::string path_;
};

struct Line {
  std::string_view text;
  size_t next = 0;
};

Line line_at(std::string_view source, size_t at) {
  const size_t end = std::min(source.find('\n', at), source.size());
  std::string_view text = source.substr(at, end - at);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return {.text = text, .next = std::min(end + 1, source.size())};
}

/// A document may open with a "---" rule; then a sentence follows, not a name with a colon.
bool could_be_yaml(std::string_view body) {
  size_t at = 0;
  while (at < body.size()) {
    const Line line = line_at(body, at);
    at = line.next;
    const size_t first = line.text.find_first_not_of(" \t");
    if (first == std::string_view::npos || line.text[first] == '#') continue;
    return line.text.find(':') != std::string_view::npos ||
           std::string_view("{[&*!%@\"'?").find(line.text[first]) != std::string_view::npos;
  }
  return true;  // empty or comments only
}

}  // namespace

base::Result<FrontMatter> read_front_matter(std::string_view source) {
  FrontMatter result;
  if (!source.starts_with("---")) return result;
  const Line opening = line_at(source, 0);
  if (opening.text != "---") return result;
  size_t at = opening.next;
  size_t body_end = std::string_view::npos;
  while (at < source.size()) {
    const Line line = line_at(source, at);
    if (line.text == "---" || line.text == "...") {
      body_end = at;
      at = line.next;
      break;
    }
    at = line.next;
  }
  if (body_end == std::string_view::npos) return result;
  const std::string_view body = source.substr(opening.next, body_end - opening.next);
  if (!could_be_yaml(body)) return result;
  if (body.size() > kBytesMax) return std::unexpected(invalid(1, fmt::format("it is longer than {} bytes", kBytesMax)));
  try {
    std::istringstream stream{std::string(body)};
    YAML::Parser parser(stream);
    Flattener flattener(result.fields);
    parser.HandleNextDocument(flattener);
  } catch (const Refusal& refusal) {
    return std::unexpected(invalid(refusal.line, refusal.why));
  } catch (const YAML::Exception& error) {
    return std::unexpected(invalid(line_of(error.mark), error.msg));
  }
  result.body_offset = at;
  return result;
}

}  // namespace tessera::parse
