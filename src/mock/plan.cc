#include "mock/plan.h"

#include <algorithm>
#include <cmath>

#include "config/nearest.h"

namespace tessera::mock {
namespace {

using base::Millis;
using base::Result;

constexpr int64_t kCountMax = 10'000'000;
constexpr size_t kDirectivesMax = 64;

std::unexpected<base::Error> bad(std::string_view name, std::string_view wanted) {
  return base::fail(base::Code::invalid, "BAD_DIRECTIVE",
                    "\"" + std::string(name.substr(0, 100)) + "\" takes " + std::string(wanted));
}

Result<int64_t> count_of(std::string_view name, std::string_view value, int64_t max = kCountMax) {
  const auto number = parse_number(value);
  if (!number || *number < 0 || *number > static_cast<double>(max) || *number != std::floor(*number)) {
    return bad(name, "a whole number up to " + std::to_string(max));
  }
  return static_cast<int64_t>(*number);
}

using Row = Result<void> (*)(Plan& plan, std::string_view name, std::string_view value);

Result<void> set_distribution(Distribution& into, std::string_view value) {
  TESSERA_TRY(into, Distribution::parse(value));
  return {};
}

/// "reset" breaks before the head, "reset-after=N" after N events.
template <Break kHow>
Result<void> break_now(Plan& plan, std::string_view, std::string_view value) {
  if (value == "false") {
    if (plan.breaks == kHow) plan.breaks = Break::none;
    return {};
  }
  plan.breaks = kHow;
  plan.break_after.reset();
  return {};
}
template <Break kHow>
Result<void> break_later(Plan& plan, std::string_view name, std::string_view value) {
  TESSERA_TRY(plan.break_after, count_of(name, value));
  plan.breaks = kHow;
  return {};
}
template <bool Plan::* kFlag>
Result<void> raise(Plan& plan, std::string_view name, std::string_view value) {
  if (!value.empty() && value != "true" && value != "false") return bad(name, "no value, true or false");
  plan.*kFlag = value != "false";
  return {};
}
template <std::string Plan::* kText>
Result<void> set_text(Plan& plan, std::string_view, std::string_view value) {
  plan.*kText = value;
  return {};
}

Result<void> set_kind(Plan& plan, std::string_view name, std::string_view value) {
  if (value == "lorem") {
    plan.text = TextKind::lorem;
  } else if (value == "echo") {
    plan.text = TextKind::echo;
  } else if (value == "stamp") {
    plan.text = TextKind::stamp;
  } else {
    return bad(name, "lorem, echo or stamp");
  }
  return {};
}

Result<void> set_rate(Plan& plan, std::string_view name, std::string_view value) {
  const auto rate = parse_number(value);
  if (!rate || *rate <= 0 || *rate > 1e6) return bad(name, "events per second, above 0");
  plan.gap = {.a = 1000 / *rate};
  return {};
}

Result<void> set_status(Plan& plan, std::string_view name, std::string_view value) {
  TESSERA_TRY(const int64_t status, count_of(name, value));
  if (status < 400 || status > 599) return bad(name, "an error status, 400 to 599");
  plan.status = static_cast<int>(status);
  return {};
}

Result<void> set_retry_after(Plan& plan, std::string_view name, std::string_view value) {
  const auto seconds = parse_number(value);
  if (!seconds || *seconds < 0 || *seconds > 86'400) return bad(name, "seconds, up to 86400");
  plan.retry_after = Millis(std::llround(*seconds * 1000));
  if (plan.status == 0) plan.status = 429;
  return {};
}

struct TableRow {
  DirectiveInfo info;
  Row set;
};

#define TESSERA_NUMBER(member, max)                                               \
  [](Plan& plan, std::string_view name, std::string_view value) -> Result<void> { \
    TESSERA_TRY(plan.member, count_of(name, value, max));                         \
    return {};                                                                    \
  }
#define TESSERA_DIST(member) \
  [](Plan& plan, std::string_view, std::string_view value) { return set_distribution(plan.member, value); }

// clang-format off
constexpr TableRow kTable[] = {
    {{"tokens", "DIST", "tokens of the answer, of each choice (16)"}, TESSERA_DIST(tokens)},
    {{"prompt-tokens", "N", "tokens of the prompt in the usage (a quarter of its bytes)"}, TESSERA_NUMBER(prompt_tokens, kCountMax)},
    {{"cached-tokens", "N", "how many of them were cached (0)"}, TESSERA_NUMBER(cached_tokens, kCountMax)},
    {{"text", "KIND", "lorem; echo: the last user message; stamp: each token's number and time of sending"}, &set_kind},
    {{"say", "TEXT", "this answer, one token for four bytes"}, [](Plan& plan, std::string_view, std::string_view value) -> Result<void> {
       plan.text = TextKind::given;
       plan.say = value;
       return {};
     }},
    {{"tools", "N", "that many tool calls (one when tool_choice demands it)"}, TESSERA_NUMBER(tools, 64)},
    {{"tool", "NAME", "the tool to call (the demanded or first one offered)"}, &set_text<&Plan::tool>},
    {{"arguments", "JSON", "its arguments"}, &set_text<&Plan::arguments>},
    {{"finish", "WORD", "the reason why it ended"}, &set_text<&Plan::finish>},
    {{"first", "DIST", "milliseconds until the first token (0)"}, TESSERA_DIST(first)},
    {{"gap", "DIST", "milliseconds between two events (0)"}, TESSERA_DIST(gap)},
    {{"rate", "N", "events per second, instead of gap"}, &set_rate},
    {{"chunk", "N", "tokens in an event (1)"}, [](Plan& plan, std::string_view name, std::string_view value) -> Result<void> {
       TESSERA_TRY(const int64_t count, count_of(name, value));
       plan.chunk = std::max<int64_t>(1, count);
       return {};
     }},
    {{"status", "CODE", "an error answer: 400 to 599"}, &set_status},
    {{"retry-after", "SECONDS", "its Retry-After; alone: with status 429"}, &set_retry_after},
    {{"message", "TEXT", "its message"}, &set_text<&Plan::message>},
    {{"refuse", "", "status 400 because a content filter refused the prompt"}, [](Plan& plan, std::string_view, std::string_view value) -> Result<void> {
       if (value == "false") return {};
       plan.status = 400;
       plan.finish = "content_filter";
       return {};
     }},
    {{"filter-after", "N", "a content filter ends the answer after N tokens"}, TESSERA_NUMBER(filter_after, kCountMax)},
    {{"hang", "", "no answer, the connection stays open"}, &break_now<Break::hang>},
    {{"hang-after", "N", "the stream stops after N events, the connection stays open"}, &break_later<Break::hang>},
    {{"reset", "", "a TCP reset instead of an answer"}, &break_now<Break::reset>},
    {{"reset-after", "N", "a TCP reset after N events"}, &break_later<Break::reset>},
    {{"close", "", "the connection closes without an answer"}, &break_now<Break::close>},
    {{"close-after", "N", "the connection closes after N events"}, &break_later<Break::close>},
    {{"garbage", "", "bytes that are no HTTP"}, &break_now<Break::garbage>},
    {{"garbage-after", "N", "bytes that are no event after N events; a whole answer is no JSON"}, &break_later<Break::garbage>},
    {{"error-after", "N", "an error event after N events"}, &break_later<Break::error>},
    {{"truncate", "", "JSON that ends in its middle, properly framed"}, &raise<&Plan::truncate>},
    {{"wrong-type", "", "Content-Type text/html"}, &raise<&Plan::wrong_type>},
    {{"slow-headers", "MS", "the head of the answer dribbles in over that time"}, [](Plan& plan, std::string_view name, std::string_view value) -> Result<void> {
       TESSERA_TRY(const int64_t ms, count_of(name, value, 3'600'000));
       plan.slow_headers = Millis(ms);
       return {};
     }},
    {{"no-done", "", "the stream ends without its last event"}, &raise<&Plan::no_done>},
    {{"no-usage", "", "usage is never told"}, &raise<&Plan::no_usage>},
};
// clang-format on
#undef TESSERA_NUMBER
#undef TESSERA_DIST

constexpr auto kInfos = [] {
  std::array<DirectiveInfo, std::size(kTable)> infos{};
  for (size_t i = 0; i < infos.size(); ++i) infos[i] = kTable[i].info;
  return infos;
}();

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// One word of a model's name: the longest directive that begins it.
std::optional<Directive> parse_word(std::string_view word) {
  for (const std::string_view kind : {"lorem", "echo", "stamp"}) {
    if (word == kind) return Directive("text", word);
  }
  if (word.size() == 3 && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; })) {
    return Directive("status", word);
  }
  const DirectiveInfo* best = nullptr;
  for (const DirectiveInfo& info : kInfos) {
    const bool fits = info.value.empty() ? word == info.name
                                         : word.size() > info.name.size() + 1 && word.starts_with(info.name) &&
                                               (word[info.name.size()] == '-' || word[info.name.size()] == '=');
    if (fits && (best == nullptr || info.name.size() > best->name.size())) best = &info;
  }
  if (best == nullptr) return std::nullopt;
  return Directive(best->name, best->value.empty() ? "" : word.substr(best->name.size() + 1));
}

}  // namespace

