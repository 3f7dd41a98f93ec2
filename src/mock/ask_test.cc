#include "mock/ask.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

namespace tessera::mock {
namespace {

namespace json = boost::json;

TEST(Ask, ReadsWhatMattersOfAChat) {
  const auto ask = read_ask(Dialect::openai, R"({
    "messages": [{"role": "system", "content": "Be brief."},
                 {"content": [{"type": "text", "text": "caf\u00e9 "}, {"type": "image_url", "image_url": {"url": "data:"}},
                              {"type": "text", "text": "or tea"}], "role": "user"}],
    "model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "n": 3, "max_completion_tokens": 50,
    "tools": [{"type": "function", "function": {"name": "tide", "parameters": {"name": "not me"}}},
              {"type": "function", "function": {"name": "wind"}}],
    "tool_choice": {"type": "function", "function": {"name": "wind"}},
    "response_format": {"type": "json_object"}, "logprobs": true, "user": "u1", "seed": 4, "x_extra": [1, {"model": "no"}],
    "mock": {"tokens": 50, "rate": 2.5, "text": "echo", "no-done": true}})");
  ASSERT_TRUE(ask) << ask.error().message;
  EXPECT_EQ(ask->model, "gpt-4o");
  EXPECT_EQ(ask->user, "u1");
  EXPECT_TRUE(ask->stream && ask->include_usage && ask->json && ask->logprobs);
  EXPECT_EQ(ask->choices, 3);
  EXPECT_EQ(ask->max_tokens, 50);
  EXPECT_EQ(ask->messages, 2);
  EXPECT_EQ(ask->last_user, "caf\u00e9 or tea");
  EXPECT_EQ(ask->prompt_bytes, 9U + 6U + 6U);
  EXPECT_EQ(ask->prompt_tokens(), 6);
  EXPECT_EQ(ask->tools, 2);
  EXPECT_EQ(ask->tool, "wind");
  EXPECT_TRUE(ask->tool_demanded);
  EXPECT_EQ(ask->fields.front(), "messages");
  EXPECT_EQ(ask->fields.size(), 14U);
  const std::vector<Directive> expected = {{"tokens", "50"}, {"rate", "2.5"}, {"text", "echo"}, {"no-done", "true"}};
  EXPECT_EQ(ask->directives, expected);
}

TEST(Ask, ReadsDirectivesAsTextAndRefusesWhatIsNone) {
  const auto ask = read_ask(Dialect::openai, R"({"messages": [{"content": "x"}], "mock": "tokens=6; no-done"})");
  ASSERT_TRUE(ask) << ask.error().message;
  const std::vector<Directive> expected = parse_directives("tokens=6; no-done");
  ASSERT_EQ(expected.size(), 2U);
  EXPECT_EQ(ask->directives, expected);
  for (const std::string_view wrong : {"6", "6.5", "true", R"(["tokens=6"])"}) {
    const auto refused =
        read_ask(Dialect::openai, R"({"messages": [{"content": "x"}], "mock": )" + std::string(wrong) + "}");
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().param, "mock") << wrong;
  }
}

TEST(Ask, ReadsAnthropic) {
  const auto ask = read_ask(Dialect::anthropic, R"({"model": "claude", "max_tokens": 9, "system": [{"type": "text",
    "text": "four"}], "messages": [{"role": "user", "content": "hi"}], "tools": [{"name": "tide", "input_schema": {}}],
    "tool_choice": {"type": "any"}})");
  ASSERT_TRUE(ask);
  EXPECT_EQ(ask->prompt_bytes, 6U);
  EXPECT_EQ(ask->tools, 1);
  EXPECT_EQ(ask->tool, "tide");
  EXPECT_TRUE(ask->tool_demanded);
  EXPECT_EQ(ask->last_user, "hi");
}

TEST(Ask, ReadsGemini) {
  const auto ask = read_ask(Dialect::gemini, R"({"contents": [{"parts": [{"text": "hi "}, {"text": "you"}]}],
    "systemInstruction": {"parts": [{"text": "brief"}]}, "generationConfig": {"maxOutputTokens": 7},
    "tools": [{"functionDeclarations": [{"name": "tide"}, {"name": "wind"}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["wind"]}}})");
  ASSERT_TRUE(ask);
  EXPECT_EQ(ask->prompt_bytes, 11U);
  EXPECT_EQ(ask->last_user, "hi you");
  EXPECT_EQ(ask->max_tokens, 7);
  EXPECT_EQ(ask->tools, 2);
  EXPECT_EQ(ask->tool, "wind");
  EXPECT_TRUE(ask->tool_demanded);
}

