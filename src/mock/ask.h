#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mock/plan.h"

namespace tessera::mock {

/// Whose wire format a request speaks.
enum class Dialect : uint8_t { openai, embeddings, responses, transcription, anthropic, gemini };

std::string_view to_string(Dialect dialect);

/// What the mock needs to know of a request; never the whole of it. A value.
struct Ask {
  Dialect dialect = Dialect::openai;
  std::string model;
  std::string user;
  bool stream = false;
  bool include_usage = false;
  bool array_stream = false;  ///< Gemini without alt=sse: one JSON array, sent piece by piece
  bool json = false;          ///< the answer must be a JSON object
  bool logprobs = false;
  bool plain = false;  ///< a transcription as bare text
  int64_t choices = 1;
  std::optional<int64_t> max_tokens;
  int64_t messages = 0;
  uint64_t prompt_bytes = 0;  ///< of all text in messages and inputs, unescaped
  std::string last_user;      ///< the last user message, at most kEchoMax bytes
  int64_t tools = 0;
  std::string tool;  ///< the first offered, or the one demanded
  bool tool_demanded = false;
  std::vector<std::string> inputs;  ///< of embeddings
  std::optional<int64_t> dimensions;
  bool base64 = false;
  std::vector<std::string> fields;    ///< names of the body's fields, in order, at most kFieldsMax
  std::vector<Directive> directives;  ///< of the body's field "mock"

  static constexpr size_t kEchoMax = 64 * 1024;
  static constexpr size_t kFieldsMax = 64;

  /// A token is four bytes, rounded up, and nothing is less than one.
  [[nodiscard]] int64_t prompt_tokens() const;
};

/// Reads a request's body in one pass without building it. Errors: invalid BAD_JSON (with where), BAD_FIELD (a field
/// that must be there is not, or is of another type).
base::Result<Ask> read_ask(Dialect dialect, std::string_view body);
/// The same of a transcription's form. Errors: invalid BAD_MULTIPART, BAD_FIELD (no file).
base::Result<Ask> read_form(std::string_view body, std::string_view content_type);

}  // namespace tessera::mock
