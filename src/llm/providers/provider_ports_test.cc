#include "llm/providers/provider_ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "llm/providers/responses_over_chat.h"
#include "llm/providers/scripted_server_test.h"
#include "llm/providers/translated_model.h"
#include "wire/multipart.h"
#include "wire/sse.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using testing::Scripted;
using testing::ScriptedServer;
using testing::sse;

class Ports : public ::testing::Test {
 protected:
  ScriptedServer server{{Scripted{}}};
  core::RequestContext context;
  core::RelayReport report;
  base::SystemClock clock;

  std::shared_ptr<ProviderClient> client(std::string answer, const char* kind, bool stream = false) {
    Scripted script;
    script.pieces = {std::move(answer)};
    if (stream) script.pieces.emplace_back();
    server.restart({script});
    ProviderOptions options = server.options();
    options.kind = find_provider_kind(kind);
    report = {};
    return server.client(options);
  }
};

class JoiningSink final : public core::RelaySink {
 public:
  std::string all;
  core::Task<base::Result<>> on_events(std::string_view events) override {
    all += events;
    co_return base::Result<>{};
  }
};

TEST_F(Ports, EmbeddingsPassThrough) {
  const std::string answer =
      R"({"object":"list","data":[ {"index":0,"embedding":"AACAPw=="}],"model":"e-1","usage":{"prompt_tokens":3,"total_tokens":3}})";
  const auto ports = make_provider_ports(client(answer, "openai"));
  const core::RelayRequest request{.model = "test/e",
                                   .body = R"({"input":["a"],"dimensions":1,"encoding_format":"base64","model":"x"})"};
  const auto out = async::sync_wait(ports.embeddings->embeddings(context, request, report));
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, answer);
  EXPECT_EQ(server.received().back().path, "/v1/embeddings");
  EXPECT_EQ(server.received().back().body, R"({"model":"e","input":["a"],"dimensions":1,"encoding_format":"base64"})");
  EXPECT_EQ(report.usage.prompt_tokens, 3);
  EXPECT_EQ(report.model, "e-1");
}

TEST_F(Ports, KindsHaveWhatTheyHave) {
  EXPECT_EQ(make_provider_ports(client("", "anthropic")).embeddings, nullptr);
  EXPECT_EQ(make_provider_ports(client("", "anthropic")).responses, nullptr);
  EXPECT_EQ(make_provider_ports(client("", "openai")).rerank, nullptr);
  EXPECT_NE(make_provider_ports(client("", "vllm")).rerank, nullptr);
  EXPECT_EQ(make_provider_ports(client("", "whisper-server")).models, nullptr);
  const auto ports = make_provider_ports(client(R"({"data":[{"id":"a"}]})", "openai"));
  EXPECT_EQ(*async::sync_wait(ports.models->list_models(context)), std::vector<std::string>{"a"});
}

TEST_F(Ports, RerankPassesThrough) {
  const auto ports = make_provider_ports(client(R"({"results":[{"index":1,"relevance_score":0.5}]})", "llama-server"));
  const core::RelayRequest request{.model = "r", .body = R"({"query":"q","documents":["a","b"]})"};
  EXPECT_EQ(*async::sync_wait(ports.rerank->rerank(context, request, report)),
            R"({"results":[{"index":1,"relevance_score":0.5}]})");
  EXPECT_EQ(server.received().back().path, "/v1/rerank");
}

