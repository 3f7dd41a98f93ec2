#include "llm/providers/openai_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "async/deadline.h"
#include "llm/providers/openai_dialect.h"
#include "llm/providers/scripted_server_test.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Scripted;
using testing::ScriptedServer;
using testing::sse;

class KeepingSink final : public core::ChatSink {
 public:
  std::string text;
  std::vector<std::string> extras;
  std::function<base::Result<>()> before;
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    if (before) TESSERA_CO_CHECK(before());
    text += delta.text;
    if (!delta.extra_json.empty()) extras.push_back(delta.extra_json);
    co_return base::Result<>{};
  }
};

const std::string kWhole =
    R"({"model":"gpt-x-2025","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}})";

std::string text_chunk(std::string_view text) {
  return json::serialize(json::value{
      {"model", "gpt-x-2025"}, {"choices", {json::value{{"index", 0}, {"delta", {{"content", std::string(text)}}}}}}});
}
const std::string kStop = R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
const std::string kUsage = R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}})";
const std::string kStream = sse({text_chunk("Hel"), text_chunk("lo \xC3\xA9"), kStop, kUsage, "[DONE]"});

Scripted reply(std::string body, int status = 200) {
  Scripted script;
  script.status = status;
  script.pieces = {std::move(body)};
  return script;
}
Scripted stream_of(std::vector<std::string> pieces, Scripted::End end = Scripted::End::orderly) {
  Scripted script;
  script.pieces = std::move(pieces);
  if (script.pieces.size() == 1) script.pieces.emplace_back();
  script.end = end;
  return script;
}

class OpenAi : public ::testing::Test {
 protected:
  ScriptedServer server{{reply(kWhole)}};
  core::RequestContext context;
  core::ChatRequest request;
  KeepingSink sink;

  void SetUp() override {
    request.model = "test/gpt-x";
    request.messages = {{core::Role::system, "Be brief.", ""}, {core::Role::user, "Hi", ""}};
  }
  base::Result<core::ChatCompletion> run(core::ChatSink* into) { return run(into, server.options()); }
  base::Result<core::ChatCompletion> run(core::ChatSink* into, ProviderOptions options) {
    OpenAiModel model(server.client(std::move(options)));
    return async::sync_wait(model.generate(context, request, into));
  }
  json::object sent() { return json::parse(server.received().back().body).as_object(); }
};

TEST_F(OpenAi, CompletesAndPassesParametersThrough) {
  request.parameters_json =
      R"({"top_p":0.25,"seed":12345678901234,"tools":[{"type":"function","function":{"name":"f"}}],"logit_bias":{"5":-1},)"
      R"("response_format":{"type":"json_object"},"unknown_field":[1,"x",null]})";
  request.temperature = 0.5;
  request.max_tokens = 20;
  const auto completion = run(nullptr);
  ASSERT_TRUE(completion) << completion.error().message;
  EXPECT_EQ(completion->content, "Hello");
  EXPECT_EQ(completion->model, "gpt-x-2025");
  EXPECT_EQ(completion->finish_reason, "stop");
  EXPECT_EQ(completion->extra_json, "");
  EXPECT_EQ(completion->usage.prompt_tokens, 7);
  EXPECT_EQ(completion->usage.completion_tokens, 2);

  const auto received = server.received().back();
  EXPECT_EQ(received.path, "/v1/chat/completions");
  EXPECT_EQ(received.authorization, "Bearer secret-key");
  EXPECT_EQ(received.extra_header, "yes");
  json::object expected = json::parse(request.parameters_json).as_object();
  expected["model"] = "gpt-x";
  expected["temperature"] = 0.5;
  expected["max_tokens"] = 20;
  expected["messages"] = json::parse(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])");
  EXPECT_EQ(sent(), expected);
}

TEST_F(OpenAi, ParametersOfTheClientWin) {
  request.parameters_json = R"({"temperature":1.5,"max_completion_tokens":9,"stream":true,"stream_options":{"x":1}})";
  request.temperature = 0.5;
  request.max_tokens = 20;
  ASSERT_TRUE(run(nullptr));
  EXPECT_EQ(sent()["temperature"], 1.5);
  EXPECT_FALSE(sent().contains("max_tokens"));
  EXPECT_FALSE(sent().contains("stream"));
  server.restart({stream_of({kStream})});
  ASSERT_TRUE(run(&sink));
  EXPECT_EQ(sent()["stream"], true);
  EXPECT_EQ(sent()["stream_options"], json::parse(R"({"x":1,"include_usage":true})"));
}

