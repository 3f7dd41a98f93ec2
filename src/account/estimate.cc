#include "account/estimate.h"

#include <algorithm>
#include <string>
#include <vector>

#include "text/json_skim.h"

namespace tessera::account {
namespace {

constexpr int64_t kTokensMax = 1'000'000'000;  // of one call; what a provider says beyond is nonsense
constexpr int64_t kChoicesMax = 128;
constexpr int64_t kFrameTokens = 16;  // what a provider adds around a prompt
constexpr int64_t kMessageTokens = 8;

// Gathers what a request says in strings: all of it as a size, the beginning as text.
class Texts {
 public:
  void add(std::string_view value) {
    if (value.starts_with("data:") || value.starts_with("\"data:")) {
      ++images_;
      return;
    }
    bytes_ += static_cast<int64_t>(value.size());
    if (kept_.size() + value.size() <= kCountedBytesMax) {
      kept_ += value;
    } else {
      long_ = true;
    }
  }
  void walk(text::JsonCursor& at) {
    std::string_view key;
    switch (at.peek()) {
      case text::JsonKind::object:
        if (!at.enter_object()) return;
        while (at.next_member(key)) {
          add(key);
          walk(at);
        }
        return;
      case text::JsonKind::array:
        if (!at.enter_array()) return;
        while (at.next_element()) walk(at);
        return;
      default:
        add(at.skip());
    }
  }
  [[nodiscard]] CallEstimate prompt(const text::BpeCounter& counter, int64_t frame) const {
    CallEstimate estimate;
    if (long_) {
      estimate.prompt = tokens_of_bytes(bytes_);
      estimate.prompt_bound = bytes_ / 2;
    } else {
      estimate.prompt = static_cast<int64_t>(counter.count(kept_));
      estimate.prompt_bound = std::max(estimate.prompt * 5 / 4, tokens_of_bytes(bytes_));
    }
    estimate.prompt += images_ * kImageTokens;
    estimate.prompt_bound += images_ * kImageTokens + frame;
    return estimate;
  }

