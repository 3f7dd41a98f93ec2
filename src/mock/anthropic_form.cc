// Anthropic's Messages: https://docs.anthropic.com/en/api/messages-streaming
#include <fmt/format.h>

#include <iterator>

#include "base/log.h"
#include "mock/form.h"

namespace tessera::mock {
namespace {

using base::append_json_string;

std::string_view stop_reason(std::string_view finish) {
  if (finish == "stop") return "end_turn";
  if (finish == "length") return "max_tokens";
  if (finish == "tool_calls") return "tool_use";
  return finish == "content_filter" ? std::string_view("refusal") : finish;
}

void append_usage(std::string& out, const Usage& usage, int64_t output) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":{},)"
                 R"("output_tokens":{},"service_tier":"standard"}})",
                 usage.prompt - usage.cached, usage.cached, output);
}

class AnthropicForm final : public Form {
 public:
  explicit AnthropicForm(AnswerHead head) : head_(std::move(head)) {}

  void begin(std::string& out, const Usage& usage) override {
    out += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":";
    append_head(out);
    out += R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":)";
    append_usage(out, usage, 1);
    out += "}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
  }

  void piece(std::string& out, const Piece& piece) override {
    if (piece.kind == Piece::Kind::tool_begin) {
      close_block(out);
      open_block(out);
      fmt::format_to(std::back_inserter(out), R"({{"type":"tool_use","id":"toolu_mock_{}_{}","name":)", head_.seq,
                     piece.tool);
      append_json_string(out, piece.text);
      out += ",\"input\":{}}}\n\n";
      return;
    }
    if (block_ < 0) {
      open_block(out);
      out += "{\"type\":\"text\",\"text\":\"\"}}\n\n";
    }
    fmt::format_to(std::back_inserter(out),
                   "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{}",
                   block_,
                   piece.kind == Piece::Kind::text ? R"({"type":"text_delta","text":)"
                                                   : R"({"type":"input_json_delta","partial_json":)");
    append_json_string(out, piece.text);
    out += "}}\n\n";
  }

  void end(std::string& out, std::string_view finish, const std::optional<Usage>& usage, bool done) override {
    close_block(out);
    out += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":";
    append_json_string(out, stop_reason(finish));
    out += R"(,"stop_sequence":null})";
    if (usage) {
      out += R"(,"usage":)";
      append_usage(out, *usage, usage->completion);
    }
    out += "}\n\n";
    if (done) out += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
  }

  void error_event(std::string& out, std::string_view message) override {
    out += "event: error\ndata: ";
    out += error_body(Dialect::anthropic, 529, "", message);
    out += "\n\n";
  }

  std::string whole(const std::vector<WholeChoice>& choices, std::string_view finish,
                    const std::optional<Usage>& usage) override {
    std::string out;
    append_head(out);
    out += R"(,"content":[)";
    const WholeChoice& choice = choices.front();
    if (choice.calls.empty()) {
      out += R"({"type":"text","text":)";
      append_json_string(out, choice.text);
      out += '}';
    }
    for (size_t i = 0; i < choice.calls.size(); ++i) {
      fmt::format_to(std::back_inserter(out), R"({}{{"type":"tool_use","id":"toolu_mock_{}_{}","name":)",
                     i > 0 ? "," : "", head_.seq, i);
      append_json_string(out, choice.calls[i].name);
      out += R"(,"input":)" + choice.calls[i].arguments + "}";
    }
    out += R"(],"stop_reason":)";
    append_json_string(out, stop_reason(finish));
    out += R"(,"stop_sequence":null,"usage":)";
    if (usage) {
      append_usage(out, *usage, usage->completion);
    } else {
      out += "null";
    }
    return out + "}";
  }

 private:
  void append_head(std::string& out) const {
    fmt::format_to(std::back_inserter(out), R"({{"id":"msg_mock_{}","type":"message","role":"assistant","model":)",
                   head_.seq);
    append_json_string(out, head_.model);
  }
  void open_block(std::string& out) {
    fmt::format_to(std::back_inserter(out),
                   "event: content_block_start\ndata: "
                   "{{\"type\":\"content_block_start\",\"index\":{},\"content_block\":",
                   ++block_);
  }
  void close_block(std::string& out) const {
    if (block_ < 0) return;
    fmt::format_to(std::back_inserter(out),
                   "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{}}}\n\n", block_);
  }

  AnswerHead head_;
  int block_ = -1;
};

}  // namespace

std::unique_ptr<Form> anthropic_form(AnswerHead head) {
  return std::make_unique<AnthropicForm>(std::move(head));
}

}  // namespace tessera::mock
