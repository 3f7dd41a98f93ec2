#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mock/draws.h"

namespace tessera::mock {

/// What the text of an answer is made of.
enum class TextKind : uint8_t {
  lorem,  ///< words of filler, one a token
  echo,   ///< the last user message
  stamp,  ///< "NUMBER@NANOSECONDS ", one a token: its place and when it was sent (CLOCK_MONOTONIC)
  given,  ///< Plan::say
};

/// How an answer ends before its end.
enum class Break : uint8_t { none, close, reset, hang, garbage, error };

/// How one request is answered: its size, its times, its faults. A value.
struct Plan {
  Distribution tokens{.a = 16};  ///< of each choice
  std::optional<int64_t> prompt_tokens = {};
  int64_t cached_tokens = 0;
  TextKind text = TextKind::lorem;
  std::string say = {};
  std::optional<int64_t> tools = {};  ///< how many calls; nothing: as the request demands
  std::string tool = {};
  std::string arguments = {};
  std::string finish = {};

  Distribution first = {};  ///< ms until the first token
  Distribution gap = {};    ///< ms between two events
  int64_t chunk = 1;        ///< tokens in an event

  int status = 0;  ///< an error answer instead of one
  std::optional<base::Millis> retry_after = {};
  std::string message = {};
  Break breaks = Break::none;
  std::optional<int64_t> break_after = {};  ///< events; nothing: before the head
  std::optional<int64_t> filter_after = {};
  base::Millis slow_headers{0};
  bool wrong_type = false;
  bool truncate = false;
  bool no_done = false;
  bool no_usage = false;
};

/// A name and its value, as scripts, headers and models give them; the value may be empty.
using Directive = std::pair<std::string, std::string>;

/// One row of the table of directives.
struct DirectiveInfo {
  std::string_view name;
  std::string_view value;  ///< what stands after it: "N", "DIST", ...; empty: nothing
  std::string_view help;
};

/// All of them, in the order in which they are explained.
std::span<const DirectiveInfo> directives();

/// Changes the plan. Error: invalid BAD_DIRECTIVE, naming the nearest known one.
base::Result<void> follow(Plan& plan, std::string_view name, std::string_view value);
base::Result<void> follow(Plan& plan, std::span<const Directive> list);

/// "tokens=50; rate=20; reset-after=5", as in a header or query.
std::vector<Directive> parse_directives(std::string_view text);

/// "tokens-50+rate-20+reset-after-5", as in a model's name; also "429" for "status-429", "echo" for "text-echo".
/// Nothing when a word is no directive.
std::optional<std::vector<Directive>> parse_model_directives(std::string_view text);

}  // namespace tessera::mock
