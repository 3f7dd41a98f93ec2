#include "llm/providers/translation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "llm/providers/scripted_server_test.h"
#include "llm/providers/translated_model.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using testing::Scripted;
using testing::ScriptedServer;

json::value translated(base::Result<std::string> (*translate)(std::string_view, std::string_view,
                                                              const core::RelayRequest&),
                       std::string_view body, bool stream = false) {
  const core::RelayRequest request{.model = "m", .body = std::string(body), .stream = stream};
  const auto out = translate("test", "m", request);
  EXPECT_TRUE(out) << out.error().message;
  return out ? json::parse(*out) : json::value();
}

std::string refused(base::Result<std::string> (*translate)(std::string_view, std::string_view,
                                                           const core::RelayRequest&),
                    std::string_view body) {
  const auto out = translate("test", "m", {.model = "m", .body = std::string(body)});
  return out ? "taken: " + *out : out.error().name + " " + out.error().param;
}

constexpr std::string_view kConversation = R"({
  "model":"x","max_completion_tokens":50,"temperature":1.7,"top_p":0.5,"stop":"END","user":"u1","seed":3,"top_k":7,
  "messages":[
    {"role":"system","content":"Be brief."},
    {"role":"developer","content":[{"type":"text","text":"And kind."}]},
    {"role":"user","content":[{"type":"text","text":"What is this?"},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
      {"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]},
    {"role":"assistant","content":null,"tool_calls":[
      {"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\":1}"},
       "extra_content":{"google":{"thought_signature":"sig"}}},
      {"id":"c2","type":"function","function":{"name":"listen","arguments":""}}]},
    {"role":"tool","tool_call_id":"c1","content":"{\"saw\":\"cat\"}"},
    {"role":"tool","tool_call_id":"c2","content":"purr"},
    {"role":"user","content":"Well?"}],
  "tools":[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"at":{"type":"integer"}}}}},
           {"type":"function","function":{"name":"listen"}}],
  "tool_choice":"required","parallel_tool_calls":false})";

TEST(Anthropic, TranslatesAConversation) {
  EXPECT_EQ(translated(&anthropic_request, kConversation, true), json::parse(R"({
    "model":"m","stream":true,"max_tokens":50,"temperature":1.0,"top_p":0.5,"stop_sequences":["END"],"top_k":7,
    "metadata":{"user_id":"u1"},
    "system":[{"type":"text","text":"Be brief."},{"type":"text","text":"And kind."}],
    "messages":[
      {"role":"user","content":[{"type":"text","text":"What is this?"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},
        {"type":"image","source":{"type":"url","url":"https://x.test/a.png"}}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"look","input":{"at":1}},
        {"type":"tool_use","id":"c2","name":"listen","input":{}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"{\"saw\":\"cat\"}"}]},
        {"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":"purr"}]},
        {"type":"text","text":"Well?"}]}],
    "tools":[{"name":"look","description":"Looks.","input_schema":{"type":"object","properties":{"at":{"type":"integer"}}}},
      {"name":"listen","input_schema":{"type":"object","properties":{}}}],
    "tool_choice":{"type":"any","disable_parallel_tool_use":true}})"));
}

TEST(Anthropic, AsksForJsonByATool) {
  const json::value out = translated(&anthropic_request, R"({"messages":[{"role":"user","content":"x"}],
    "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","required":["a"]}}}})");
  EXPECT_EQ(out.at("tools").at(0).at("input_schema"), json::parse(R"({"type":"object","required":["a"]})"));
  EXPECT_EQ(out.at("tool_choice").at("type"), "tool");
  EXPECT_EQ(out.at("tool_choice").at("name"), out.at("tools").at(0).at("name"));
  EXPECT_EQ(out.at("max_tokens"), 4096);
}

TEST(Anthropic, ThinksAsHardAsAsked) {
  const json::value low =
      translated(&anthropic_request, R"({"messages":[],"reasoning_effort":"high","temperature":0.2})");
  EXPECT_EQ(low.at("thinking"), json::parse(R"({"type":"enabled","budget_tokens":16384})"));
  EXPECT_GT(low.at("max_tokens").as_int64(), 16384);
  EXPECT_FALSE(low.as_object().contains("temperature"));
  const json::value small =
      translated(&anthropic_request, R"({"messages":[],"reasoning_effort":"high","max_tokens":3000})");
  EXPECT_EQ(small.at("thinking").at("budget_tokens"), 1500);
  EXPECT_EQ(small.at("max_tokens"), 3000);
  const json::value tiny =
      translated(&anthropic_request, R"({"messages":[],"reasoning_effort":"high","max_tokens":300})");
  EXPECT_FALSE(tiny.as_object().contains("thinking"));
}

