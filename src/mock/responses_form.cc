// OpenAI's responses and transcriptions.
#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "base/log.h"
#include "mock/form.h"

namespace tessera::mock {
namespace {

using base::append_json_string;

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

class ResponsesForm final : public Form {
 public:
  explicit ResponsesForm(AnswerHead head) : head_(std::move(head)) {}

  void begin(std::string& out, const Usage&) override {
    for (const std::string_view type : {"response.created", "response.in_progress"}) {
      open(out, type);
      out += R"(,"response":)";
      append_response(out, "in_progress", {}, {});
      close(out);
    }
  }

  void piece(std::string& out, const Piece& piece) override {
    if (piece.kind == Piece::Kind::text) {
      if (items_.empty()) begin_message(out);
      items_.back().text += piece.text;
      open_part(out, "response.output_text.delta");
      out += R"(,"delta":)" + json_string(piece.text) + R"(,"logprobs":[])";
      close(out);
    } else if (piece.kind == Piece::Kind::tool_begin) {
      end_item(out);
      items_.push_back({.name = piece.text, .text = {}});
      item_event(out, "response.output_item.added", "in_progress");
    } else {
      items_.back().text += piece.text;
      open_call(out, "response.function_call_arguments.delta");
      out += R"(,"delta":)" + json_string(piece.text);
      close(out);
    }
  }

  void end(std::string& out, std::string_view finish, const std::optional<Usage>& usage, bool done) override {
    end_item(out);
    if (!done) return;
    const bool cut = finish == "length" || finish == "content_filter";
    open(out, cut ? "response.incomplete" : "response.completed");
    out += R"(,"response":)";
    append_response(out, cut ? "incomplete" : "completed", finish, usage);
    close(out);
  }

  void error_event(std::string& out, std::string_view message) override {
    open(out, "error");
    out += R"(,"code":"server_error","message":)" + json_string(message) + R"(,"param":null)";
    close(out);
  }

  std::string whole(const std::vector<WholeChoice>& choices, std::string_view finish,
                    const std::optional<Usage>& usage) override {
    const WholeChoice& choice = choices.front();
    if (choice.calls.empty()) items_.push_back({.name = {}, .text = choice.text});
    for (const WholeChoice::Call& call : choice.calls) items_.push_back({.name = call.name, .text = call.arguments});
    const bool cut = finish == "length" || finish == "content_filter";
    std::string out;
    append_response(out, cut ? "incomplete" : "completed", finish, usage);
    return out;
  }

 private:
  /// A message, or a call when it has a name.
  struct Item {
    std::string name;
    std::string text;  ///< or the call's arguments
  };

  void open(std::string& out, std::string_view type) {
    fmt::format_to(std::back_inserter(out), "event: {0}\ndata: {{\"type\":\"{0}\",\"sequence_number\":{1}", type,
                   number_++);
  }
  static void close(std::string& out) { out += "}\n\n"; }
  void open_call(std::string& out, std::string_view type) {
    open(out, type);
    fmt::format_to(std::back_inserter(out), R"(,"item_id":"{}","output_index":{})", item_id(items_.size() - 1),
                   items_.size() - 1);
  }
  void open_part(std::string& out, std::string_view type) {
    open_call(out, type);
    out += R"(,"content_index":0)";
  }

  [[nodiscard]] std::string item_id(size_t index) const {
    return fmt::format("{}_mock_{}_{}", items_[index].name.empty() ? "msg" : "fc", head_.seq, index);
  }
  static void append_part(std::string& out, std::string_view text) {
    out += R"({"type":"output_text","text":)" + json_string(text) + R"(,"annotations":[],"logprobs":[]})";
  }
  void append_item(std::string& out, size_t index, std::string_view status) const {
    const Item& item = items_[index];
    const bool begun = status == "in_progress";
    if (!item.name.empty()) {
      fmt::format_to(std::back_inserter(out),
                     R"({{"id":"{}","type":"function_call","status":"{}","call_id":"call_mock_{}_{}","name":{},)"
                     R"("arguments":{}}})",
                     item_id(index), status, head_.seq, index, json_string(item.name),
                     json_string(begun ? "" : item.text));
      return;
    }
    fmt::format_to(std::back_inserter(out),
                   R"({{"id":"{}","type":"message","status":"{}","role":"assistant","content":[)", item_id(index),
                   status);
    if (!begun) append_part(out, item.text);
    out += "]}";
  }

