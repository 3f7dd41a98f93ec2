#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "mock/ask.h"
#include "mock/pieces.h"

namespace tessera::mock {

/// What every object of one answer names.
struct AnswerHead {
  uint64_t seq = 0;  ///< of the request; makes the identifiers
  std::string model;
  int64_t created = 0;  ///< Unix seconds
};

/// A finished choice of a whole answer.
struct WholeChoice {
  std::string text;
  struct Call {
    std::string name;
    std::string arguments;
  };
  std::vector<Call> calls;
};

/// Writes one answer in one provider's wire format. Each function appends whole server-sent events (or array elements)
/// to `out`. Bound to its ask; used by one request.
class Form {
 public:
  virtual ~Form() = default;
  /// What comes before the first token.
  virtual void begin(std::string& out, const Usage& usage) = 0;
  virtual void piece(std::string& out, const Piece& piece) = 0;
  /// What comes after the last one; `done`: with the end mark.
  virtual void end(std::string& out, std::string_view finish, const std::optional<Usage>& usage, bool done) = 0;
  /// An error in the middle of a stream.
  virtual void error_event(std::string& out, std::string_view message) = 0;
  virtual std::string whole(const std::vector<WholeChoice>& choices, std::string_view finish,
                            const std::optional<Usage>& usage) = 0;
  [[nodiscard]] virtual std::string_view stream_type() const { return "text/event-stream; charset=utf-8"; }
  [[nodiscard]] virtual std::string_view whole_type() const { return "application/json"; }
};

std::unique_ptr<Form> openai_form(const Ask& ask, AnswerHead head);
std::unique_ptr<Form> anthropic_form(AnswerHead head);
std::unique_ptr<Form> gemini_form(const Ask& ask, AnswerHead head);
std::unique_ptr<Form> responses_form(AnswerHead head);
std::unique_ptr<Form> transcription_form(const Ask& ask);

/// An error's body as that provider words it.
std::string error_body(Dialect dialect, int status, std::string_view code, std::string_view message);

/// The answer to an embeddings request. The vectors depend on the texts only: texts with common words are near each
/// other.
std::string embeddings_body(const Ask& ask, std::string_view model, const Usage& usage);
std::string model_body(std::string_view model);
std::string models_body(const std::vector<std::string>& models);

}  // namespace tessera::mock