TEST(Anthropic, SaysWhatItCannotCarry) {
  EXPECT_EQ(refused(&anthropic_request, R"({"messages":[],"n":2})"), "PARAMETER_UNSUPPORTED n");
  EXPECT_EQ(refused(&anthropic_request, R"({"messages":[],"logprobs":true})"), "PARAMETER_UNSUPPORTED logprobs");
  EXPECT_EQ(refused(&anthropic_request, R"({"messages":[],"logit_bias":{"5":1}})"), "PARAMETER_UNSUPPORTED logit_bias");
  EXPECT_EQ(refused(&anthropic_request, R"({"messages":[],"functions":[]})"), "PARAMETER_UNSUPPORTED functions");
  EXPECT_EQ(refused(&anthropic_request, R"({"messages":[{"role":"user","content":[{"type":"input_audio"}]}]})"),
            "PARAMETER_UNSUPPORTED messages");
  for (const char* bad :
       {R"({})", R"({"messages":3})", R"({"messages":[3]})", R"({"messages":[{"role":"x"}]})",
        R"({"messages":[{"role":"user","content":3}]})", R"({"messages":[{"role":"user","content":[3]}]})",
        R"({"messages":[{"role":"assistant","tool_calls":[3]}]})",
        R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":"{"}}]}]})"}) {
    EXPECT_EQ(refused(&anthropic_request, bad), "BAD_PARAMETERS messages") << bad;
    EXPECT_EQ(refused(&gemini_request, bad), "BAD_PARAMETERS messages") << bad;
  }
  EXPECT_EQ(refused(&anthropic_request, "["), "BAD_JSON ");
}

TEST(Gemini, TranslatesAConversation) {
  EXPECT_EQ(translated(&gemini_request, kConversation), json::parse(R"({
    "systemInstruction":{"parts":[{"text":"Be brief."},{"text":"And kind."}]},
    "contents":[
      {"role":"user","parts":[{"text":"What is this?"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}},
        {"fileData":{"mimeType":"image/png","fileUri":"https://x.test/a.png"}}]},
      {"role":"model","parts":[{"functionCall":{"name":"look","args":{"at":1}},"thoughtSignature":"sig"},
        {"functionCall":{"name":"listen","args":{}}}]},
      {"role":"user","parts":[{"functionResponse":{"name":"look","response":{"saw":"cat"}}},
        {"functionResponse":{"name":"listen","response":{"result":"purr"}}},{"text":"Well?"}]}],
    "tools":[{"functionDeclarations":[
      {"name":"look","description":"Looks.","parametersJsonSchema":{"type":"object","properties":{"at":{"type":"integer"}}}},
      {"name":"listen"}]}],
    "toolConfig":{"functionCallingConfig":{"mode":"ANY"}},
    "generationConfig":{"maxOutputTokens":50,"temperature":1.7,"topP":0.5,"topK":7,"seed":3,"stopSequences":["END"]}})"));
}

