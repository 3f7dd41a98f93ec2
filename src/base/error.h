#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::base {

/// What went wrong, in terms of what the caller does next. A closed set: `api` maps each to an HTTP status, `llm` to a
/// retry policy, both with a switch that has no default.
enum class Code {
  invalid,          ///< the request is wrong; change it (400)
  too_large,        ///< a stated limit is exceeded; send less (413)
  unreadable,       ///< the document cannot be understood; send another (422)
  not_found,        ///< no such thing for this tenant (404)
  conflict,         ///< the state changed or already exists; read again (409)
  unauthenticated,  ///< send a valid key (401)
  forbidden,        ///< this key or path may not (403)
  budget,           ///< the money is spent; raise the budget (402)
  exhausted,        ///< slow down, then try again (429)
  unavailable,      ///< a part is away; try again later (503)
  deadline,         ///< the time is over (504)
  cancelled,        ///< the caller went away or stopped it (499)
  upstream,         ///< a provider answered with an error (502)
  internal,         ///< our bug (500)
};

/// The lower-case word of a code, as used in logs and in the `type` field of error bodies.
std::string_view to_string(Code code);

/// A failure. `name` and `message` go to the client; `detail` goes to the log only (it may name paths or hosts, never
/// user text or secrets). A value; building one has no side effect.
struct Error {
  Code code = Code::internal;
  std::string name;     ///< stable upper-case identifier, e.g. "DOCUMENT_NOT_FOUND"
  std::string message;  ///< client-safe sentence: what is wrong and what to do
  std::string detail;   ///< for the operator
  std::string param;    ///< the request field at fault, or empty
  std::optional<std::chrono::milliseconds> retry_after;
};

/// Shorthand for the common case.
Error make_error(Code code, std::string name, std::string message, std::string detail = {}, std::string param = {});

}  // namespace tessera::base
