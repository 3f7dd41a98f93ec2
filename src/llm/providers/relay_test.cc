#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "llm/providers/openai_model.h"
#include "llm/providers/relay_answer.h"
#include "llm/providers/relay_request.h"
#include "llm/providers/scripted_server_test.h"
#include "llm/providers/translated_model.h"

namespace tessera::llm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Scripted;
using testing::ScriptedServer;
using testing::sse;

class KeepingSink final : public core::RelaySink {
 public:
  std::vector<std::string> calls;
  std::function<base::Result<>()> before;
  core::Task<base::Result<>> on_events(std::string_view events) override {
    if (before) TESSERA_CO_CHECK(before());
    calls.emplace_back(events);
    co_return base::Result<>{};
  }
  [[nodiscard]] std::string all() const {
    std::string out;
    for (const std::string& each : calls) out += each;
    return out;
  }
};

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

const std::string kOdd =  // spaces, escapes and order that no serializer would give back
    "{ \"usage\" : {\"prompt_tokens\":70,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":64}},\n"
    " \"odd\\u0020field\": 1.50e1, \"model\":\"gpt-x-2025\",\"choices\":[{\"message\":{\"content\":\"H\\u00e9\\n\","
    "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\",\"index\":0}] }";
const std::string kFirst =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}],\"model\":\"gpt-x-2025\"}\n\n";
const std::string kSecond =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n";
const std::string kUsage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n";
const std::string kDone = "data: [DONE]\n\n";

class Relay : public ::testing::Test {
 protected:
  ScriptedServer server{{reply(kOdd)}};
  core::RequestContext context;
  core::RelayRequest request{.model = "test/gpt-x", .body = R"({"messages":[]})"};
  core::RelayReport report;
  KeepingSink sink;

  base::Result<std::string> run(core::RelaySink* into, const char* kind = "openai") {
    ProviderOptions options = server.options();
    options.kind = find_provider_kind(kind);
    report = {};
    request.stream = into != nullptr;
    return async::sync_wait(make_provider_model(server.client(options))->relay(context, request, into, report));
  }
};

TEST_F(Relay, GivesTheAnswerBackByteForByte) {
  const auto answer = run(nullptr);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, kOdd);
  EXPECT_EQ(report.provider, "test");
  EXPECT_EQ(report.model, "gpt-x-2025");
  EXPECT_EQ(report.usage.prompt_tokens, 70);
  EXPECT_EQ(report.usage.completion_tokens, 2);
  EXPECT_EQ(report.usage.cached_prompt_tokens, 64);
  EXPECT_TRUE(report.usage_reported);
  EXPECT_EQ(report.finish_reason, "stop");
  EXPECT_EQ(report.answer_bytes, 6);
  EXPECT_FALSE(report.started);
}

TEST_F(Relay, ChangesOnlyWhatItMust) {
  const auto body = [](std::string_view body, bool stream, const char* kind = "openai") {
    return relay_request_body(body, {"gpt-x", stream, *find_provider_kind(kind)}).value_or("refused");
  };
  EXPECT_EQ(body(R"({"a": 1.0e2 ,"model":"z","messages":[ {"x":"\u00e9"} ],"stream":true,"b":null})", false),
            R"({"model":"gpt-x","a":1.0e2,"messages":[ {"x":"\u00e9"} ],"b":null})");
  EXPECT_EQ(body(R"({"model":"a","mod\u0065l":"b","stream":false})", true),
            R"({"model":"gpt-x","stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(body(R"({"stream_options":{"include_usage":false,"x":[1, 2]},"c":1})", true),
            R"({"model":"gpt-x","stream":true,"stream_options":{"x":[1, 2],"include_usage":true},"c":1})");
  EXPECT_EQ(body(R"({"stream_options":null})", true),
            R"({"model":"gpt-x","stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(body(R"({"stream_options":{"include_usage":true}})", false), R"({"model":"gpt-x"})");
  EXPECT_EQ(
      body(R"({"max_completion_tokens":5,"messages":[{"role":"developer","content":"\"developer\""}]})", true,
           "mistral"),
      R"({"model":"gpt-x","stream":true,"max_tokens":5,"messages":[{"role":"system","content":"\"developer\""}]})");
  for (const char* bad : {"", "[]", "{", "{\"a\":}", "{} x"}) EXPECT_EQ(body(bad, true), "refused") << bad;
}

