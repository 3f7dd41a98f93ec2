#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

namespace tessera::mock {

/// The names of fields that mean something; the rest is `other`.
enum class Atom : uint8_t {
  other,
  item,
  allowed_function_names,
  any,
  contents,
  content,
  dimensions,
  encoding_format,
  format,
  function,
  function_calling_config,
  function_declarations,
  generation_config,
  include_usage,
  input,
  instructions,
  logprobs,
  max_completion_tokens,
  max_output_tokens,
  max_tokens,
  messages,
  mock,
  mode,
  model,
  n,
  name,
  parts,
  response_format,
  role,
  stream,
  stream_options,
  system,
  text,
  tool_choice,
  tool_config,
  tools,
  type,
  user,
};

inline constexpr std::pair<std::string_view, Atom> kAtoms[] = {
    {"allowedFunctionNames", Atom::allowed_function_names},
    {"contents", Atom::contents},
    {"content", Atom::content},
    {"dimensions", Atom::dimensions},
    {"encoding_format", Atom::encoding_format},
    {"format", Atom::format},
    {"function", Atom::function},
    {"functionCallingConfig", Atom::function_calling_config},
    {"functionDeclarations", Atom::function_declarations},
    {"generationConfig", Atom::generation_config},
    {"include_usage", Atom::include_usage},
    {"input", Atom::input},
    {"instructions", Atom::instructions},
    {"logprobs", Atom::logprobs},
    {"max_completion_tokens", Atom::max_completion_tokens},
    {"maxOutputTokens", Atom::max_output_tokens},
    {"max_output_tokens", Atom::max_output_tokens},
    {"max_tokens", Atom::max_tokens},
    {"messages", Atom::messages},
    {"mock", Atom::mock},
    {"mode", Atom::mode},
    {"model", Atom::model},
    {"n", Atom::n},
    {"name", Atom::name},
    {"parts", Atom::parts},
    {"response_format", Atom::response_format},
    {"role", Atom::role},
    {"stream", Atom::stream},
    {"stream_options", Atom::stream_options},
    {"system", Atom::system},
    {"systemInstruction", Atom::system},
    {"system_instruction", Atom::system},
    {"text", Atom::text},
    {"tool_choice", Atom::tool_choice},
    {"toolConfig", Atom::tool_config},
    {"tools", Atom::tools},
    {"type", Atom::type},
    {"user", Atom::user},
};

inline Atom atom_of(std::string_view name) {
  for (const auto& [text, atom] : kAtoms) {
    if (text == name) return atom;
  }
  return Atom::other;
}

/// Where a value stands: the names above it, eight bits each. Deeper than eight is nowhere that matters.
using Place = uint64_t;
inline constexpr Place kNowhere = ~Place{0};

template <class... Atoms>
constexpr Place place(Atoms... atoms) {
  Place result = 0;
  ((result = result << 8U | static_cast<Place>(atoms) + 1), ...);
  return result;
}

}  // namespace tessera::mock