TEST_F(OpenAi, CarriesToolCallsBothWays) {
  server.restart(
      {reply(R"({"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)"
             R"("function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]})")});
  request.messages.push_back({core::Role::assistant, "", R"({"tool_calls":[{"id":"c0"}]})"});
  request.messages.push_back({core::Role::tool, "42", R"({"tool_call_id":"c0"})"});
  request.messages.push_back(
      {core::Role::user, "", R"({"content":[{"type":"image_url","image_url":{"url":"data:"}}]})"});
  const auto completion = run(nullptr);
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->finish_reason, "tool_calls");
  EXPECT_EQ(completion->model, "gpt-x");
  EXPECT_EQ(json::parse(completion->extra_json).at("tool_calls").at(0).at("function").at("name"), "f");
  const json::array messages = sent()["messages"].as_array();
  EXPECT_EQ(messages[2], json::parse(R"({"role":"assistant","content":null,"tool_calls":[{"id":"c0"}]})"));
  EXPECT_EQ(messages[3], json::parse(R"({"role":"tool","content":"42","tool_call_id":"c0"})"));
  EXPECT_TRUE(messages[4].at("content").is_array());
}

TEST_F(OpenAi, StreamsCutAtEveryByte) {
  for (size_t cut = 1; cut < kStream.size(); ++cut) {
    server.restart({stream_of({kStream.substr(0, cut), kStream.substr(cut)})});
    KeepingSink keeping;
    const auto completion = run(&keeping);
    ASSERT_TRUE(completion) << "cut at " << cut << ": " << completion.error().message;
    EXPECT_EQ(completion->content, "Hello \xC3\xA9");
    EXPECT_EQ(keeping.text, completion->content);
    EXPECT_EQ(completion->usage.completion_tokens, 2);
  }
  std::vector<std::string> bytes;
  for (const char c : kStream) bytes.emplace_back(1, c);
  server.restart({stream_of(bytes)});
  ASSERT_TRUE(run(&sink));
  EXPECT_EQ(sink.text, "Hello \xC3\xA9");
  EXPECT_EQ(sent()["stream_options"].at("include_usage"), true);
}

TEST_F(OpenAi, JoinsToolCallDeltas) {
  server.restart({stream_of({sse(
      {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]})",
       R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}]}}]})",
       R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]})",
       R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":"}"}}]}}]})",
       R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})", "[DONE]"})})});
  const auto completion = run(&sink);
  ASSERT_TRUE(completion);
  EXPECT_EQ(
      json::parse(completion->extra_json),
      json::parse(R"({"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
                  R"({"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]})"));
  EXPECT_EQ(sink.extras.size(), 4u);
  EXPECT_EQ(sink.text, "");
}

TEST_F(OpenAi, BrokenStreamsAreErrors) {
  const struct {
    Scripted script;
    const char* name;
    const char* text;
  } cases[] = {
      {stream_of({sse({text_chunk("Hel")})}), "STREAM_BROKEN", "Hel"},
      {stream_of({sse({text_chunk("Hel")})}, Scripted::End::cut), "STREAM_BROKEN", "Hel"},
      {stream_of({sse({text_chunk("Hel")}) + "data: {\"choi"}, Scripted::End::cut), "STREAM_BROKEN", "Hel"},
      {stream_of({"", ""}), "STREAM_BROKEN", ""},
      {stream_of({sse({text_chunk("Hel"), "{nonsense"})}), "BAD_RESPONSE", "Hel"},
      {stream_of({sse({text_chunk("Hel"), R"({"error":{"message":"model overloaded"}})"})}), "PROVIDER_FAILED", "Hel"},
  };
  for (const auto& each : cases) {
    server.restart({each.script});
    KeepingSink keeping;
    const auto completion = run(&keeping);
    ASSERT_FALSE(completion) << each.name;
    EXPECT_EQ(completion.error().code, base::Code::upstream);
    EXPECT_EQ(completion.error().name, each.name);
    EXPECT_EQ(keeping.text, each.text);
    EXPECT_EQ(server.received().size(), 1u) << "nothing is repeated once bytes came";
  }
}

TEST_F(OpenAi, AStreamWithoutDoneIsWholeWhenItFinished) {
  server.restart({stream_of({sse({text_chunk("Hello"), kStop})})});
  ASSERT_TRUE(run(&sink));
  server.restart({stream_of({sse({text_chunk("Hello"), kStop})}, Scripted::End::cut)});
  ASSERT_TRUE(run(&sink));
  EXPECT_EQ(sink.text, "HelloHello");
}

