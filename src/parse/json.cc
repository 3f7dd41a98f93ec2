#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <optional>
#include <string>
#include <vector>

#include "parse/decode.h"
#include "parse/source.h"
#include "parse/text_builder.h"

namespace tessera::parse {
namespace {

namespace json = boost::json;

constexpr size_t kDepthMax = 64;
constexpr size_t kTitleBytesMax = 512;

/// Receives the parser's events and writes "path: value" lines, so memory does not grow with the number of values.
/// Scalars of one array share a line ("tags: a, b"). Elements of a root array, and the values of NDJSON, are records:
/// one block each.
class Flattener {
 public:
  // What json::basic_parser asks of a handler.
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  Flattener(size_t text_bytes_max, bool lines) : builder_(text_bytes_max), lines_(lines) {}

  TextBuilder& builder() { return builder_; }
  std::string& title() { return title_; }

  bool on_document_begin(json::error_code&) {
    if (lines_) builder_.open_block();
    return true;
  }
  bool on_document_end(json::error_code&) {
    if (lines_) builder_.close_block();
    return going();
  }
  bool on_object_begin(json::error_code&) { return begin(false); }
  bool on_object_end(std::size_t, json::error_code&) { return end(); }
  bool on_array_begin(json::error_code&) { return begin(true); }
  bool on_array_end(std::size_t, json::error_code&) { return end(); }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    std::erase(key_, '\0');
    std::swap(frames_.back().key, key_);
    key_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    value_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    value_.append(part.data(), part.size());
    std::erase(value_, '\0');
    offer_title();
    return scalar();
  }
  bool on_number_part(json::string_view part, json::error_code&) {
    value_.append(part.data(), part.size());
    return true;
  }
  // The digits as written say more than the number they round to.
  bool on_int64(std::int64_t, json::string_view part, json::error_code&) { return number(part); }
  bool on_uint64(std::uint64_t, json::string_view part, json::error_code&) { return number(part); }
  bool on_double(double, json::string_view part, json::error_code&) { return number(part); }
  bool on_bool(bool value, json::error_code&) {
    value_ = value ? "true" : "false";
    return scalar();
  }
  bool on_null(json::error_code&) {
    ++frames_position();
    return going();
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  struct Frame {
    bool array = false;
    bool line_open = false;  // the last line is this array's
    size_t position = 0;     // elements seen
    std::string key;
  };

  [[nodiscard]] bool going() const { return !builder_.overflowed(); }

  /// Elements of the innermost container so far.
  size_t& frames_position() { return frames_.empty() ? roots_ : frames_.back().position; }

  [[nodiscard]] bool in_root_array() const { return !lines_ && frames_.size() == 1 && frames_.front().array; }

  bool begin(bool array) {
    close_line();
    if (in_root_array()) builder_.open_block();
    frames_.push_back({.array = array, .line_open = false, .position = 0, .key = {}});
    return going();
  }

  bool end() {
    frames_.pop_back();
    if (in_root_array()) builder_.close_block();
    ++frames_position();
    return going();
  }

  void close_line() {
    if (!frames_.empty()) frames_.back().line_open = false;
  }

  bool number(json::string_view part) {
    value_.append(part.data(), part.size());
    return scalar();
  }

  bool scalar() {
    const bool in_array = !frames_.empty() && frames_.back().array && !in_root_array();
    if (value_.find_first_not_of(" \t\r\n\f\v") != std::string::npos) {
      if (in_array && frames_.back().line_open) {
        builder_.separator(", ");
      } else {
        builder_.line_break();
        write_path();
      }
      builder_.flow(value_);
      if (in_array) frames_.back().line_open = true;
    }
    value_.clear();
    ++frames_position();
    return going();
  }

  /// "user.address[2].street: ", without the root array's index. The array a scalar stands in shows no index.
  void write_path() {
    bool first = true;
    for (size_t i = 0; i < frames_.size() && going(); ++i) {
      const Frame& frame = frames_[i];
      if (!frame.array) {
        if (!first) builder_.separator(".");
        builder_.flow(frame.key);
        first = false;
      } else if (i + 1 < frames_.size() && !(i == 0 && !lines_)) {
        builder_.separator(fmt::format("[{}]", frame.position));
        first = false;
      }
    }
    if (!first) builder_.flow(": ");
  }

  /// A root object names itself.
  void offer_title() {
    if (frames_.size() != 1 || frames_.front().array || lines_) return;
    const std::string& key = frames_.front().key;
    if (key == "title" || (key == "name" && title_.empty())) title_ = one_line(value_, kTitleBytesMax);
  }

  TextBuilder builder_;
  bool lines_;
  std::vector<Frame> frames_;
  size_t roots_ = 0;
  std::string key_;
  std::string value_;
  std::string title_;
};

base::Error invalid_json(std::string_view text, size_t at, const json::error_code& error) {
  const auto line = static_cast<size_t>(std::ranges::count(text.substr(0, at), '\n')) + 1;
  if (error == json::error::too_deep) {
    return unreadable(
        fmt::format("The JSON is nested deeper than {} levels at line {}. Send it flatter.", kDepthMax, line));
  }
  return unreadable(fmt::format("The JSON is not valid at line {}: {}.", line, error.message()));
}

size_t skip_space(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(" \t\n\r", at), text.size());
}

}  // namespace

base::Result<core::ParsedDocument> parse_json(const Source& source) {
  const std::string text = decode_text(source.bytes, source.charset);
  const bool lines = source.format == Format::json_lines;
  json::parse_options options;
  options.max_depth = kDepthMax;
  json::basic_parser<Flattener> parser(options, source.limits.text_bytes_max, lines);
  Flattener& flattener = parser.handler();
  size_t at = skip_space(text, 0);
  while (at < text.size()) {
    json::error_code error;
    parser.reset();
    const size_t line_end = lines ? std::min(text.find('\n', at), text.size()) : text.size();
    const size_t used = parser.write_some(false, text.data() + at, line_end - at, error);
    if (flattener.builder().overflowed()) return std::unexpected(text_too_large(source.limits.text_bytes_max));
    if (error) return std::unexpected(invalid_json(text, at + used, error));
    at = skip_space(text, at + used);
    if (at < text.size() && (!lines || at < line_end))
      return std::unexpected(invalid_json(text, at, json::error::extra_data));
  }
  core::ParsedDocument document;
  document.text = flattener.builder().take_text();
  document.structure = flattener.builder().take_structure();
  document.title = std::move(flattener.title());
  return document;
}

}  // namespace tessera::parse
