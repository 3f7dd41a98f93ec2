#include "mock/ask.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>

#include "mock/ask_places.h"

namespace tessera::mock {
namespace {

namespace json = boost::json;
using base::Result;
using boost::system::error_code;

constexpr size_t kDepthMax = 64;

Atom messages_of(Dialect dialect) {
  return dialect == Dialect::gemini ? Atom::contents : dialect == Dialect::responses ? Atom::input : Atom::messages;
}

/// Takes from the parser's events what an Ask holds.
class Reader {
 public:
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;

  explicit Reader(Ask& ask) : ask_(ask) {}

  bool has_object = false;
  bool has_input = false;
  std::string wrong;  ///< a field of the wrong type

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    if (depth_ == 0) has_object = true;
    return open(Atom::other);
  }
  bool on_array_begin(error_code&) { return open(Atom::item); }
  bool on_object_end(size_t, error_code&) {
    close();
    if (here() == place(messages_of(ask_.dialect), Atom::item)) end_message();
    if (here() == place(Atom::tools, Atom::item, Atom::function_declarations, Atom::item)) ++ask_.tools;
    if (here() == place(Atom::tools, Atom::item) && ask_.dialect != Dialect::gemini) ++ask_.tools;
    return true;
  }
  bool on_array_end(size_t, error_code&) {
    close();
    if (here() == place(Atom::input, Atom::item)) end_token_input();
    if (here() == place(Atom::input) && token_count_ > 0) end_token_input();
    return true;
  }
  bool on_key_part(std::string_view part, size_t, error_code&) {
    key_ += part;
    return true;
  }
  bool on_key(std::string_view part, size_t, error_code&) {
    key_ += part;
    names_[depth_ - 1] = atom_of(key_);
    if (depth_ == 1 && ask_.fields.size() < Ask::kFieldsMax) ask_.fields.push_back(key_.substr(0, 100));
    if (at_mock()) mock_name_ = key_;
    key_.clear();
    return true;
  }
  bool on_string_part(std::string_view part, size_t, error_code&) {
    if (!in_string_) begin_string();
    if (kept_ != nullptr && kept_->size() < kept_max_) kept_->append(part.substr(0, kept_max_ - kept_->size()));
    return true;
  }
  bool on_string(std::string_view part, size_t size, error_code& error) {
    on_string_part(part, size, error);
    in_string_ = false;
    end_string(size);
    return true;
  }
  bool on_number_part(std::string_view, error_code&) { return true; }
  bool on_int64(int64_t value, std::string_view, error_code&) { return number(value, true); }
  bool on_uint64(uint64_t value, std::string_view, error_code&) {
    return number(static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX)), true);
  }
  bool on_double(double, std::string_view text, error_code&) {
    if (at_mock()) return directive(std::string(text));
    return number(0, false);
  }
  bool on_bool(bool value, error_code&) {
    if (at_mock()) return directive(value ? "true" : "false");
    switch (here()) {
      case place(Atom::stream):
        ask_.stream = value;
        break;
      case place(Atom::stream_options, Atom::include_usage):
        ask_.include_usage = value;
        break;
      case place(Atom::logprobs):
        ask_.logprobs = value;
        break;
      case place(Atom::mock):
        wrong = "mock";
        break;
      default:
        break;
    }
    return true;
  }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(std::string_view, error_code&) { return true; }
  bool on_comment(std::string_view, error_code&) { return true; }

 private:
  [[nodiscard]] bool at_mock() const { return depth_ == 2 && names_[0] == Atom::mock && mock_open_; }

  [[nodiscard]] Place here() const {
    if (depth_ > 8) return kNowhere;
    Place result = 0;
    for (size_t i = 0; i < depth_; ++i) result = result << 8U | static_cast<Place>(names_[i]) + 1;
    return result;
  }

  bool open(Atom inside) {
    if (here() == place(Atom::mock)) {
      mock_open_ = inside == Atom::other;
      if (!mock_open_) wrong = "mock";
    }
    names_[depth_++] = inside;
    return true;
  }
  void close() {
    --depth_;
    if (here() == place(Atom::mock)) mock_open_ = false;
  }

  void begin_string() {
    in_string_ = true;
    scratch_.clear();
    kept_ = nullptr;
    kept_max_ = 1024;
    switch (here()) {
      case place(Atom::model):
        kept_ = &ask_.model;
        break;
      case place(Atom::user):
        kept_ = &ask_.user;
        break;
      case place(Atom::input):
      case place(Atom::input, Atom::item):
        kept_ = &ask_.inputs.emplace_back();
        kept_max_ = SIZE_MAX;
        break;
      case place(Atom::messages, Atom::item, Atom::content):
      case place(Atom::messages, Atom::item, Atom::content, Atom::item, Atom::text):
      case place(Atom::contents, Atom::item, Atom::parts, Atom::item, Atom::text):
      case place(Atom::input, Atom::item, Atom::content):
      case place(Atom::input, Atom::item, Atom::content, Atom::item, Atom::text):
        kept_ = &message_;
        kept_max_ = Ask::kEchoMax;
        return;  // pieces of one message are joined
      case place(Atom::messages, Atom::item, Atom::role):
      case place(Atom::contents, Atom::item, Atom::role):
      case place(Atom::input, Atom::item, Atom::role):
        kept_ = &role_;
        break;
      case place(Atom::tools, Atom::item, Atom::function, Atom::name):
      case place(Atom::tools, Atom::item, Atom::name):
      case place(Atom::tools, Atom::item, Atom::function_declarations, Atom::item, Atom::name):
        kept_ = ask_.tool.empty() ? &ask_.tool : &scratch_;
        break;
      default:
        kept_ = &scratch_;
        if (at_mock()) kept_max_ = Ask::kEchoMax;
        break;
    }
    kept_->clear();
  }

  void end_string(size_t size) {
    if (at_mock()) {
      directive(scratch_);
      return;
    }
    switch (here()) {
      case place(Atom::mock):
        for (Directive& each : parse_directives(scratch_)) ask_.directives.push_back(std::move(each));
        break;
      case place(Atom::input):
      case place(Atom::input, Atom::item):
        has_input = true;
        ask_.prompt_bytes += size;
        break;
      case place(Atom::messages, Atom::item, Atom::content):
      case place(Atom::messages, Atom::item, Atom::content, Atom::item, Atom::text):
      case place(Atom::contents, Atom::item, Atom::parts, Atom::item, Atom::text):
      case place(Atom::input, Atom::item, Atom::content):
      case place(Atom::input, Atom::item, Atom::content, Atom::item, Atom::text):
      case place(Atom::instructions):
      case place(Atom::system):
      case place(Atom::system, Atom::item, Atom::text):
      case place(Atom::system, Atom::parts, Atom::item, Atom::text):
        ask_.prompt_bytes += size;
        break;
      case place(Atom::tool_choice):
        ask_.tool_demanded = scratch_ == "required" || scratch_ == "any";
        break;
      case place(Atom::tool_choice, Atom::type):
        ask_.tool_demanded = scratch_ == "any" || scratch_ == "tool" || scratch_ == "function";
        break;
      case place(Atom::tool_config, Atom::function_calling_config, Atom::mode):
        ask_.tool_demanded = scratch_ == "ANY" || scratch_ == "any";
        break;
      case place(Atom::tool_choice, Atom::name):
      case place(Atom::tool_choice, Atom::function, Atom::name):
      case place(Atom::tool_config, Atom::function_calling_config, Atom::allowed_function_names, Atom::item):
        demanded_ = scratch_;
        break;
      case place(Atom::response_format, Atom::type):
      case place(Atom::text, Atom::format, Atom::type):
        ask_.json = scratch_ != "text";
        break;
      case place(Atom::encoding_format):
        ask_.base64 = scratch_ == "base64";
        break;
      case place(Atom::stream):
        wrong = "stream";
        break;
      default:
        break;
    }
  }

  bool number(int64_t value, bool whole) {
    if (at_mock()) return directive(std::to_string(value));
    const auto take = [&](auto& into, std::string_view name, int64_t least, int64_t most) {
      if (!whole || value < least || value > most) {
        wrong = name;
      } else {
        into = value;
      }
    };
    switch (here()) {
      case place(Atom::n):
        take(ask_.choices, "n", 1, 128);
        break;
      case place(Atom::max_tokens):
        take(ask_.max_tokens, "max_tokens", 1, INT32_MAX);
        break;
      case place(Atom::max_completion_tokens):
        take(ask_.max_tokens, "max_completion_tokens", 1, INT32_MAX);
        break;
      case place(Atom::generation_config, Atom::max_output_tokens):
      case place(Atom::max_output_tokens):
        take(ask_.max_tokens, "maxOutputTokens", 1, INT32_MAX);
        break;
      case place(Atom::dimensions):
        take(ask_.dimensions, "dimensions", 1, 8192);
        break;
      case place(Atom::input, Atom::item):
      case place(Atom::input, Atom::item, Atom::item):
        add_token(value);
        break;
      case place(Atom::mock):
        wrong = "mock";
        break;
      default:
        break;
    }
    return true;
  }

  /// An input of token numbers is text to us: the numbers.
  void add_token(int64_t value) {
    ++token_count_;
    scratch_tokens_ += std::to_string(value) + ' ';
  }
  void end_token_input() {
    if (token_count_ == 0) return;
    has_input = true;
    ask_.inputs.push_back(std::move(scratch_tokens_));
    ask_.prompt_bytes += 4 * static_cast<uint64_t>(token_count_);
    scratch_tokens_.clear();
    token_count_ = 0;
  }

  bool directive(std::string value) {
    if (ask_.directives.size() < 64) ask_.directives.emplace_back(mock_name_, std::move(value));
    return true;
  }

  void end_message() {
    ++ask_.messages;
    if (role_ == "user" || role_.empty()) ask_.last_user = std::move(message_);
    message_.clear();
    role_.clear();
  }

 public:
  void end() {
    if (!demanded_.empty()) ask_.tool = demanded_;
  }

 private:
  Ask& ask_;
  std::array<Atom, kDepthMax + 2> names_{};
  size_t depth_ = 0;
  bool in_string_ = false;
  bool mock_open_ = false;
  std::string key_;
  std::string scratch_;
  std::string* kept_ = nullptr;
  size_t kept_max_ = 0;
  std::string message_;
  std::string role_;
  std::string demanded_;
  std::string mock_name_;
  std::string scratch_tokens_;
  int64_t token_count_ = 0;
};