TEST(Gemini, CarriesFormsEffortAndItsOwnFields) {
  const json::value out = translated(&gemini_request, R"({"messages":[],"n":2,"reasoning_effort":"medium",
    "response_format":{"type":"json_schema","json_schema":{"schema":{"type":"array"}}},
    "safetySettings":[1],"generationConfig":{"speechConfig":2},"tools":[{"googleSearch":{}}],
    "tool_choice":{"type":"function","function":{"name":"f"}}})");
  EXPECT_EQ(out.at("generationConfig"), json::parse(R"({"responseMimeType":"application/json",
    "responseJsonSchema":{"type":"array"},"candidateCount":2,"thinkingConfig":{"thinkingBudget":8192,"includeThoughts":true},
    "speechConfig":2})"));
  EXPECT_EQ(out.at("safetySettings"), json::parse("[1]"));
  EXPECT_EQ(out.at("tools"), json::parse(R"([{"googleSearch":{}}])"));
  EXPECT_EQ(out.at("toolConfig").at("functionCallingConfig").at("allowedFunctionNames").at(0), "f");
  EXPECT_EQ(refused(&gemini_request, R"({"messages":[{"role":"tool","tool_call_id":"none"}]})"),
            "BAD_PARAMETERS messages");
  const auto config = [](const char* body) { return translated(&gemini_request, body).at("generationConfig"); };
  EXPECT_EQ(config(R"({"messages":[],"logprobs":true,"top_logprobs":3})"),
            json::parse(R"({"responseLogprobs":true,"logprobs":3})"));
  EXPECT_EQ(config(R"({"messages":[],"logprobs":true})"), json::parse(R"({"responseLogprobs":true})"));
  EXPECT_FALSE(
      translated(&gemini_request, R"({"messages":[],"logprobs":false})").get_object().contains("generationConfig"));
  EXPECT_EQ(refused(&gemini_request, R"({"messages":[],"top_logprobs":3})"), "BAD_PARAMETERS top_logprobs");
}

/// A provider of another dialect, scripted.
class Translated : public ::testing::Test {
 protected:
  ScriptedServer server{{Scripted{}}};
  core::RequestContext context;
  core::RelayReport report;
  core::RelayRequest request{
      .model = "test/m", .body = R"({"messages":[{"role":"user","content":"x"}]})", .include_usage = true};
  std::string streamed;

  class Sink final : public core::RelaySink {
   public:
    explicit Sink(std::string& into) : into_(into) {}
    core::Task<base::Result<>> on_events(std::string_view events) override {
      into_ += events;
      co_return base::Result<>{};
    }

   private:
    std::string& into_;
  };

  base::Result<std::string> run(const char* kind, std::string body, bool stream) {
    Scripted script;
    script.pieces = {std::move(body)};
    if (stream) script.pieces.emplace_back();
    server.restart({script});
    ProviderOptions options = server.options();
    options.kind = find_provider_kind(kind);
    report = {};
    streamed.clear();
    request.stream = stream;
    Sink sink(streamed);
    return async::sync_wait(
        make_provider_model(server.client(options))->relay(context, request, stream ? &sink : nullptr, report));
  }
};

TEST_F(Translated, AnthropicAnswersWhole) {
  const auto answer = run("anthropic", R"({"id":"msg_1","model":"claude-x","content":[
    {"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"text","text":"Hi "},{"type":"text","text":"there"},
    {"type":"tool_use","id":"t1","name":"look","input":{"at":1}}],"stop_reason":"tool_use",
    "usage":{"input_tokens":5,"cache_read_input_tokens":10,"cache_creation_input_tokens":2,"output_tokens":7,
      "cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":1},"service_tier":"batch"}})",
                          false);
  ASSERT_TRUE(answer) << answer.error().message;
  const json::value out = json::parse(*answer);
  EXPECT_EQ(out.at("object"), "chat.completion");
  EXPECT_EQ(out.at("model"), "claude-x");
  const json::value& choice = out.at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_EQ(choice.at("message").at("content"), "Hi there");
  EXPECT_EQ(choice.at("message").at("reasoning_content"), "Hm.");
  EXPECT_EQ(choice.at("message").at("thinking_blocks").at(0).at("signature"), "s");
  EXPECT_EQ(choice.at("message").at("tool_calls"),
            json::parse(R"([{"id":"t1","type":"function","function":{"name":"look","arguments":"{\"at\":1}"}}])"));
  EXPECT_EQ(out.at("usage").at("prompt_tokens"), 17);
  EXPECT_EQ(out.at("usage").at("prompt_tokens_details").at("cached_tokens"), 10);
  EXPECT_EQ(report.usage.completion_tokens, 7);
  EXPECT_EQ(report.usage.cache_write_tokens, 2);
  EXPECT_EQ(report.usage.cache_write_long_tokens, 1);
  EXPECT_EQ(report.usage.tier, core::PriceTier::batch);
  EXPECT_EQ(report.finish_reason, "tool_calls");
  EXPECT_EQ(server.received().back().path, "/v1/messages");
  EXPECT_EQ(server.received().back().key_header, "secret-key");
}

