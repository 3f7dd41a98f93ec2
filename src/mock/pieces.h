#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "mock/ask.h"
#include "mock/plan.h"

namespace tessera::mock {

/// A part of an answer: what one event of a stream carries.
struct Piece {
  enum class Kind : uint8_t { text, tool_begin, tool_arguments };
  Kind kind = Kind::text;
  int64_t choice = 0;
  int64_t tool = 0;  ///< which call of the choice
  std::string text;  ///< or the tool's name
  int64_t tokens = 0;
};

/// The tokens that an answer used.
struct Usage {
  int64_t prompt = 0;
  int64_t cached = 0;
  int64_t completion = 0;
};

/// Makes an answer piece by piece, the choices in turn. What it makes depends on the request, the plan and the number
/// of tokens only (but for stamps). A value bound to its ask and plan.
class Pieces {
 public:
  Pieces(const Ask& ask, const Plan& plan, int64_t tokens, const base::Clock& clock);

  /// The next piece; false at the end.
  bool next(Piece& piece);
  /// Why the answer ends: stop, length, tool_calls, content_filter, or what the plan says.
  [[nodiscard]] std::string_view finish() const { return finish_; }
  /// How many pieces there are in all.
  [[nodiscard]] int64_t count() const { return pieces_ * ask_.choices; }

 private:
  bool next_tool(Piece& piece);
  void take_text(std::string& into, int64_t tokens);

  const Ask& ask_;
  const Plan& plan_;
  const base::Clock& clock_;
  std::string_view finish_ = "stop";
  std::string given_;  ///< the text, when it is not made up token by token
  bool is_given_ = false;
  std::string tool_;
  std::string arguments_;
  int64_t tools_ = 0;
  int64_t tokens_ = 0;  ///< of each choice
  int64_t pieces_ = 0;  ///< of each choice
  int64_t at_ = 0;      ///< pieces given out, over all choices
  int64_t taken_ = 0;   ///< tokens of each choice up to the piece before
  size_t given_at_ = 0;
  std::string text_;  ///< of the piece at hand, the same for every choice
  int64_t text_tokens_ = 0;
};

}  // namespace tessera::mock