std::unexpected<base::Error> bad_field(std::string name, std::string_view what) {
  std::string message = "\"" + name + "\" " + std::string(what);
  return base::fail(base::Code::invalid, "BAD_FIELD", std::move(message), "", std::move(name));
}

}  // namespace

std::string_view to_string(Dialect dialect) {
  switch (dialect) {
    case Dialect::openai:
      return "openai";
    case Dialect::embeddings:
      return "embeddings";
    case Dialect::responses:
      return "responses";
    case Dialect::transcription:
      return "transcription";
    case Dialect::anthropic:
      return "anthropic";
    case Dialect::gemini:
      return "gemini";
  }
  return "";
}

int64_t Ask::prompt_tokens() const {
  return std::max<int64_t>(1, static_cast<int64_t>((prompt_bytes + 3) / 4));
}

Result<Ask> read_ask(Dialect dialect, std::string_view body) {
  Ask ask;
  ask.dialect = dialect;
  json::parse_options options;
  options.max_depth = kDepthMax;
  json::basic_parser<Reader> parser(options, ask);
  error_code error;
  const size_t used = parser.write_some(false, body.data(), body.size(), error);
  if (!error && used < body.size()) error = json::error::extra_data;
  if (error) {
    return base::fail(base::Code::invalid, "BAD_JSON",
                      "the body is no JSON: " + error.message() + " at byte " + std::to_string(used));
  }
  Reader& reader = parser.handler();
  reader.end();
  if (!reader.has_object) return base::fail(base::Code::invalid, "BAD_JSON", "the body must be a JSON object");
  if (!reader.wrong.empty()) return bad_field(reader.wrong, "is of the wrong type or out of its range");
  if (dialect != Dialect::openai) ask.choices = 1;
  if (dialect == Dialect::embeddings) {
    if (!reader.has_input) return bad_field("input", "must be a text, token numbers or a list of either");
    return ask;
  }
  if (dialect == Dialect::responses) {
    ask.include_usage = true;
    if (ask.messages == 0 && ask.inputs.size() == 1) {
      ask.messages = 1;
      ask.last_user = ask.inputs.front().substr(0, Ask::kEchoMax);
    }
    if (ask.messages == 0) return bad_field("input", "must be a text or a list of messages");
    return ask;
  }
  if (ask.messages == 0) {
    return bad_field(dialect == Dialect::gemini ? "contents" : "messages", "must be a list of at least one message");
  }
  return ask;
}

}  // namespace tessera::mock