TEST_F(Translated, AnthropicAnswersInTheFormThatWasAskedFor) {
  const auto whole =
      run("anthropic",
          R"({"content":[{"type":"tool_use","name":"final_answer_json","input":{"a":1}}],"stop_reason":"tool_use"})",
          false);
  ASSERT_TRUE(whole);
  EXPECT_EQ(json::parse(*whole).at("choices").at(0).at("message").at("content"), R"({"a":1})");
  EXPECT_EQ(report.finish_reason, "stop");
  ASSERT_TRUE(run("anthropic",
                  "data: "
                  "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"name\":"
                  "\"final_answer_json\",\"input\":{}}}\n\n"
                  "data: "
                  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_"
                  "json\":\"{}\"}}\n\n"
                  "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                  "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n"
                  "data: {\"type\":\"message_stop\"}\n\n",
                  true));
  EXPECT_THAT(streamed, HasSubstr(R"("content":"{}")"));
  EXPECT_THAT(streamed, HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_TRUE(streamed.ends_with("data: [DONE]\n\n"));
}

TEST_F(Translated, FailuresInStreams) {
  const std::string begin =
      "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":9}}}\n\n"
      "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"Hel\"}}\n\n";
  const auto broken = run("anthropic", begin, true);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().name, "STREAM_BROKEN");
  EXPECT_THAT(streamed, HasSubstr("Hel"));
  EXPECT_EQ(report.usage.prompt_tokens, 9);
  EXPECT_TRUE(report.started);
  const auto failed = run(
      "anthropic",
      begin +
          "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n",
      true);
  EXPECT_EQ(failed.error().name, "PROVIDER_UNAVAILABLE");
  EXPECT_EQ(
      run("gemini", "data: {\"error\":{\"code\":429,\"message\":\"x\",\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n", true)
          .error()
          .name,
      "PROVIDER_RATE_LIMIT");
  EXPECT_EQ(
      run("gemini", "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n", true).error().name,
      "STREAM_BROKEN");
  EXPECT_EQ(run("gemini", "[]", false).error().name, "BAD_RESPONSE");
  EXPECT_EQ(run("anthropic", "{}", false).error().name, "BAD_RESPONSE");
}

// What generateContent gives for generationConfig.responseLogprobs.
constexpr const char* kGeminiLogprobs = R"("avgLogprobs":-0.3,"logprobsResult":{"topCandidates":[
  {"candidates":[{"token":"Hi","tokenId":2151,"logProbability":-0.25},{"token":"Hé","tokenId":9,"logProbability":-1.5}]},
  {"candidates":[{"token":"\uFFFD","tokenId":7,"logProbability":-0.5}]}],
  "chosenCandidates":[{"token":"Hi","tokenId":2151,"logProbability":-0.25},{"token":"\uFFFD","tokenId":7,"logProbability":-0.5}]})";
constexpr const char* kLogprobs = R"({"content":[
  {"token":"Hi","logprob":-0.25,"bytes":[72,105],"top_logprobs":[
    {"token":"Hi","logprob":-0.25,"bytes":[72,105]},{"token":"Hé","logprob":-1.5,"bytes":[72,195,169]}]},
  {"token":"\uFFFD","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"\uFFFD","logprob":-0.5,"bytes":null}]}],
  "refusal":null})";

