#include "llm/routing/legs.h"

#include <fmt/format.h>

#include <vector>

#include "text/json_skim.h"
#include "text/utf8.h"

namespace tessera::llm {
namespace {

bool says(std::string_view parameters_json, std::string_view name) {
  std::vector<text::JsonMember> members;
  return text::skim_json_object(parameters_json, members) && text::find_member(members, name) != nullptr;
}

// The object with one member more.
std::string with_number(std::string_view object, std::string_view name, double value) {
  const std::string member = fmt::format("{{\"{}\":{}", name, value);
  const size_t open = object.find('{');
  if (open == std::string_view::npos) return member + "}";
  const std::string_view rest = object.substr(open + 1);
  const size_t next = rest.find_first_not_of(" \t\r\n");
  const bool alone = next == std::string_view::npos || rest[next] == '}';
  return fmt::format("{}{}{}", member, alone ? "" : ",", rest);
}

// Bytes of the first `characters` of the text, or of all of it.
size_t bytes_of(std::string_view text, size_t characters) {
  size_t at = 0;
  while (at < text.size() && characters-- > 0) at += text::decode_utf8(text, at).size;
  return at;
}

}  // namespace

// What comes with the text (tool calls) goes with the last piece.
core::Task<base::Result<>> Tap::in_pieces(core::ChatDelta delta) {
  std::string_view rest = delta.text;
  for (size_t end = bytes_of(rest, piece_max_); end < rest.size(); end = bytes_of(rest, piece_max_)) {
    core::ChatDelta piece{std::string(rest.substr(0, end)), {}};
    TESSERA_CO_CHECK(co_await deltas_->on_delta(std::move(piece)));
    rest.remove_prefix(end);
  }
  core::ChatDelta last{std::string(rest), std::move(delta.extra_json)};
  co_return co_await deltas_->on_delta(std::move(last));
}

const core::ChatRequest& GenerateLeg::completed(const core::ModelProfile* profile) {
  const core::ModelProfile unknown;
  const core::ModelProfile& known = profile == nullptr ? unknown : *profile;
  const bool free = !known.can(core::Ability::reasoning);
  const core::ChatRequest& asked = ask.request;
  const auto tokens = known.max_tokens ? known.max_tokens : asked.otherwise.max_tokens;
  // Who narrows the choice by top_p means not to do it by temperature as well; some providers refuse both.
  const auto heat = known.temperature || known.top_p ? known.temperature : asked.otherwise.temperature;
  const bool adds_tokens = !asked.max_tokens && tokens;
  const bool adds_heat = free && !asked.temperature && heat;
  const bool adds_top_p = free && known.top_p && !says(asked.parameters_json, "top_p");
  if (!adds_tokens && !adds_heat && !adds_top_p) return asked;
  own = asked;
  own->otherwise = {};
  if (adds_tokens) own->max_tokens = tokens;
  if (adds_heat) own->temperature = heat;
  if (adds_top_p) own->parameters_json = with_number(asked.parameters_json, "top_p", *known.top_p);
  return *own;
}

}  // namespace tessera::llm
