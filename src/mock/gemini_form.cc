// Google's generateContent: https://ai.google.dev/api/generate-content
#include <fmt/format.h>

#include <iterator>

#include "base/log.h"
#include "mock/form.h"

namespace tessera::mock {
namespace {

using base::append_json_string;

std::string_view finish_reason(std::string_view finish) {
  if (finish == "stop" || finish == "tool_calls") return "STOP";
  if (finish == "length") return "MAX_TOKENS";
  return finish == "content_filter" ? std::string_view("SAFETY") : finish;
}

/// Tool calls come whole, so the pieces of their arguments are gathered.
class GeminiForm final : public Form {
 public:
  GeminiForm(const Ask& ask, AnswerHead head) : ask_(ask), head_(std::move(head)) {}

  void begin(std::string& out, const Usage& usage) override {
    so_far_ = {.prompt = usage.prompt, .cached = usage.cached, .completion = 0};
    if (ask_.array_stream) out += '[';
  }

  void piece(std::string& out, const Piece& piece) override {
    so_far_.completion += piece.tokens;
    if (piece.kind == Piece::Kind::text) {
      std::string part = R"({"text":)";
      append_json_string(part, piece.text);
      return event(out, part + "}", {}, so_far_);
    }
    if (piece.kind == Piece::Kind::tool_begin) {
      flush_call(out);
      call_ = {.name = piece.text, .arguments = {}};
    } else {
      call_.arguments += piece.text;
    }
  }

  void end(std::string& out, std::string_view finish, const std::optional<Usage>& usage, bool done) override {
    flush_call(out);
    event(out, R"({"text":""})", finish_reason(finish), usage);
    if (done && ask_.array_stream) out += ']';
  }

  void error_event(std::string& out, std::string_view message) override {
    frame(out, error_body(Dialect::gemini, 503, "", message));
  }

  std::string whole(const std::vector<WholeChoice>& choices, std::string_view finish,
                    const std::optional<Usage>& usage) override {
    std::string parts;
    const WholeChoice& choice = choices.front();
    if (choice.calls.empty()) {
      parts = R"({"text":)";
      append_json_string(parts, choice.text);
      parts += '}';
    }
    for (const WholeChoice::Call& call : choice.calls) {
      if (!parts.empty()) parts += ',';
      parts += call_json(call);
    }
    std::string out;
    append_object(out, parts, finish_reason(finish), usage);
    return out;
  }

  [[nodiscard]] std::string_view stream_type() const override {
    return ask_.array_stream ? "application/json; charset=UTF-8" : "text/event-stream";
  }

 private:
  static std::string call_json(const WholeChoice::Call& call) {
    std::string out = R"({"functionCall":{"name":)";
    append_json_string(out, call.name);
    return out + R"(,"args":)" + (call.arguments.empty() ? "{}" : call.arguments) + "}}";
  }

  void flush_call(std::string& out) {
    if (call_.name.empty()) return;
    event(out, call_json(call_), {}, so_far_);
    call_ = {};
  }

  void frame(std::string& out, std::string_view object) {
    if (ask_.array_stream) {
      if (!first_) out += ",\r\n";
      out += object;
    } else {
      out += "data: ";
      out += object;
      out += "\r\n\r\n";
    }
    first_ = false;
  }

  void event(std::string& out, std::string_view parts, std::string_view finish, const std::optional<Usage>& usage) {
    std::string object;
    append_object(object, parts, finish, usage);
    frame(out, object);
  }

  void append_object(std::string& out, std::string_view parts, std::string_view finish,
                     const std::optional<Usage>& usage) const {
    out += R"({"candidates":[{"content":{"parts":[)";
    out += parts;
    out += R"(],"role":"model"})";
    if (!finish.empty()) fmt::format_to(std::back_inserter(out), R"(,"finishReason":"{}")", finish);
    out += R"(,"index":0}])";
    if (usage) {
      fmt::format_to(std::back_inserter(out),
                     R"(,"usageMetadata":{{"promptTokenCount":{},"candidatesTokenCount":{},"totalTokenCount":{},)"
                     R"("cachedContentTokenCount":{}}})",
                     usage->prompt, usage->completion, usage->prompt + usage->completion, usage->cached);
    }
    out += R"(,"modelVersion":)";
    append_json_string(out, head_.model);
    fmt::format_to(std::back_inserter(out), R"(,"responseId":"mock-{}"}})", head_.seq);
  }

  const Ask& ask_;
  AnswerHead head_;
  Usage so_far_;
  WholeChoice::Call call_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<Form> gemini_form(const Ask& ask, AnswerHead head) {
  return std::make_unique<GeminiForm>(ask, std::move(head));
}

}  // namespace tessera::mock