TEST_F(Ports, TranscriptionsAreForms) {
  const auto ports = make_provider_ports(client("1\n00:00 --> 00:01\nHi", "openai"));
  const std::string sound("RIFF\0\r\n--x\r\n", 12);
  core::RelayRequest request;
  request.model = "test/whisper-1";
  request.form = {
      {"model", "", "", "elsewhere"}, {"file", "a\"b\r\n.wav", "audio/wav", sound}, {"response_format", "", "", "srt"}};
  const auto out = async::sync_wait(ports.transcription->transcribe(context, request, nullptr, report));
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, "1\n00:00 --> 00:01\nHi");
  const auto received = server.received().back();
  EXPECT_EQ(received.path, "/v1/audio/transcriptions");
  const auto boundary = wire::multipart_boundary(received.content_type);
  ASSERT_TRUE(boundary);
  const auto parts = wire::parse_multipart(received.body, *boundary);
  ASSERT_TRUE(parts);
  ASSERT_EQ(parts->size(), 3u);
  EXPECT_EQ((*parts)[0].body, "whisper-1");
  EXPECT_EQ((*parts)[1].body, sound);
  EXPECT_TRUE((*parts)[1].is_file);
  EXPECT_EQ((*parts)[1].content_type, "audio/wav");
  EXPECT_EQ((*parts)[2].body, "srt");
}

TEST_F(Ports, TranscriptionsAreRelayedEventForEvent) {
  JoiningSink sink;
  core::RelayRequest request;
  request.model = "m";
  request.stream = true;
  request.form = {{"file", "a.wav", "audio/wav", "RIFF"}, {"stream", "", "", "true"}};
  const auto delta = R"({"type":"transcript.text.delta","delta":"At seven."})";
  const auto done = R"({"type":"transcript.text.done","text":"At seven.","usage":{"type":"tokens","input_tokens":14,)"
                    R"("output_tokens":3,"total_tokens":17}})";
  auto ports = make_provider_ports(client(sse({delta, done}), "openai", true));
  EXPECT_EQ(*async::sync_wait(ports.transcription->transcribe(context, request, &sink, report)), "");
  EXPECT_EQ(sink.all, sse({delta, done}));
  EXPECT_EQ(report.usage.prompt_tokens, 14);
  EXPECT_EQ(report.usage.completion_tokens, 3);
  EXPECT_TRUE(report.usage_reported);
  EXPECT_EQ(report.answer_bytes, 9);

  report = {};
  ports = make_provider_ports(client(sse({delta}), "openai", true));
  EXPECT_EQ(async::sync_wait(ports.transcription->transcribe(context, request, &sink, report)).error().name,
            "STREAM_BROKEN");
  EXPECT_TRUE(report.started);

  // Models that cannot stream answer whole.
  JoiningSink none;
  ports = make_provider_ports(client(R"({"text":"At seven."})", "openai"));
  EXPECT_EQ(*async::sync_wait(ports.transcription->transcribe(context, request, &none, report)),
            R"({"text":"At seven."})");
  EXPECT_EQ(none.all, "");
}

TEST_F(Ports, AResponseThatFailedIsAnError) {
  JoiningSink sink;
  const core::RelayRequest request{.model = "m", .body = R"({"input":"x"})", .stream = true};
  auto ports = make_provider_ports(
      client(sse({R"({"type":"response.created","response":{"status":"in_progress","error":null}})",
                  R"({"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}})"}),
             "openai", true));
  EXPECT_EQ(async::sync_wait(ports.responses->respond(context, request, &sink, report)).error().name,
            "PROVIDER_RATE_LIMIT");
  EXPECT_EQ(sink.all, sse({R"({"type":"response.created","response":{"status":"in_progress","error":null}})"}));
  ports = make_provider_ports(client(sse({R"({"type":"response.created","response":{}})"}), "openai", true));
  EXPECT_EQ(async::sync_wait(ports.responses->respond(context, request, &sink, report)).error().name, "STREAM_BROKEN");
}