  void item_event(std::string& out, std::string_view type, std::string_view status) {
    open(out, type);
    fmt::format_to(std::back_inserter(out), R"(,"output_index":{},"item":)", items_.size() - 1);
    append_item(out, items_.size() - 1, status);
    close(out);
  }

  void begin_message(std::string& out) {
    items_.emplace_back();
    item_event(out, "response.output_item.added", "in_progress");
    open_part(out, "response.content_part.added");
    out += R"(,"part":)";
    append_part(out, "");
    close(out);
  }

  /// Closes the item at hand, if there is one.
  void end_item(std::string& out) {
    if (items_.empty()) return;
    const Item& item = items_.back();
    if (item.name.empty()) {
      open_part(out, "response.output_text.done");
      out += R"(,"text":)" + json_string(item.text) + R"(,"logprobs":[])";
      close(out);
      open_part(out, "response.content_part.done");
      out += R"(,"part":)";
      append_part(out, item.text);
      close(out);
    } else {
      open_call(out, "response.function_call_arguments.done");
      out += R"(,"name":)" + json_string(item.name) + R"(,"arguments":)" + json_string(item.text);
      close(out);
    }
    item_event(out, "response.output_item.done", "completed");
  }

  void append_response(std::string& out, std::string_view status, std::string_view finish,
                       const std::optional<Usage>& usage) const {
    fmt::format_to(std::back_inserter(out),
                   R"({{"id":"resp_mock_{}","object":"response","created_at":{},"status":"{}","error":null,)"
                   R"("incomplete_details":{},"instructions":null,"model":{},"output":[)",
                   head_.seq, head_.created, status,
                   status != "incomplete"       ? "null"
                   : finish == "content_filter" ? R"({"reason":"content_filter"})"
                                                : R"({"reason":"max_output_tokens"})",
                   json_string(head_.model));
    for (size_t i = 0; i < items_.size(); ++i) {
      if (i > 0) out += ',';
      append_item(out, i, status);
    }
    out += R"(],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"metadata":{},"temperature":1,"top_p":1)";
    if (usage) {
      fmt::format_to(
          std::back_inserter(out),
          R"(,"usage":{{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0}},"output_tokens":{},)"
          R"("output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}})",
          usage->prompt, usage->cached, usage->completion, usage->prompt + usage->completion);
    }
    out += '}';
  }

  AnswerHead head_;
  int64_t number_ = 0;
  std::vector<Item> items_;
};

class TranscriptionForm final : public Form {
 public:
  explicit TranscriptionForm(const Ask& ask) : plain_(ask.plain) {}

  void begin(std::string&, const Usage&) override {}
  void piece(std::string& out, const Piece& piece) override {
    text_ += piece.text;
    out += R"(data: {"type":"transcript.text.delta","delta":)" + json_string(piece.text) + "}\n\n";
  }
  void end(std::string& out, std::string_view, const std::optional<Usage>& usage, bool done) override {
    if (!done) return;
    out += R"(data: {"type":"transcript.text.done","text":)" + json_string(text_);
    append_usage(out, usage);
    out += "}\n\n";
  }
  void error_event(std::string& out, std::string_view message) override {
    out += "data: " + error_body(Dialect::transcription, 500, "", message) + "\n\n";
  }
  std::string whole(const std::vector<WholeChoice>& choices, std::string_view,
                    const std::optional<Usage>& usage) override {
    if (plain_) return choices.front().text + "\n";
    std::string out = R"({"text":)" + json_string(choices.front().text);
    append_usage(out, usage);
    return out + "}";
  }
  [[nodiscard]] std::string_view whole_type() const override {
    return plain_ ? "text/plain; charset=utf-8" : "application/json";
  }

 private:
  static void append_usage(std::string& out, const std::optional<Usage>& usage) {
    if (!usage) return;
    fmt::format_to(std::back_inserter(out),
                   R"(,"usage":{{"type":"tokens","input_tokens":{},"output_tokens":{},"total_tokens":{}}})",
                   usage->prompt, usage->completion, usage->prompt + usage->completion);
  }

  bool plain_;
  std::string text_;
};

}  // namespace

std::unique_ptr<Form> responses_form(AnswerHead head) {
  return std::make_unique<ResponsesForm>(std::move(head));
}
std::unique_ptr<Form> transcription_form(const Ask& ask) {
  return std::make_unique<TranscriptionForm>(ask);
}

}  // namespace tessera::mock