TEST_F(OpenAi, ErrorsSayWhatToDo) {
  const std::string said =
      R"({"error":{"message":"no such tool","type":"invalid_request_error","param":"tools","code":"c"}})";
  const struct {
    int status;
    std::string body;
    base::Code code;
    const char* name;
    size_t tries;
  } cases[] = {
      {400, said, base::Code::invalid, "PROVIDER_REFUSED", 1},
      {404, said, base::Code::invalid, "PROVIDER_MODEL_MISSING", 1},
      {422, "<html>", base::Code::invalid, "PROVIDER_REFUSED", 1},
      {401, said, base::Code::upstream, "PROVIDER_AUTH", 1},
      {403, said, base::Code::upstream, "PROVIDER_AUTH", 1},
      {429, said, base::Code::exhausted, "PROVIDER_RATE_LIMIT", 3},
      {429, R"({"error":{"code":"insufficient_quota"}})", base::Code::exhausted, "PROVIDER_QUOTA", 1},
      {500, said, base::Code::upstream, "PROVIDER_FAILED", 3},
      {502, "", base::Code::upstream, "PROVIDER_FAILED", 3},
      {503, said, base::Code::unavailable, "PROVIDER_UNAVAILABLE", 3},
      {504, said, base::Code::deadline, "PROVIDER_TIMEOUT", 3},
  };
  for (const auto& each : cases) {
    for (core::ChatSink* into : {static_cast<core::ChatSink*>(nullptr), static_cast<core::ChatSink*>(&sink)}) {
      server.restart({reply(each.body, each.status)});
      const auto completion = run(into);
      ASSERT_FALSE(completion) << each.status;
      EXPECT_EQ(completion.error().code, each.code) << each.status;
      EXPECT_EQ(completion.error().name, each.name) << each.status;
      EXPECT_EQ(server.received().size(), each.tries) << each.status;
      EXPECT_THAT(completion.error().message + completion.error().detail, Not(HasSubstr("secret-key")));
      if (each.status == 400) {
        EXPECT_EQ(completion.error().message, "no such tool");
        EXPECT_EQ(completion.error().param, "tools");
      } else if (each.code != base::Code::invalid) {
        EXPECT_THAT(completion.error().message, Not(HasSubstr("no such tool")));
      }
    }
  }
}

TEST_F(OpenAi, TriesAgainAndSucceeds) {
  Scripted slow = reply("{}", 429);
  slow.headers = {{"Retry-After", "0.01"}};
  int retries = 0;
  ProviderOptions counted = server.options();
  counted.on_retry = [&retries] { ++retries; };
  server.restart({slow, reply("", 500), reply(kWhole)});
  EXPECT_TRUE(run(nullptr, counted));
  EXPECT_EQ(retries, 2);
  EXPECT_EQ(server.received().size(), 3u);
  EXPECT_EQ(server.received()[0].body, server.received()[2].body);

  ProviderOptions once = server.options();
  once.attempts_max = 1;
  server.restart({reply("", 500), reply(kWhole)});
  EXPECT_FALSE(run(nullptr, once));
}

TEST_F(OpenAi, DoesNotHoldARequestForALongRetryAfter) {
  Scripted slow = reply("{}", 429);
  slow.headers = {{"Retry-After", "7"}};
  server.restart({slow, reply(kWhole)});
  const auto completion = run(nullptr);
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().retry_after, base::Millis(7000));
  EXPECT_EQ(server.received().size(), 1u);
}

