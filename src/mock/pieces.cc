#include "mock/pieces.h"

#include <algorithm>
#include <charconv>

#include "text/utf8.h"

namespace tessera::mock {
namespace {

constexpr std::string_view kWords[] = {
    "Lorem",   " ipsum", " dolor",   " sit",    " amet",       " consectetur", " adipiscing", " elit",
    " sed",    " do",    " eiusmod", " tempor", " incididunt", " ut",          " labore",     " et",
    " dolore", " magna", " aliqua,", " enim",   " ad",         " minim",       " veniam",     " quis.",
};
constexpr size_t kTokenBytes = 4;

/// The end of the token that begins at `from`: four bytes on, not inside a character.
size_t token_end(std::string_view text, size_t from) {
  size_t end = std::min(text.size(), from + kTokenBytes);
  while (!text::is_boundary(text, end)) ++end;
  return end;
}

int64_t tokens_in(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); at = token_end(text, at)) ++count;
  return count;
}

void append_number(std::string& out, int64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

}  // namespace

Pieces::Pieces(const Ask& ask, const Plan& plan, int64_t tokens, const base::Clock& clock)
    : ask_(ask), plan_(plan), clock_(clock) {
  tools_ = plan.tools ? *plan.tools : (ask.tool_demanded && ask.tools > 0 ? 1 : 0);
  if (tools_ > 0) {
    tool_ = !plan.tool.empty() ? plan.tool : (ask.tool.empty() ? "mock_tool" : ask.tool);
    arguments_ = plan.arguments.empty() ? R"({"text":"lorem ipsum"})" : plan.arguments;
    pieces_ = tools_ * (1 + tokens_in(arguments_));
    finish_ = "tool_calls";
  } else {
    tokens_ = tokens;
    if (plan.text == TextKind::echo || plan.text == TextKind::given) {
      is_given_ = true;
      given_ = plan.text == TextKind::echo ? ask.last_user : plan.say;
    } else if (ask.json) {
      is_given_ = true;
      given_ = R"({"text":"Lorem ipsum dolor sit amet"})";
    }
    if (is_given_) tokens_ = tokens_in(given_);
    if (ask.max_tokens && tokens_ > *ask.max_tokens) {
      tokens_ = *ask.max_tokens;
      finish_ = "length";
    }
    if (plan.filter_after && tokens_ > *plan.filter_after) tokens_ = *plan.filter_after;
    if (plan.filter_after) finish_ = "content_filter";
    pieces_ = (tokens_ + plan.chunk - 1) / plan.chunk;
  }
  if (!plan.finish.empty()) finish_ = plan.finish;
}

void Pieces::take_text(std::string& into, int64_t tokens) {
  into.clear();
  for (int64_t i = 0; i < tokens; ++i) {
    if (is_given_) {
      const size_t end = token_end(given_, given_at_);
      into.append(given_, given_at_, end - given_at_);
      given_at_ = end;
    } else if (plan_.text == TextKind::stamp) {
      append_number(into, taken_ + i);
      into += '@';
      append_number(into, std::chrono::nanoseconds(clock_.now().time_since_epoch()).count());
      into += ' ';
    } else {
      const auto at = static_cast<size_t>(taken_ + i);
      into += at > 0 && at % std::size(kWords) == 0 ? std::string_view(" lorem") : kWords[at % std::size(kWords)];
    }
  }
}

bool Pieces::next_tool(Piece& piece) {
  const int64_t each = pieces_ / tools_;
  const int64_t nth = (at_ - 1) / ask_.choices;
  piece.tool = nth / each;
  piece.tokens = 1;
  if (nth % each == 0) {
    piece.kind = Piece::Kind::tool_begin;
    piece.text = tool_;
    if (piece.choice == 0) given_at_ = 0;
    return true;
  }
  piece.kind = Piece::Kind::tool_arguments;
  if (piece.choice == 0) {
    const size_t end = token_end(arguments_, given_at_);
    text_.assign(arguments_, given_at_, end - given_at_);
    given_at_ = end;
  }
  piece.text = text_;
  return true;
}

bool Pieces::next(Piece& piece) {
  if (at_ >= count()) return false;
  piece.choice = at_ % ask_.choices;
  ++at_;
  if (tools_ > 0) return next_tool(piece);
  piece.kind = Piece::Kind::text;
  // Each choice says the same; a stamp is made anew, because it tells when.
  if (piece.choice == 0) {
    taken_ += text_tokens_;
    text_tokens_ = std::min(plan_.chunk, tokens_ - taken_);
    take_text(text_, text_tokens_);
  } else if (plan_.text == TextKind::stamp && !is_given_) {
    take_text(text_, text_tokens_);
  }
  piece.text = text_;
  piece.tokens = text_tokens_;
  return true;
}

}  // namespace tessera::mock
