#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/chat_model.h"

namespace tessera::llm {

/// A tool call of a whole answer.
struct ToolCallText {
  std::string id;
  std::string name;
  std::string arguments;   ///< JSON text
  std::string extra_json;  ///< further members of the call, an object's text, or empty
};

/// One choice of a whole answer, on its way into OpenAI's dialect.
struct ChoiceText {
  std::string content;
  std::string reasoning;
  std::vector<ToolCallText> calls;
  std::vector<std::pair<std::string, std::string>> extras;  ///< further members of the message, JSON texts
  std::string logprobs = {};                                ///< JSON text, or empty
  std::string finish_reason = "stop";
};

/// Usage as translators read it; `details` are what core::Usage has no place for.
struct UsageDetails {
  int64_t reasoning = 0;
};

/// Writes an answer in OpenAI's dialect and keeps the report of it. Chunks are appended to `out` as whole events. One
/// per answer; not thread-safe; the report outlives it.
class AnswerWriter {
 public:
  AnswerWriter(core::RelayReport& report, int64_t created, bool include_usage)
      : report_(report), created_(created), include_usage_(include_usage) {}

  /// To be said before anything is written.
  void set_head(std::string_view id, std::string_view model);
  void text(std::string& out, size_t choice, std::string_view text) { field(out, choice, "content", text); }
  void reasoning(std::string& out, size_t choice, std::string_view text) {
    field(out, choice, "reasoning_content", text);
  }
  /// The choice's logprobs, as JSON text: they go out with the next piece of its answer, or by themselves.
  void logprobs(size_t choice, std::string value) { logprobs_ = {choice, std::move(value)}; }
  void flush_logprobs(std::string& out, size_t choice);
  void tool_begin(std::string& out, size_t choice, size_t index, const ToolCallText& call);
  void tool_arguments(std::string& out, size_t choice, size_t index, std::string_view piece);
  /// A further member of the delta, as JSON text.
  void extra(std::string& out, size_t choice, std::string_view key, std::string_view value);
  void finish(std::string& out, size_t choice, std::string_view reason);
  void usage(const core::Usage& usage, UsageDetails details);
  /// The usage, where it is wanted, and "[DONE]".
  void end(std::string& out);
  [[nodiscard]] std::string whole(const std::vector<ChoiceText>& choices);

 private:
  void field(std::string& out, size_t choice, std::string_view key, std::string_view text);
  void open_delta(std::string& out, size_t choice);
  void close_delta(std::string& out, size_t choice);
  void append_logprobs(std::string& out, size_t choice);
  void append_head(std::string& out, std::string_view object) const;
  void append_usage(std::string& out) const;

  core::RelayReport& report_;
  int64_t created_;
  bool include_usage_;
  std::string id_;
  uint64_t begun_ = 0;  ///< choices whose role was said, up to 63
  UsageDetails details_;
  std::pair<size_t, std::string> logprobs_;  ///< that are to go out, and of which choice
};

/// Reads one provider's answer, events or whole, and writes it through an AnswerWriter. One per answer.
class AnswerReader {
 public:
  virtual ~AnswerReader() = default;
  /// Appends the chunks that an event's data means. Errors: upstream BAD_RESPONSE, PROVIDER_FAILED and its kin.
  virtual base::Result<> event(std::string_view data, std::string& out) = 0;
  /// Whether the answer is whole: its end was said.
  [[nodiscard]] virtual bool complete() const = 0;
  /// Whether nothing more is to come.
  [[nodiscard]] virtual bool done() const = 0;
  /// A whole response. Errors as event().
  virtual base::Result<std::string> whole(std::string_view body) = 0;
};

/// What a reader needs to know. References outlive it.
struct AnswerMeans {
  std::string_view provider;
  std::string_view secret;
  AnswerWriter& writer;
};

/// Where a request cannot be carried to another dialect: invalid PARAMETER_UNSUPPORTED, naming it.
std::unexpected<base::Error> unsupported(std::string_view provider, std::string_view param, std::string_view why);

/// Anthropic's Messages. The request of OpenAI's dialect in theirs; `model` as they name it. What is translated,
/// dropped or refused: docs/providers.md. Errors: invalid BAD_JSON, BAD_PARAMETERS, PARAMETER_UNSUPPORTED.
base::Result<std::string> anthropic_request(std::string_view provider, std::string_view model,
                                            const core::RelayRequest& request);
std::unique_ptr<AnswerReader> anthropic_reader(AnswerMeans means);

/// Google's generateContent, as above.
base::Result<std::string> gemini_request(std::string_view provider, std::string_view model,
                                         const core::RelayRequest& request);
std::unique_ptr<AnswerReader> gemini_reader(AnswerMeans means);

}  // namespace tessera::llm