TEST_F(Relay, AsksEachKindWhereItListens) {
  ASSERT_TRUE(run(nullptr));
  EXPECT_EQ(server.received().back().path, "/v1/chat/completions");
  EXPECT_EQ(server.received().back().authorization, "Bearer secret-key");
  request.model = "test/my gpt";
  ASSERT_TRUE(run(nullptr, "azure"));
  EXPECT_EQ(server.received().back().path, "/v1/deployments/my gpt/chat/completions");
  EXPECT_EQ(server.received().back().query, "api-version=2024-10-21");
  EXPECT_EQ(server.received().back().authorization, "");
  EXPECT_EQ(server.received().back().key_header, "secret-key");
  const ProviderKind& azure = *find_provider_kind("azure");
  EXPECT_EQ(provider_path(azure, azure.embeddings, "e"), "/deployments/e/embeddings?api-version=2024-10-21");
  EXPECT_EQ(provider_path(azure, azure.embeddings, "e", "2025-04-01-preview"),
            "/deployments/e/embeddings?api-version=2025-04-01-preview");
}

TEST_F(Relay, KindsAreSound) {
  std::vector<std::string_view> names;
  for (const ProviderKind& kind : provider_kinds()) {
    EXPECT_EQ(std::ranges::count(names, kind.name), 0) << kind.name;
    names.push_back(kind.name);
    for (const std::string_view path :
         {kind.chat, kind.models, kind.embeddings, kind.transcriptions, kind.rerank, kind.responses})
      EXPECT_TRUE(path.empty() || path.starts_with('/')) << kind.name << path;
    EXPECT_TRUE(kind.base_url.empty() || kind.base_url.starts_with("http")) << kind.name;
    EXPECT_FALSE(kind.base_url.ends_with('/')) << kind.name;
  }
  EXPECT_EQ(find_provider_kind("nobody"), nullptr);
}

TEST_F(Relay, PassesEventsOnAsTheyAre) {
  const std::string odd =
      ": waiting\n\n" + kFirst + "event: x\r\nid: 7\r\ndata: {\"choices\":[],\r\ndata: \"y\":1}\r\n\r\n" + kSecond;
  server.restart({stream_of({odd + kUsage + kDone})});
  request.include_usage = true;
  ASSERT_TRUE(run(&sink));
  EXPECT_EQ(sink.all(), odd + kUsage + kDone);
  EXPECT_EQ(report.usage.prompt_tokens, 7);
  EXPECT_EQ(report.answer_bytes, 5);
  EXPECT_EQ(report.model, "gpt-x-2025");
  EXPECT_TRUE(report.started);

  request.include_usage = false;
  sink.calls.clear();
  server.restart({stream_of({odd + kUsage + kDone})});
  ASSERT_TRUE(run(&sink));
  EXPECT_EQ(sink.all(), odd + kDone) << "the client did not want the usage";
  EXPECT_TRUE(report.usage_reported);
}

TEST_F(Relay, StreamsCutAnywhereGiveTheSameEvents) {
  core::RelayReport seen;
  for (const std::string before : {"", "\xEF\xBB\xBF", "\xEF\xBB\xBF\n"}) {
    const std::string whole = before + kFirst + kSecond + kUsage + kDone;
    for (size_t cut = 0; cut <= whole.size(); ++cut) {
      RelayStream stream({"test", "", false}, seen);
      std::string out(stream.feed(whole.substr(0, cut)));
      EXPECT_TRUE(out.empty() || out.ends_with("\n\n"));
      EXPECT_EQ(out.size() >= kFirst.size(), cut >= before.size() + kFirst.size()) << "a whole event is not held back";
      out += stream.feed(whole.substr(cut));
      EXPECT_TRUE(stream.done());
      EXPECT_EQ(out, kFirst + kSecond + kDone) << cut;
    }
  }
}

TEST_F(Relay, EventsOfOneReadGoInOneCall) {
  server.restart({stream_of({kFirst + kFirst + kSecond.substr(0, 20), kSecond.substr(20) + kDone})});
  ASSERT_TRUE(run(&sink));
  EXPECT_EQ(sink.all(), kFirst + kFirst + kSecond + kDone);
  EXPECT_LE(sink.calls.size(), 2u);
}