 private:
  std::string kept_;
  int64_t bytes_ = 0;
  int64_t images_ = 0;
  bool long_ = false;
};

// Whether no limit of the answer, no choices, no image and no name that hides behind escapes may stand in a body.
bool sized_only(std::string_view body) {
  for (size_t at = body.find('"'); at != std::string_view::npos; at = body.find('"', at + 1)) {
    const std::string_view rest = body.substr(at + 1);
    if (rest.starts_with("max_") || rest.starts_with("n\"") || rest.starts_with("data:")) return false;
  }
  for (size_t at = body.find('\\'); at < body.size() - 1; at = body.find('\\', at + 2)) {
    if (body[at + 1] == 'u') return false;
  }
  return true;
}

int64_t completion_bound(std::optional<int64_t> asked, const core::ModelProfile* profile, int64_t choices) {
  int64_t bound = kCompletionTokens;
  if (asked) {
    bound = std::clamp<int64_t>(*asked, 0, kTokensMax / kChoicesMax);
    if (profile != nullptr && profile->max_output_tokens > 0) bound = std::min(bound, profile->max_output_tokens);
  } else if (profile != nullptr) {
    if (profile->max_output_tokens > 0) bound = profile->max_output_tokens;
    if (profile->max_tokens) bound = *profile->max_tokens;
  }
  return bound * std::clamp<int64_t>(choices, 1, kChoicesMax);
}

}  // namespace

int64_t tokens_of_bytes(int64_t bytes) {
  return (bytes + 3) / 4;
}

CallEstimate estimate_relay(std::string_view body, const text::BpeCounter& counter, const core::ModelProfile* profile) {
  Texts texts;
  std::optional<int64_t> asked;
  int64_t choices = 1;
  std::vector<text::JsonMember> members;
  if (!text::skim_json_object(body, members)) {
    texts.add(body);
  }
  for (const text::JsonMember& member : members) {
    if (member.is("max_tokens") || member.is("max_completion_tokens") || member.is("max_output_tokens")) {
      const auto value = text::json_integer(member.value);
      if (value) asked = std::max(asked.value_or(0), *value);
    } else if (member.is("n")) {
      choices = text::json_integer(member.value).value_or(1);
    } else if (member.kind == text::JsonKind::object || member.kind == text::JsonKind::array || member.is("input") ||
               member.is("instructions") || member.is("prompt")) {
      text::JsonCursor at(member.value);
      texts.walk(at);
    }
  }
  CallEstimate estimate = texts.prompt(counter, kFrameTokens);
  estimate.completion_bound = completion_bound(asked, profile, choices);
  return estimate;
}

std::optional<CallEstimate> bound_relay(std::string_view body, const core::ModelProfile* profile) {
  if (!sized_only(body)) return std::nullopt;
  CallEstimate bound;
  const auto bytes = static_cast<int64_t>(body.size());  // no token is shorter
  bound.prompt = tokens_of_bytes(bytes);
  bound.prompt_bound = bytes * 5 / 4 + kFrameTokens;
  bound.completion_bound = completion_bound(std::nullopt, profile, 1);
  return bound;
}

CallEstimate estimate_chat(const core::ChatRequest& request, const text::BpeCounter& counter,
                           const core::ModelProfile* profile) {
  Texts texts;
  for (const core::ChatMessage& message : request.messages) {
    texts.add(message.content);
    for (const std::string* const json : {&message.extra_json}) {
      if (json->empty()) continue;
      text::JsonCursor at(*json);
      texts.walk(at);
    }
  }
  std::optional<int64_t> asked = request.max_tokens;
  int64_t choices = 1;
  std::vector<text::JsonMember> members;
  if (!request.parameters_json.empty() && text::skim_json_object(request.parameters_json, members)) {
    for (const text::JsonMember& member : members) {
      if (member.is("n")) choices = text::json_integer(member.value).value_or(1);
      if (member.is("max_completion_tokens")) asked = text::json_integer(member.value);
      if (member.is("tools") || member.is("response_format")) texts.add(member.value);
    }
  }
  CallEstimate estimate =
      texts.prompt(counter, kFrameTokens + kMessageTokens * static_cast<int64_t>(request.messages.size()));
  estimate.completion_bound = completion_bound(asked, profile, choices);
  return estimate;
}

core::Money charge(const core::Price& price, const core::Usage& usage) {
  const auto sane = [](int64_t tokens) { return std::clamp<int64_t>(tokens, 0, kTokensMax); };
  const int64_t prompt = sane(usage.prompt_tokens);
  const int64_t cached = std::min(sane(usage.cached_prompt_tokens), prompt);
  const int64_t written = std::min(sane(usage.cache_write_tokens), prompt - cached);
  const int64_t written_long = std::min(sane(usage.cache_write_long_tokens), written);
  const core::Money write = price.cache_write == core::Money{} ? price.prompt : price.cache_write;
  const core::Money write_long = price.cache_write_long == core::Money{} ? write : price.cache_write_long;
  __extension__ using Wide = __int128;
  const Wide cost = Wide{price.prompt.pico_usd} * (prompt - cached - written) +
                    Wide{price.cached_prompt.pico_usd} * cached + Wide{write.pico_usd} * (written - written_long) +
                    Wide{write_long.pico_usd} * written_long +
                    Wide{price.completion.pico_usd} * sane(usage.completion_tokens);
  return core::Money{static_cast<int64_t>(std::clamp<Wide>(cost, 0, kCostMax.pico_usd))};
}

core::Money charge(const core::ModelProfile* profile, const core::Usage& usage) {
  if (profile == nullptr || !profile->price_known) return {};
  return charge(profile->price_at(usage.tier), usage);
}

void fill_usage(core::LedgerEntry& entry, const core::Usage& usage) {
  entry.prompt_tokens = std::clamp<int64_t>(usage.prompt_tokens, 0, kTokensMax);
  entry.cached_prompt_tokens = std::clamp<int64_t>(usage.cached_prompt_tokens, 0, entry.prompt_tokens);
  const int64_t rest = entry.prompt_tokens - entry.cached_prompt_tokens;
  entry.cache_write_tokens = std::clamp<int64_t>(usage.cache_write_tokens, 0, rest);
  entry.completion_tokens = std::clamp<int64_t>(usage.completion_tokens, 0, kTokensMax);
}

}  // namespace tessera::account
