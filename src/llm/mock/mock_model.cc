#include "llm/mock/mock_model.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <vector>

#include "async/deadline.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using base::Code;
using core::Task;

constexpr int64_t kWordsMax = 100'000;
constexpr std::string_view kFiller[] = {"lorem", "ipsum",      "dolor", "sit", "amet",    "consectetur",
                                        "elit",  "adipiscing", "sed",   "do",  "eiusmod", "tempor"};

struct Script {
  std::optional<std::string> answer;
  int64_t words = 50;
  base::Millis delay{0};
  std::optional<Code> fail;
  int64_t fail_after = 0;
  std::optional<base::Millis> retry_after;
};

std::optional<Code> parse_code(std::string_view word) {
  for (int code = 0; code <= static_cast<int>(Code::internal); ++code) {
    if (base::to_string(static_cast<Code>(code)) == word) return static_cast<Code>(code);
  }
  return std::nullopt;
}

std::unexpected<base::Error> bad_script() {
  return base::fail(Code::invalid, "BAD_PARAMETERS",
                    "\"mock\" takes answer, words, delay_ms, fail, fail_after and "
                    "retry_after_ms",
                    "", "mock");
}

base::Result<Script> read_script(const std::string& parameters_json, const MockOptions& options) {
  Script script;
  script.delay = options.token_delay;
  if (parameters_json.empty()) return script;
  boost::system::error_code failed;
  const json::value parameters = json::parse(parameters_json, failed);
  if (failed || !parameters.is_object()) return bad_script();
  const json::value* mock = parameters.get_object().if_contains("mock");
  if (mock == nullptr) return script;
  if (!mock->is_object()) return bad_script();
  for (const auto& [key, value] : mock->get_object()) {
    const bool number = value.is_int64() && value.get_int64() >= 0;
    if (key == "answer" && value.is_string())
      script.answer = std::string(value.get_string());
    else if (key == "words" && number)
      script.words = std::min(value.get_int64(), kWordsMax);
    else if (key == "delay_ms" && number)
      script.delay = base::Millis(value.get_int64());
    else if (key == "fail" && value.is_string() && parse_code(value.get_string()))
      script.fail = parse_code(value.get_string());
    else if (key == "fail_after" && number)
      script.fail_after = value.get_int64();
    else if (key == "retry_after_ms" && number)
      script.retry_after = base::Millis(value.get_int64());
    else
      return bad_script();
  }
  return script;
}

std::string answer_to(const core::ChatRequest& request, const Script& script) {
  if (script.answer) return *script.answer;
  std::string answer;
  if (request.model.ends_with("/lorem")) {
    for (int64_t i = 0; i < script.words; ++i) {
      if (i > 0) answer += ' ';
      answer += kFiller[static_cast<size_t>(i) % std::size(kFiller)];
    }
    return answer;
  }
  for (const core::ChatMessage& message : request.messages) {
    if (message.role == core::Role::user) answer = message.content;
  }
  return answer;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t space = text.find(' ', 1);
    words.push_back(text.substr(0, space));
    text.remove_prefix(words.back().size());
  }
  return words;
}

}  // namespace

Task<base::Result<core::ChatCompletion>> MockModel::generate(const core::RequestContext& context,
                                                             const core::ChatRequest& request, core::ChatSink* sink) {
  TESSERA_CO_TRY(const Script script, read_script(request.parameters_json, options_));
  core::ChatCompletion completion;
  completion.model = request.model;
  completion.finish_reason = "stop";
  const std::string answer = answer_to(request, script);
  const auto most = request.max_tokens ? request.max_tokens : request.otherwise.max_tokens;
  int64_t given = 0;
  const auto failure = [&] {
    base::Error error = base::make_error(*script.fail, "MOCK_FAILURE", "the mock model was told to fail");
    error.retry_after = script.retry_after;
    return std::unexpected(std::move(error));
  };
  for (const std::string_view word : words_of(answer)) {
    TESSERA_CO_CHECK(context.check(clock_));
    if (script.fail && given >= script.fail_after) co_return failure();
    if (most && given >= *most) {
      completion.finish_reason = "length";
      break;
    }
    if (script.delay.count() > 0) TESSERA_CO_CHECK(co_await async::sleep_for(script.delay, context.cancel));
    completion.content += word;
    if (sink != nullptr) TESSERA_CO_CHECK(co_await sink->on_delta(core::ChatDelta{std::string(word), {}}));
    ++given;
  }
  if (script.fail) co_return failure();
  for (const core::ChatMessage& message : request.messages) {
    completion.usage.prompt_tokens += static_cast<int64_t>(words_of(message.content).size());
  }
  completion.usage.completion_tokens = given;
  co_return completion;
}

}  // namespace tessera::llm