TEST_F(Translated, GeminiLogprobsStandWhereOpenAisDo) {
  const std::string hi = R"({"content":{"parts":[{"text":"Hi!"}]},)";
  const std::string candidate = hi + kGeminiLogprobs;
  const auto answer =
      run("gemini", "{\"candidates\":[" + candidate + R"(,"finishReason":"STOP"},)" + hi + R"("index":1}]})", false);
  ASSERT_TRUE(answer) << answer.error().message;
  const json::value out = json::parse(*answer);
  EXPECT_EQ(out.at("choices").at(0).at("logprobs"), json::parse(kLogprobs));
  EXPECT_TRUE(out.at("choices").at(1).at("logprobs").is_null());

  const auto one_line = [](std::string text) {
    std::erase(text, '\n');
    return text;
  };
  const auto chunks = [&](const std::string& event) {
    EXPECT_TRUE(run("gemini",
                    "data: {\"candidates\":[" + one_line(event) + "]}\n\n" +
                        R"(data: {"candidates":[{"finishReason":"STOP"}]})" + "\n\n",
                    true));
    std::vector<json::value> choices;
    for (size_t at = 0; (at = streamed.find("data: {", at)) != std::string::npos; at += 6) {
      choices.push_back(json::parse(streamed.substr(at + 6, streamed.find('\n', at) - at - 6)).at("choices").at(0));
    }
    return choices;
  };
  const auto with_text = chunks(candidate + "}");
  ASSERT_EQ(with_text.size(), 2U);
  EXPECT_EQ(with_text[0].at("delta").at("content"), "Hi!") << "in one chunk with its text";
  EXPECT_EQ(with_text[0].at("logprobs"), json::parse(kLogprobs));
  EXPECT_FALSE(with_text[1].get_object().contains("logprobs"));
  const auto alone = chunks(std::string("{") + kGeminiLogprobs + "}");
  ASSERT_EQ(alone.size(), 2U);
  EXPECT_EQ(alone[0].at("logprobs"), json::parse(kLogprobs));
  EXPECT_TRUE(alone[0].at("finish_reason").is_null());
  const auto last = chunks(std::string(R"({"finishReason":"STOP",)") + kGeminiLogprobs + "}");
  EXPECT_EQ(last[0].at("logprobs"), json::parse(kLogprobs));
  EXPECT_EQ(last[0].at("finish_reason"), "stop");

  for (const char* odd :
       {R"("logprobsResult":3)", R"("logprobsResult":{})", R"("logprobsResult":{"chosenCandidates":[3]})",
        R"("logprobsResult":{"chosenCandidates":3,"topCandidates":{}})"}) {
    const auto none = run("gemini", "{\"candidates\":[" + hi + odd + "}]}", false);
    ASSERT_TRUE(none) << odd;
    EXPECT_TRUE(json::parse(*none).at("choices").at(0).at("logprobs").is_null()) << odd;
  }
}

TEST_F(Translated, GeminiAnswersWholeAndInChoices) {
  const auto answer = run("gemini", R"({"responseId":"r1","modelVersion":"gemini-x","candidates":[
    {"index":0,"content":{"parts":[{"text":"Hm.","thought":true},{"text":"Hi"},
      {"functionCall":{"name":"look","args":{"at":1}},"thoughtSignature":"sig"}]},"finishReason":"STOP"},
    {"index":1,"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]},"finishReason":"SAFETY"}],
    "usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":3,"thoughtsTokenCount":2,"cachedContentTokenCount":4}})",
                          false);
  ASSERT_TRUE(answer) << answer.error().message;
  const json::value out = json::parse(*answer);
  const json::value& first = out.at("choices").at(0);
  EXPECT_EQ(first.at("finish_reason"), "tool_calls");
  EXPECT_EQ(first.at("message").at("content"), "Hi");
  EXPECT_EQ(first.at("message").at("reasoning_content"), "Hm.");
  EXPECT_EQ(first.at("message").at("tool_calls").at(0).at("function").at("arguments"), R"({"at":1})");
  EXPECT_EQ(first.at("message").at("tool_calls").at(0).at("extra_content").at("google").at("thought_signature"), "sig");
  EXPECT_EQ(out.at("choices").at(1).at("finish_reason"), "content_filter");
  EXPECT_EQ(out.at("choices").at(1).at("message").at("images").at(0).at("image_url").at("url"),
            "data:image/png;base64,AA");
  EXPECT_EQ(out.at("usage").at("completion_tokens"), 5);
  EXPECT_EQ(report.usage.cached_prompt_tokens, 4);
  EXPECT_EQ(server.received().back().path, "/v1/models/m:generateContent");

  const auto blocked = run("gemini", R"({"promptFeedback":{"blockReason":"SAFETY"}})", false);
  ASSERT_TRUE(blocked);
  EXPECT_EQ(report.finish_reason, "content_filter");
  ASSERT_TRUE(run("gemini", "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\r\n\r\n", true));
  EXPECT_EQ(report.finish_reason, "content_filter");
  EXPECT_EQ(server.received().back().path, "/v1/models/m:streamGenerateContent");
  EXPECT_EQ(server.received().back().query, "alt=sse");
}

}  // namespace
}  // namespace tessera::llm