std::span<const DirectiveInfo> directives() {
  return kInfos;
}

Result<void> follow(Plan& plan, std::string_view name, std::string_view value) {
  const auto* const row = std::ranges::find(kTable, name, [](const TableRow& entry) { return entry.info.name; });
  if (row != std::end(kTable)) {
    if (row->info.value.empty() && !value.empty() && value != "true" && value != "false") {
      return bad(name, "no value");
    }
    return row->set(plan, name, value);
  }
  std::vector<std::string> names;
  for (const DirectiveInfo& info : kInfos) names.emplace_back(info.name);
  const std::string_view near = config::nearest(name, names);
  return base::fail(base::Code::invalid, "BAD_DIRECTIVE",
                    "\"" + std::string(name.substr(0, 100)) + "\" is nothing that the mock can do" +
                        (near.empty() ? "; tessera mock-llm --help lists what it can"
                                      : "; did you mean \"" + std::string(near) + "\"?"));
}

Result<void> follow(Plan& plan, std::span<const Directive> list) {
  for (const auto& [name, value] : list) TESSERA_CHECK(follow(plan, name, value));
  return {};
}

std::vector<Directive> parse_directives(std::string_view text) {
  std::vector<Directive> list;
  while (!text.empty() && list.size() < kDirectivesMax) {
    const size_t end = text.find(';');
    const std::string_view part = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    list.emplace_back(trimmed(part.substr(0, equals)),
                      equals == std::string_view::npos ? std::string_view{} : trimmed(part.substr(equals + 1)));
  }
  return list;
}

std::optional<std::vector<Directive>> parse_model_directives(std::string_view text) {
  std::vector<Directive> list;
  while (!text.empty() && list.size() < kDirectivesMax) {
    const size_t end = text.find('+');
    auto word = parse_word(text.substr(0, end));
    if (!word) return std::nullopt;
    list.push_back(*std::move(word));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  if (list.empty()) return std::nullopt;
  return list;
}

}  // namespace tessera::mock
