#include "llm/routing/fitted_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <numeric>
#include <optional>
#include <vector>

namespace tessera::llm {
namespace {

namespace json = boost::json;
using core::Task;

constexpr int64_t kMessageTokens = 4;  // what stands around each message
constexpr std::string_view kTrimmed = "context_trimmed";

// A message as far as trimming looks at it.
struct Sized {
  int64_t tokens = 0;
  bool instruction = false;  // system or developer: stays
  bool tool_result = false;  // makes no sense without the call before it
};

// Which messages to keep so that they have at most `room` tokens: the oldest go first, with the tool results that
// answered them; instructions and the last message stay. Nothing when that is not enough.
std::optional<std::vector<bool>> choose(const std::vector<Sized>& messages, int64_t room) {
  std::vector<bool> kept(messages.size(), true);
  int64_t total = std::accumulate(messages.begin(), messages.end(), int64_t{0},
                                  [](int64_t sum, const Sized& each) { return sum + each.tokens; });
  bool orphaned = false;
  for (size_t i = 0; i + 1 < messages.size(); ++i) {
    if (messages[i].instruction) continue;
    if (total <= room && !(orphaned && messages[i].tool_result)) break;
    kept[i] = false;
    total -= messages[i].tokens;
    orphaned = true;
  }
  if (total > room) return std::nullopt;
  return kept;
}

base::Error too_long(int64_t tokens, int64_t completion, int64_t window) {
  return base::make_error(
      base::Code::invalid, "CONTEXT_TOO_LONG",
      fmt::format("the conversation has about {} tokens, and {} are wanted for the answer; the model takes {} in all. "
                  "Send less of it, or choose a model with a larger context window",
                  tokens, completion, window),
      {}, "messages");
}

void report_trim(const core::RequestContext& context) {
  if (context.trace != nullptr) context.trace->add_degraded(kTrimmed);
}

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

int64_t wanted_of(const json::object& body, int64_t otherwise) {
  for (const std::string_view key : {"max_completion_tokens", "max_tokens"}) {
    const json::value* value = body.if_contains(key);
    if (value != nullptr && value->is_int64() && value->get_int64() > 0) return value->get_int64();
  }
  return otherwise;
}

}  // namespace

FittedModel::FittedModel(std::shared_ptr<core::ChatModel> inner, FitOptions options, const text::BpeCounter& counter)
    : inner_(std::move(inner)), options_(options), counter_(counter) {}

int64_t FittedModel::count(std::string_view text) const {
  return static_cast<int64_t>(counter_.count(text)) + kMessageTokens;
}

Task<base::Result<std::string>> FittedModel::relay(const core::RequestContext& context,
                                                   const core::RelayRequest& request, core::RelaySink* sink,
                                                   core::RelayReport& report) {
  // A body of so few bytes has fewer tokens yet; what it wants for the answer, the provider holds it to.
  const bool fits = static_cast<int64_t>(request.body.size()) + options_.completion <= options_.window;
  const bool counts = !fits && (options_.trim || options_.relayed);
  return counts ? relay_counted(context, request, sink, report) : inner_->relay(context, request, sink, report);
}

Task<base::Result<std::string>> FittedModel::relay_counted(const core::RequestContext& context,
                                                           const core::RelayRequest& request, core::RelaySink* sink,
                                                           core::RelayReport& report) {
  boost::system::error_code failed;
  json::value parsed = json::parse(request.body, failed);
  json::value* list = failed || !parsed.is_object() ? nullptr : parsed.get_object().if_contains("messages");
  if (list == nullptr || !list->is_array()) co_return co_await inner_->relay(context, request, sink, report);
  json::array& messages = list->get_array();
  std::vector<Sized> sized;
  for (const json::value& message : messages) {
    const std::string_view role = message.is_object() ? text_at(message.get_object(), "role") : std::string_view();
    sized.push_back({.tokens = count(json::serialize(message)),
                     .instruction = role == "system" || role == "developer",
                     .tool_result = role == "tool"});
  }
  const int64_t wanted = wanted_of(parsed.get_object(), options_.completion);
  int64_t tokens = 0;
  for (const Sized& each : sized) tokens += each.tokens;
  if (tokens + wanted <= options_.window) co_return co_await inner_->relay(context, request, sink, report);
  const auto kept = options_.trim ? choose(sized, options_.window - wanted) : std::nullopt;
  if (!kept) co_return std::unexpected(too_long(tokens, wanted, options_.window));
  json::array fewer;
  for (size_t i = 0; i < messages.size(); ++i) {
    if ((*kept)[i]) fewer.push_back(std::move(messages[i]));
  }
  messages = std::move(fewer);
  core::RelayRequest shorter;
  shorter.model = request.model;
  shorter.stream = request.stream;
  shorter.include_usage = request.include_usage;
  shorter.body = json::serialize(parsed);
  report_trim(context);
  co_return co_await inner_->relay(context, shorter, sink, report);
}

Task<base::Result<core::ChatCompletion>> FittedModel::generate(const core::RequestContext& context,
                                                               const core::ChatRequest& request, core::ChatSink* sink) {
  int64_t bytes = request.max_tokens.value_or(options_.completion);
  for (const core::ChatMessage& message : request.messages) {
    bytes += static_cast<int64_t>(message.content.size() + message.extra_json.size()) + kMessageTokens;
  }
  return bytes <= options_.window ? inner_->generate(context, request, sink) : generate_counted(context, request, sink);
}

Task<base::Result<core::ChatCompletion>> FittedModel::generate_counted(const core::RequestContext& context,
                                                                       const core::ChatRequest& request,
                                                                       core::ChatSink* sink) {
  std::vector<Sized> sized;
  int64_t tokens = 0;
  for (const core::ChatMessage& message : request.messages) {
    const int64_t extra = message.extra_json.empty() ? 0 : count(message.extra_json);
    sized.push_back({.tokens = count(message.content) + extra,
                     .instruction = message.role == core::Role::system,
                     .tool_result = message.role == core::Role::tool});
    tokens += sized.back().tokens;
  }
  const int64_t wanted = request.max_tokens.value_or(options_.completion);
  if (tokens + wanted <= options_.window) co_return co_await inner_->generate(context, request, sink);
  const auto kept = options_.trim ? choose(sized, options_.window - wanted) : std::nullopt;
  if (!kept) co_return std::unexpected(too_long(tokens, wanted, options_.window));
  core::ChatRequest shorter = request;
  shorter.messages.clear();
  for (size_t i = 0; i < request.messages.size(); ++i) {
    if ((*kept)[i]) shorter.messages.push_back(request.messages[i]);
  }
  report_trim(context);
  co_return co_await inner_->generate(context, shorter, sink);
}

}  // namespace tessera::llm