TEST_F(OpenAi, NeverWaitsBeyondTheDeadline) {
  ProviderOptions patient = server.options();
  patient.backoff_min = patient.backoff_max = base::Millis(60'000);
  context.deadline = std::chrono::steady_clock::now() + base::Millis(5'000);
  server.restart({reply("", 503), reply(kWhole)});
  EXPECT_EQ(run(nullptr, patient).error().code, base::Code::unavailable);
  EXPECT_EQ(server.received().size(), 1u);

  context.deadline = std::chrono::steady_clock::now() + base::Millis(50);
  server.restart({stream_of({sse({text_chunk("Hel")})}, Scripted::End::silence)});
  EXPECT_EQ(run(&sink).error().code, base::Code::deadline);
  EXPECT_TRUE(server.client_left());
  context.deadline = std::chrono::steady_clock::now() - base::Millis(1);
  server.restart({reply(kWhole)});
  EXPECT_EQ(run(nullptr).error().code, base::Code::deadline);
  EXPECT_TRUE(server.received().empty());
}

TEST_F(OpenAi, SilenceIsATimeout) {
  ProviderOptions impatient = server.options();
  impatient.idle_timeout = base::Millis(50);
  server.restart({stream_of({sse({text_chunk("Hel")})}, Scripted::End::silence)});
  const auto completion = run(&sink, impatient);
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().name, "PROVIDER_TIMEOUT");
  EXPECT_TRUE(server.client_left());
}

TEST_F(OpenAi, CancellingClosesTheConnection) {
  async::CancelSource cancel;
  context.cancel = cancel.token();
  sink.before = [&]() -> base::Result<> {
    cancel.cancel();
    return {};
  };
  server.restart({stream_of({sse({text_chunk("Hel")})}, Scripted::End::silence)});
  const auto completion = run(&sink);
  ASSERT_FALSE(completion);
  EXPECT_EQ(completion.error().code, base::Code::cancelled);
  EXPECT_TRUE(server.client_left());
}

TEST_F(OpenAi, AReaderThatLeavesClosesTheConnection) {
  sink.before = [] { return base::Result<>(base::fail(base::Code::cancelled, "CLIENT_GONE", "gone")); };
  server.restart({stream_of({sse({text_chunk("Hel")})}, Scripted::End::silence)});
  EXPECT_EQ(run(&sink).error().name, "CLIENT_GONE");
  EXPECT_TRUE(server.client_left());
}

TEST_F(OpenAi, AnUnreachableProviderIsUnavailable) {
  ProviderOptions options = server.options();
  options.base_url = "http://127.0.0.1:1/v1";
  EXPECT_EQ(run(nullptr, options).error().name, "PROVIDER_UNAVAILABLE");
  options.base_url = "ftp://127.0.0.1/v1";
  EXPECT_EQ(run(nullptr, options).error().name, "PROVIDER_UNUSABLE");
}

TEST_F(OpenAi, WholeAnswersThatAreNotAnswers) {
  for (const char* body :
       {"", "nonsense", "[]", "{}", R"({"choices":[]})", R"({"choices":[{}]})", R"({"choices":[{"message":3}]})"}) {
    server.restart({reply(body)});
    const auto completion = run(nullptr);
    ASSERT_FALSE(completion) << body;
    EXPECT_EQ(completion.error().name, "BAD_RESPONSE") << body;
  }
  server.restart({reply(R"({"error":{"message":"no capacity"}})")});
  EXPECT_EQ(run(nullptr).error().name, "PROVIDER_FAILED");
}

TEST_F(OpenAi, RefusesWhatItCannotCarry) {
  for (const char* parameters : {"[", "[1]", R"({"n":2})"}) {
    request.parameters_json = parameters;
    EXPECT_EQ(run(nullptr).error().code, base::Code::invalid) << parameters;
  }
  request.parameters_json = R"({"n":1})";
  EXPECT_TRUE(run(nullptr));
  request.messages.back().extra_json = "3";
  EXPECT_EQ(run(nullptr).error().name, "BAD_PARAMETERS");
  EXPECT_EQ(server.received().size(), 1u);
}

TEST_F(OpenAi, ListsModels) {
  server.restart({reply(R"({"data":[{"id":"a"},{"id":"b"},{}]})")});
  OpenAiModel model(server.client());
  EXPECT_EQ(*async::sync_wait(model.list_models(context)), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(server.received().back().path, "/v1/models");
}

TEST_F(OpenAi, NamesTheModelAsTheProviderDoes) {
  ProviderOptions options = server.options();
  options.models = {"test/own"};
  const auto client = server.client(options);
  EXPECT_EQ(client->upstream_name("test/gpt-x"), "gpt-x");
  EXPECT_EQ(client->upstream_name("gpt-x"), "gpt-x");
  EXPECT_EQ(client->upstream_name("openai/gpt-x"), "openai/gpt-x");
  EXPECT_EQ(client->upstream_name("test/own"), "test/own");
  options.upstream_model = "gpt-y";
  EXPECT_EQ(server.client(options)->upstream_name("smart"), "gpt-y");
}

TEST(ProviderErrors, ReadRetryAfter) {
  const int64_t now = 1'735'689'600'000;  // 2025-01-01T00:00:00Z
  EXPECT_EQ(retry_after_of({{"Retry-After", "2"}}, now), base::Millis(2000));
  EXPECT_EQ(retry_after_of({{"retry-after", "1.5"}}, now), base::Millis(1500));
  EXPECT_EQ(retry_after_of({{"retry-after", "9"}, {"retry-after-ms", "250"}}, now), base::Millis(250));
  EXPECT_EQ(retry_after_of({{"retry-after", "Wed, 01 Jan 2025 00:00:30 GMT"}}, now), base::Millis(30'000));
  EXPECT_EQ(retry_after_of({{"retry-after", "Tue, 31 Dec 2024 00:00:30 GMT"}}, now), base::Millis(0));
  EXPECT_EQ(retry_after_of({{"retry-after", "1e300"}}, now), base::Millis(3'600'000));
  for (const char* bad : {"", "soon", "-1", "nan", "1 2"})
    EXPECT_EQ(retry_after_of({{"retry-after", bad}}, now), std::nullopt) << bad;
}

}  // namespace
}  // namespace tessera::llm
