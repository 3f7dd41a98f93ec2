// OpenAI's wire format: chat completions, models, errors.
#include <fmt/format.h>

#include <iterator>

#include "base/log.h"
#include "mock/form.h"

namespace tessera::mock {
namespace {

using base::append_json_string;

constexpr int64_t kModelCreated = 1'735'689'600;

void append_usage(std::string& out, const Usage& usage) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":)"
                 R"({{"cached_tokens":{},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,)"
                 R"("audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}})",
                 usage.prompt, usage.completion, usage.prompt + usage.completion, usage.cached);
}

/// The tokens of a piece all have the same probability here.
void append_logprobs(std::string& out, std::string_view text) {
  out += R"({"content":[{"token":)";
  append_json_string(out, text);
  out += R"(,"logprob":-0.105,"bytes":[)";
  for (size_t i = 0; i < text.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "," : "", static_cast<unsigned char>(text[i]));
  }
  out += R"(],"top_logprobs":[]}],"refusal":null})";
}

class OpenaiForm final : public Form {
 public:
  OpenaiForm(const Ask& ask, AnswerHead head) : ask_(ask), head_(std::move(head)) {}

  void begin(std::string& out, const Usage&) override {
    start_ = "data: ";
    append_head(start_, "chat.completion.chunk");
    end_ = ask_.include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n";
    for (int64_t choice = 0; choice < ask_.choices; ++choice) {
      open(out, choice);
      out += R"({"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null)";
      out += end_;
    }
  }

  void piece(std::string& out, const Piece& piece) override {
    open(out, piece.choice);
    if (piece.kind == Piece::Kind::text) {
      out += R"({"content":)";
      append_json_string(out, piece.text);
      out += R"(},"logprobs":)";
      if (ask_.logprobs) {
        append_logprobs(out, piece.text);
      } else {
        out += "null";
      }
    } else if (piece.kind == Piece::Kind::tool_begin) {
      fmt::format_to(std::back_inserter(out),
                     R"({{"tool_calls":[{{"index":{},"id":"call_mock_{}_{}_{}","type":"function","function":{{"name":)",
                     piece.tool, head_.seq, piece.choice, piece.tool);
      append_json_string(out, piece.text);
      out += R"(,"arguments":""}}]},"logprobs":null)";
    } else {
      fmt::format_to(std::back_inserter(out), R"({{"tool_calls":[{{"index":{},"function":{{"arguments":)", piece.tool);
      append_json_string(out, piece.text);
      out += R"(}}]},"logprobs":null)";
    }
    out += R"(,"finish_reason":null)";
    out += end_;
  }

  void end(std::string& out, std::string_view finish, const std::optional<Usage>& usage, bool done) override {
    for (int64_t choice = 0; choice < ask_.choices; ++choice) {
      open(out, choice);
      out += R"({},"logprobs":null,"finish_reason":)";
      append_json_string(out, finish);
      out += end_;
    }
    if (ask_.include_usage && usage) {
      out += start_;
      out += R"("choices":[],"usage":)";
      append_usage(out, *usage);
      out += "}\n\n";
    }
    if (done) out += "data: [DONE]\n\n";
  }

  void error_event(std::string& out, std::string_view message) override {
    out += "data: ";
    out += error_body(Dialect::openai, 500, "", message);
    out += "\n\n";
  }

  std::string whole(const std::vector<WholeChoice>& choices, std::string_view finish,
                    const std::optional<Usage>& usage) override {
    std::string out;
    append_head(out, "chat.completion");
    out += R"("choices":[)";
    for (size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      append_choice(out, i, choices[i], finish);
    }
    out += ']';
    if (usage) {
      out += R"(,"usage":)";
      append_usage(out, *usage);
    }
    out += '}';
    return out;
  }

 private:
  void append_head(std::string& out, std::string_view object) const {
    fmt::format_to(std::back_inserter(out), R"({{"id":"chatcmpl-mock-{}","object":"{}","created":{},"model":)",
                   head_.seq, object, head_.created);
    append_json_string(out, head_.model);
    out += R"(,"service_tier":"default","system_fingerprint":"fp_mock",)";
  }

  void open(std::string& out, int64_t choice) const {
    out += start_;
    fmt::format_to(std::back_inserter(out), R"("choices":[{{"index":{},"delta":)", choice);
  }

  void append_choice(std::string& out, size_t index, const WholeChoice& choice, std::string_view finish) const {
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"message":{{"role":"assistant","content":)", index);
    if (choice.calls.empty()) {
      append_json_string(out, choice.text);
    } else {
      out += R"(null,"tool_calls":[)";
      for (size_t i = 0; i < choice.calls.size(); ++i) {
        fmt::format_to(std::back_inserter(out),
                       R"({}{{"id":"call_mock_{}_{}_{}","type":"function","function":{{"name":)", i > 0 ? "," : "",
                       head_.seq, index, i);
        append_json_string(out, choice.calls[i].name);
        out += R"(,"arguments":)";
        append_json_string(out, choice.calls[i].arguments);
        out += "}}";
      }
      out += ']';
    }
    out += R"(,"refusal":null,"annotations":[]},"logprobs":)";
    if (ask_.logprobs && choice.calls.empty()) {
      append_logprobs(out, choice.text);
    } else {
      out += "null";
    }
    out += R"(,"finish_reason":)";
    append_json_string(out, finish);
    out += '}';
  }

  const Ask& ask_;
  AnswerHead head_;
  std::string start_;  ///< of every event, up to its choices
  std::string_view end_;
};

std::string_view openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 529:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

std::string_view gemini_status(int status) {
  switch (status) {
    case 400:
      return "INVALID_ARGUMENT";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 429:
      return "RESOURCE_EXHAUSTED";
    case 503:
      return "UNAVAILABLE";
    case 504:
      return "DEADLINE_EXCEEDED";
    default:
      return status < 500 ? "FAILED_PRECONDITION" : "INTERNAL";
  }
}

}  // namespace

std::unique_ptr<Form> openai_form(const Ask& ask, AnswerHead head) {
  return std::make_unique<OpenaiForm>(ask, std::move(head));
}

std::string error_body(Dialect dialect, int status, std::string_view code, std::string_view message) {
  std::string out;
  if (dialect == Dialect::anthropic) {
    out = fmt::format(R"({{"type":"error","error":{{"type":"{}","message":)", anthropic_type(status));
    append_json_string(out, message);
    return out + "}}";
  }
  if (dialect == Dialect::gemini) {
    out = fmt::format(R"({{"error":{{"code":{},"message":)", status);
    append_json_string(out, message);
    return out + fmt::format(R"(,"status":"{}"}}}})", gemini_status(status));
  }
  out = R"({"error":{"message":)";
  append_json_string(out, message);
  out += fmt::format(R"(,"type":"{}","param":null,"code":)", openai_type(status));
  if (code.empty()) {
    out += "null";
  } else {
    append_json_string(out, code);
  }
  return out + "}}";
}

std::string model_body(std::string_view model) {
  std::string out = R"({"id":)";
  append_json_string(out, model);
  return out + fmt::format(R"(,"object":"model","created":{},"owned_by":"mock"}})", kModelCreated);
}

std::string models_body(const std::vector<std::string>& models) {
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out += ',';
    out += model_body(models[i]);
  }
  return out + "]}";
}

}  // namespace tessera::mock