TEST(ResponsesOverChat, TranslatesRequests) {
  const auto chat = responses_to_chat(R"({"model":"m","instructions":"Be brief.","max_output_tokens":9,
    "reasoning":{"effort":"low"},"store":true,"stream":true,"parallel_tool_calls":true,
    "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}},
    "input":[{"role":"user","content":[{"type":"input_text","text":"Hi"},{"type":"input_image","image_url":"data:x"}]},
      {"type":"reasoning","summary":[]},
      {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
      {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
      {"type":"function_call_output","call_id":"c1","output":"1"}],
    "tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true}],
    "tool_choice":{"type":"function","name":"f"}})");
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(json::parse(*chat), json::parse(R"({"model":"m","max_completion_tokens":9,"reasoning_effort":"low",
    "parallel_tool_calls":true,
    "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}},
    "messages":[{"role":"system","content":"Be brief."},
      {"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"data:x"}}]},
      {"role":"assistant","content":null,"tool_calls":[
        {"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},
        {"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"c1","content":"1"}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}],
    "tool_choice":{"type":"function","function":{"name":"f"}}})"));
  for (const char* refused :
       {R"({"input":"x","previous_response_id":"r"})", R"({"input":"x","background":true})",
        R"({"input":"x","tools":[{"type":"web_search"}]})", R"({"input":[{"type":"mcp_call"}]})"}) {
    EXPECT_EQ(responses_to_chat(refused).error().name, "PARAMETER_UNSUPPORTED") << refused;
  }
  for (const char* bad : {R"({})", R"({"input":3})", R"({"input":[3]})"}) {
    EXPECT_EQ(responses_to_chat(bad).error().name, "BAD_PARAMETERS") << bad;
  }
}

TEST_F(Ports, ResponsesOverChatModels) {
  const auto model = [this](std::string answer, bool stream) {
    return make_responses_over_chat(make_provider_model(client(std::move(answer), "groq", stream)), clock);
  };
  core::RelayRequest request{.model = "m", .body = R"({"input":"x"})"};
  const auto whole = async::sync_wait(
      model(
          R"({"id":"c","model":"g","choices":[{"message":{"content":"Hi","tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}})",
          false)
          ->respond(context, request, nullptr, report));
  ASSERT_TRUE(whole) << whole.error().message;
  const json::value response = json::parse(*whole);
  EXPECT_EQ(response.at("status"), "incomplete");
  EXPECT_EQ(response.at("output").at(0).at("content").at(0).at("text"), "Hi");
  EXPECT_EQ(response.at("output").at(1).at("call_id"), "t");
  EXPECT_EQ(response.at("usage").at("input_tokens_details").at("cached_tokens"), 1);

  JoiningSink sink;
  request.stream = true;
  const auto streamed = async::sync_wait(
      model(
          sse({R"({"id":"c","model":"g","choices":[{"index":0,"delta":{"role":"assistant","content":"He"}}]})",
               R"({"choices":[{"index":0,"delta":{"content":"y"}}]})",
               R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"a\""}}]}}]})",
               R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]})",
               R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})",
               R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})", "[DONE]"}),
          true)
          ->respond(context, request, &sink, report));
  ASSERT_TRUE(streamed) << streamed.error().message;
  wire::SseParser parser;
  std::vector<wire::SseEvent> events;
  ASSERT_TRUE(parser.feed(sink.all, events));
  std::vector<std::string> types;
  for (size_t i = 0; i < events.size(); ++i) {
    types.push_back(events[i].event);
    EXPECT_EQ(std::string(json::parse(events[i].data).at("type").as_string()), events[i].event);
    EXPECT_EQ(json::parse(events[i].data).at("sequence_number").as_int64(), static_cast<int64_t>(i));
  }
  EXPECT_EQ(types,
            (std::vector<std::string>{
                "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
                "response.content_part.done", "response.output_item.done", "response.output_item.added",
                "response.function_call_arguments.delta", "response.function_call_arguments.delta",
                "response.function_call_arguments.done", "response.output_item.done", "response.completed"}));
  const json::value last = json::parse(events.back().data).at("response");
  EXPECT_EQ(last.at("output").at(0).at("content").at(0).at("text"), "Hey");
  EXPECT_EQ(last.at("output").at(1).at("arguments"), R"({"a":1})");
  EXPECT_EQ(last.at("usage").at("output_tokens"), 2);
}

}  // namespace
}  // namespace tessera::llm