TEST_F(Relay, AFinishedStreamGetsItsDone) {
  for (const std::string& ending :
       {kFirst + kSecond, kFirst + kSecond.substr(0, kSecond.size() - 1),
        kFirst + kSecond.substr(0, kSecond.size() - 2), kFirst + kSecond + "data: [DONE]"}) {
    for (const auto end : {Scripted::End::orderly, Scripted::End::cut}) {
      if (end == Scripted::End::cut && ending != kFirst + kSecond) continue;
      sink.calls.clear();
      server.restart({stream_of({ending}, end)});
      const auto result = run(&sink);
      ASSERT_TRUE(result) << ending << result.error().message;
      EXPECT_THAT(sink.all(), ::testing::StartsWith(kFirst)) << ending;
      EXPECT_TRUE(sink.all().ends_with(kDone)) << ending;
    }
  }
}

TEST_F(Relay, BrokenStreamsAreErrorsWithTheirReport) {
  const struct {
    Scripted script;
    base::Code code;
    const char* name;
  } cases[] = {
      {stream_of({kFirst}), base::Code::upstream, "STREAM_BROKEN"},
      {stream_of({kFirst}, Scripted::End::cut), base::Code::upstream, "STREAM_BROKEN"},
      {stream_of({kFirst + "data: {\"choi"}, Scripted::End::cut), base::Code::upstream, "STREAM_BROKEN"},
      {stream_of({kFirst + "data: {\"choi"}), base::Code::upstream, "STREAM_BROKEN"},
      {stream_of({kFirst + "data: {no}\n\n"}), base::Code::upstream, "BAD_RESPONSE"},
      {stream_of({kFirst + "data: {\"error\":{\"message\":\"key secret-key is worn\"}}\n\n" + kSecond}),
       base::Code::upstream, "PROVIDER_FAILED"},
      {stream_of({kFirst + "data: {\"error\":{\"code\":429,\"message\":\"slow\"}}\n\n"}), base::Code::exhausted,
       "PROVIDER_RATE_LIMIT"},
      {stream_of({kFirst + "data: {\"error\":{\"type\":\"overloaded_error\"}}\n\n"}), base::Code::unavailable,
       "PROVIDER_UNAVAILABLE"},
  };
  for (const auto& each : cases) {
    sink.calls.clear();
    server.restart({each.script});
    const auto result = run(&sink);
    ASSERT_FALSE(result) << each.name;
    EXPECT_EQ(result.error().code, each.code) << each.name;
    EXPECT_EQ(result.error().name, each.name);
    EXPECT_EQ(sink.all(), kFirst) << "what came before the failure was passed on, nothing after";
    EXPECT_EQ(report.answer_bytes, 3);
    EXPECT_TRUE(report.started);
    EXPECT_THAT(result.error().message + result.error().detail, Not(HasSubstr("secret-key")));
  }
}

TEST_F(Relay, CommentsAreNoAnswer) {
  server.restart({stream_of({": waiting\n\ndata: {\"error\":\"none\"}\n\n"})});
  EXPECT_FALSE(run(&sink));
  EXPECT_EQ(sink.all(), ": waiting\n\n");
  EXPECT_FALSE(report.started) << "another provider may still answer";
}

TEST_F(Relay, ChoicesFinishOneByOne) {
  const std::string two = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n";
  server.restart({stream_of({two + kFirst + kSecond})});
  EXPECT_EQ(run(&sink).error().name, "STREAM_BROKEN");
  EXPECT_EQ(report.answer_bytes, 6);
}

TEST_F(Relay, AnErrorInAGoodResponseIsAnError) {
  server.restart({reply(R"({"error":{"code":503,"message":"secret-key"}})")});
  EXPECT_EQ(run(nullptr).error().name, "PROVIDER_UNAVAILABLE");
  server.restart({reply(R"({"error":{"message":"bad secret-key"}})")});
  const auto refused = run(nullptr);
  EXPECT_EQ(refused.error().name, "PROVIDER_FAILED");
  EXPECT_THAT(refused.error().message, Not(HasSubstr("secret-key")));
  for (const char* bad : {"", "x", "[]", "{}", R"({"choices":[]})", R"({"choices":[{}]} x)"}) {
    server.restart({reply(bad)});
    EXPECT_EQ(run(nullptr).error().name, "BAD_RESPONSE") << bad;
  }
}

TEST_F(Relay, AReaderThatLeavesEndsTheCall) {
  sink.before = [] { return base::Result<>(base::fail(base::Code::cancelled, "CLIENT_GONE", "gone")); };
  server.restart({stream_of({kFirst}, Scripted::End::silence)});
  EXPECT_EQ(run(&sink).error().name, "CLIENT_GONE");
  EXPECT_TRUE(server.client_left());
}

}  // namespace
}  // namespace tessera::llm