TEST(Ask, ReadsResponses) {
  const auto text = read_ask(Dialect::responses, R"({"model": "m", "input": "What?", "instructions": "Be brief."})");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->last_user, "What?");
  EXPECT_EQ(text->messages, 1);
  EXPECT_EQ(text->prompt_bytes, 5U + 9U);
  const auto items = read_ask(Dialect::responses, R"({
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "One"}]},
              {"type": "function_call_output", "call_id": "c", "output": "2"},
              {"role": "user", "content": "three"}],
    "max_output_tokens": 7, "stream": true, "tools": [{"type": "function", "name": "tide"}], "tool_choice": "required",
    "text": {"format": {"type": "json_schema"}}})");
  ASSERT_TRUE(items) << items.error().message;
  EXPECT_EQ(items->last_user, "three");
  EXPECT_EQ(items->messages, 3);
  EXPECT_EQ(items->max_tokens, 7);
  EXPECT_EQ(items->tool, "tide");
  EXPECT_TRUE(items->stream && items->tool_demanded && items->json);
  EXPECT_FALSE(read_ask(Dialect::responses, R"({"model": "m"})"));
}

TEST(Ask, ReadsTranscriptions) {
  const std::string body =
      "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw-1\r\n"
      "--x\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\ntext\r\n";
  const std::string sound = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n" +
                            std::string(6'400, 'x') + "\r\n";
  const auto ask = read_form(body + sound + "--x--\r\n", "multipart/form-data; boundary=x");
  ASSERT_TRUE(ask) << ask.error().message;
  EXPECT_EQ(ask->model, "w-1");
  EXPECT_EQ(ask->prompt_tokens(), 2);
  EXPECT_TRUE(ask->plain);
  EXPECT_FALSE(read_form(body + "--x--\r\n", "multipart/form-data; boundary=x"));
  EXPECT_FALSE(read_form("{}", "application/json"));
}

TEST(Ask, EmbeddingsTakeTextsAndTokenNumbers) {
  const auto inputs = [](std::string input) {
    const auto ask = read_ask(
        Dialect::embeddings, R"({"model": "m", "encoding_format": "base64", "dimensions": 8, "input": )" + input + "}");
    EXPECT_TRUE(ask) << input;
    EXPECT_TRUE(ask->base64);
    EXPECT_EQ(ask->dimensions, 8);
    return std::pair(ask->inputs.size(), ask->prompt_tokens());
  };
  EXPECT_EQ(inputs(R"("abcdefgh")"), std::pair(size_t{1}, int64_t{2}));
  EXPECT_EQ(inputs(R"(["abcd", "efgh"])"), std::pair(size_t{2}, int64_t{2}));
  EXPECT_EQ(inputs("[1, 2, 3]"), std::pair(size_t{1}, int64_t{3}));
  EXPECT_EQ(inputs("[[1, 2], [3]]"), std::pair(size_t{2}, int64_t{3}));
}

TEST(Ask, WhatIsWrongIsSaid) {
  const auto name = [](Dialect dialect, std::string_view body) {
    const auto ask = read_ask(dialect, body);
    return ask ? std::string() : ask.error().name;
  };
  EXPECT_EQ(name(Dialect::openai, ""), "BAD_JSON");
  EXPECT_EQ(name(Dialect::openai, "{"), "BAD_JSON");
  EXPECT_EQ(name(Dialect::openai, "[]"), "BAD_JSON");
  EXPECT_EQ(name(Dialect::openai, "{} {}"), "BAD_JSON");
  EXPECT_EQ(name(Dialect::openai, std::string(100'000, '[')), "BAD_JSON");
  EXPECT_EQ(name(Dialect::openai, "{\"model\": \"\xff\"}"), "BAD_JSON");
  EXPECT_EQ(name(Dialect::openai, R"({"model": "m"})"), "BAD_FIELD");
  EXPECT_EQ(name(Dialect::openai, R"({"model": "m", "messages": []})"), "BAD_FIELD");
  EXPECT_EQ(name(Dialect::openai, R"({"messages": [{}], "n": 0})"), "BAD_FIELD");
  EXPECT_EQ(name(Dialect::openai, R"({"messages": [{}], "max_tokens": 1.5})"), "BAD_FIELD");
  EXPECT_EQ(name(Dialect::openai, R"({"messages": [{}], "stream": "yes"})"), "BAD_FIELD");
  EXPECT_EQ(name(Dialect::embeddings, R"({"model": "m"})"), "BAD_FIELD");
  EXPECT_EQ(name(Dialect::gemini, R"({"messages": [{}]})"), "BAD_FIELD");
}

/// Random bodies: what the one-pass reader finds is what a walk over the whole tree finds.
class RandomBody {
 public:
  explicit RandomBody(uint64_t seed) : random_(seed) {}

  json::object make() {
    json::object body;
    body["model"] = text(8);
    json::array messages;
    for (uint64_t i = 0, count = 1 + below(5); i < count; ++i) messages.push_back(message());
    if (below(2) == 0) body["extra"] = noise(0);
    body["messages"] = std::move(messages);
    if (below(2) == 0) body["stream"] = below(2) == 0;
    if (below(2) == 0) body["n"] = 1 + static_cast<int64_t>(below(128));
    if (below(2) == 0) body["metadata"] = noise(0);
    return body;
  }

 private:
  uint64_t below(uint64_t bound) { return random_() % bound; }
  std::string text(uint64_t most) {
    constexpr std::string_view kParts[] = {"a", "b ", "\n", "\"", "\\", "é", "漢", "😀", "/", "\t", "model"};
    std::string result;
    for (uint64_t i = 0, count = below(most + 1); i < count; ++i) result += kParts[below(std::size(kParts))];
    return result;
  }
  json::value message() {
    json::object message;
    json::value content;
    if (below(3) == 0) {
      json::array parts;
      for (uint64_t i = 0, count = below(4); i < count; ++i) {
        if (below(3) == 0) {
          parts.push_back({{"type", "image_url"}, {"image_url", {{"url", text(20)}, {"text", text(5)}}}});
        } else {
          parts.push_back({{"text", text(30)}, {"type", "text"}});
        }
      }
      content = std::move(parts);
    } else {
      content = text(200);
    }
    const char* const role = below(2) == 0 ? "user" : "assistant";
    if (below(2) == 0) message["role"] = role;
    message["content"] = std::move(content);
    message["role"] = role;
    if (below(3) == 0) message["tool_calls"] = noise(1);
    return message;
  }
  json::value noise(int depth) {
    constexpr std::string_view kNames[] = {"model", "messages", "content", "stream", "n", "mock", "input", "tools"};
    switch (below(depth > 4 ? 3 : 5)) {
      case 0:
        return json::string(text(5));
      case 1:
        return static_cast<int64_t>(below(1000)) - 500;
      case 2:
        return nullptr;
      case 3: {
        json::array list;
        for (uint64_t i = 0, count = below(4); i < count; ++i) list.push_back(noise(depth + 1));
        return list;
      }
      default: {
        json::object object;
        for (uint64_t i = 0, count = below(4); i < count; ++i)
          object[kNames[below(std::size(kNames))]] = noise(depth + 1);
        return object;
      }
    }
  }
  std::mt19937_64 random_;
};

TEST(Ask, RandomBodiesAgreeWithAWalkOverTheTree) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    const json::object body = RandomBody(seed).make();
    const auto ask = read_ask(Dialect::openai, json::serialize(body));
    ASSERT_TRUE(ask) << seed << ": " << ask.error().message;
    uint64_t bytes = 0;
    std::string last;
    for (const json::value& message : body.at("messages").as_array()) {
      std::string said;
      const json::value& content = message.at("content");
      if (content.is_string()) {
        said = content.as_string();
      } else {
        for (const json::value& part : content.as_array()) {
          if (part.at("type") == "text") said += part.at("text").as_string();
        }
      }
      bytes += said.size();
      if (message.at("role") == "user") last = said;
    }
    ASSERT_EQ(ask->prompt_bytes, bytes) << seed;
    ASSERT_EQ(ask->last_user, last) << seed;
    ASSERT_EQ(ask->model, std::string_view(body.at("model").as_string())) << seed;
    ASSERT_EQ(ask->messages, static_cast<int64_t>(body.at("messages").as_array().size())) << seed;
    ASSERT_EQ(ask->stream, body.contains("stream") && body.at("stream").as_bool()) << seed;
    ASSERT_EQ(ask->choices, body.contains("n") ? body.at("n").as_int64() : 1) << seed;
    ASSERT_TRUE(ask->directives.empty()) << seed;
  }
}

}  // namespace
}  // namespace tessera::mock
