// A stream's pieces, joined as a client joins them, are the whole answer, in each provider's format.
#include "mock/form.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "wire/sse.h"

namespace tessera::mock {
namespace {

namespace json = boost::json;

/// Everything that an answer says, taken from a stream or a whole answer.
struct Said {
  std::vector<std::string> texts = std::vector<std::string>(4);
  std::vector<std::string> calls;
  std::string finish;
  int64_t prompt = -1;
  int64_t completion = -1;
  friend bool operator==(const Said&, const Said&) = default;
};

std::unique_ptr<Form> form_of(const Ask& ask) {
  const AnswerHead head{.seq = 7, .model = "m \"quoted\"", .created = 1'700'000'000};
  if (ask.dialect == Dialect::anthropic) return anthropic_form(head);
  return ask.dialect == Dialect::gemini ? gemini_form(ask, head) : openai_form(ask, head);
}

const json::value* find(const json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  return value.find_pointer(pointer, error);
}

std::string text_at(const json::value& value, std::string_view pointer) {
  const json::value* found = find(value, pointer);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

int64_t number_at(const json::value& value, std::string_view pointer, int64_t otherwise) {
  const json::value* found = find(value, pointer);
  return found != nullptr && found->is_int64() ? found->as_int64() : otherwise;
}

void take_openai(Said& said, const json::value& object, bool streamed) {
  said.prompt = number_at(object, "/usage/prompt_tokens", said.prompt);
  said.completion = number_at(object, "/usage/completion_tokens", said.completion);
  for (const json::value& choice : object.at("choices").as_array()) {
    const json::value& delta = choice.at(streamed ? "delta" : "message");
    said.texts[static_cast<size_t>(choice.at("index").as_int64())] += text_at(delta, "/content");
    if (const json::value* calls = find(delta, "/tool_calls")) {
      for (const json::value& call : calls->as_array()) {
        if (const std::string name = text_at(call, "/function/name"); !name.empty()) said.calls.push_back(name + " ");
        said.calls.back() += text_at(call, "/function/arguments");
      }
    }
    if (const std::string finish = text_at(choice, "/finish_reason"); !finish.empty()) said.finish = finish;
  }
}

void take_anthropic(Said& said, const json::value& object) {
  const std::string type = text_at(object, "/type");
  if (type == "message_start") said.prompt = number_at(object, "/message/usage/input_tokens", -1);
  if (type == "message") said.prompt = number_at(object, "/usage/input_tokens", -1);
  if (type == "message_delta") said.finish = text_at(object, "/delta/stop_reason");
  if (type == "message") said.finish = text_at(object, "/stop_reason");
  said.completion = number_at(object, "/usage/output_tokens", said.completion);
  if (type == "content_block_start" && text_at(object, "/content_block/type") == "tool_use") {
    said.calls.push_back(text_at(object, "/content_block/name") + " ");
  }
  said.texts[0] += text_at(object, "/delta/text");
  if (!said.calls.empty()) said.calls.back() += text_at(object, "/delta/partial_json");
  const json::value* const content = type == "message" ? find(object, "/content") : nullptr;
  if (content == nullptr) return;
  for (const json::value& block : content->as_array()) {
    said.texts[0] += text_at(block, "/text");
    if (text_at(block, "/type") == "tool_use") {
      said.calls.push_back(text_at(block, "/name") + " " + json::serialize(block.at("input")));
    }
  }
}

void take_gemini(Said& said, const json::value& object) {
  said.prompt = number_at(object, "/usageMetadata/promptTokenCount", said.prompt);
  said.completion = number_at(object, "/usageMetadata/candidatesTokenCount", said.completion);
  const json::value& candidate = object.at("candidates").at(0);
  for (const json::value& part : candidate.at("content").at("parts").as_array()) {
    said.texts[0] += text_at(part, "/text");
    if (const json::value* call = find(part, "/functionCall")) {
      said.calls.push_back(text_at(*call, "/name") + " " + json::serialize(call->at("args")));
    }
  }
  if (const std::string finish = text_at(candidate, "/finishReason"); !finish.empty()) said.finish = finish;
}

void take(Said& said, const Ask& ask, const json::value& object, bool streamed) {
  if (ask.dialect == Dialect::anthropic) {
    take_anthropic(said, object);
  } else if (ask.dialect == Dialect::gemini) {
    take_gemini(said, object);
  } else {
    take_openai(said, object, streamed);
  }
}

Said streamed(const Ask& ask, const Plan& plan, int64_t tokens) {
  const base::ManualClock clock;
  Pieces pieces(ask, plan, tokens, clock);
  const auto form = form_of(ask);
  Usage usage{.prompt = 11, .cached = 0, .completion = 0};
  std::string out;
  form->begin(out, usage);
  Piece piece;
  int64_t count = 0;
  while (pieces.next(piece)) {
    form->piece(out, piece);
    usage.completion += piece.tokens;
    ++count;
  }
  EXPECT_EQ(count, pieces.count());
  form->end(out, pieces.finish(), usage, true);
  Said said;
  if (ask.array_stream) {
    const json::value all = json::parse(out);
    for (const json::value& object : all.as_array()) take(said, ask, object, true);
    return said;
  }
  wire::SseParser parser;
  std::vector<wire::SseEvent> events;
  EXPECT_TRUE(parser.feed(out, events));
  for (const wire::SseEvent& event : events) {
    if (event.data != "[DONE]") take(said, ask, json::parse(event.data), true);
  }
  if (ask.dialect == Dialect::openai) EXPECT_EQ(events.back().data, "[DONE]");
  if (ask.dialect == Dialect::anthropic) EXPECT_EQ(events.back().event, "message_stop");
  return said;
}

Said whole(const Ask& ask, const Plan& plan, int64_t tokens) {
  const base::ManualClock clock;
  Pieces pieces(ask, plan, tokens, clock);
  std::vector<WholeChoice> choices(static_cast<size_t>(ask.choices));
  Usage usage{.prompt = 11, .cached = 0, .completion = 0};
  Piece piece;
  while (pieces.next(piece)) {
    WholeChoice& choice = choices[static_cast<size_t>(piece.choice)];
    usage.completion += piece.tokens;
    if (piece.kind == Piece::Kind::text) choice.text += piece.text;
    if (piece.kind == Piece::Kind::tool_begin) choice.calls.push_back({.name = piece.text, .arguments = {}});
    if (piece.kind == Piece::Kind::tool_arguments) choice.calls.back().arguments += piece.text;
  }
  Said said;
  take(said, ask, json::parse(form_of(ask)->whole(choices, pieces.finish(), usage)), false);
  return said;
}

Ask ask_of(Dialect dialect) {
  Ask ask;
  ask.dialect = dialect;
  ask.include_usage = true;
  ask.last_user = "échos \"über\" alles\n漢字 😀";
  return ask;
}

class Forms : public testing::TestWithParam<Dialect> {};

TEST_P(Forms, StreamAndWholeSayTheSame) {
  for (const char* model :
       {"tokens-9", "echo", "tokens-9+chunk-4", "tools-2", "tools-1+tool-tide", "filter-after-3", "tokens-0"}) {
    Plan plan;
    ASSERT_TRUE(follow(plan, *parse_model_directives(model)));
    const Ask ask = ask_of(GetParam());
    const auto tokens = static_cast<int64_t>(plan.tokens.a);
    const Said all = whole(ask, plan, tokens);
    EXPECT_EQ(streamed(ask, plan, tokens), all) << model;
    EXPECT_EQ(all.prompt, 11);
    if (plan.text == TextKind::echo) EXPECT_EQ(all.texts[0], ask.last_user);
    if (plan.tools) EXPECT_EQ(all.calls.size(), static_cast<size_t>(*plan.tools));
    EXPECT_FALSE(all.finish.empty());
  }
}

TEST_P(Forms, MaxTokensCutTheAnswer) {
  Ask ask = ask_of(GetParam());
  ask.max_tokens = 4;
  const Said said = streamed(ask, Plan{}, 16);
  EXPECT_EQ(said.completion, 4);
  EXPECT_EQ(said.texts[0], "Lorem ipsum dolor sit");
  const std::string expected = GetParam() == Dialect::openai   ? "length"
                               : GetParam() == Dialect::gemini ? "MAX_TOKENS"
                                                               : "max_tokens";
  EXPECT_EQ(said.finish, expected);
}

TEST_P(Forms, ErrorsAreWordedAsTheProviderDoes) {
  const json::value body = json::parse(error_body(GetParam(), 429, "rate_limit_exceeded", "slow \"down\""));
  EXPECT_EQ(text_at(body, "/error/message"), "slow \"down\"");
  if (GetParam() == Dialect::gemini) {
    EXPECT_EQ(text_at(body, "/error/status"), "RESOURCE_EXHAUSTED");
  } else {
    EXPECT_EQ(text_at(body, "/error/type"), "rate_limit_error");
  }
}

INSTANTIATE_TEST_SUITE_P(All, Forms, testing::Values(Dialect::openai, Dialect::anthropic, Dialect::gemini));

TEST(OpenaiForm, ChoicesAreToldApart) {
  Ask ask = ask_of(Dialect::openai);
  ask.choices = 3;
  const Said said = streamed(ask, Plan{}, 5);
  EXPECT_EQ(said, whole(ask, Plan{}, 5));
  EXPECT_EQ(said.completion, 15);
  EXPECT_EQ(said.texts[2], "Lorem ipsum dolor sit amet");
}

TEST(OpenaiForm, ADemandedToolIsCalled) {
  Ask ask = ask_of(Dialect::openai);
  ask.tools = 2;
  ask.tool = "wind";
  ask.tool_demanded = true;
  EXPECT_EQ(streamed(ask, Plan{}, 5).calls, std::vector<std::string>{R"(wind {"text":"lorem ipsum"})"});
  EXPECT_EQ(streamed(ask, Plan{}, 5).finish, "tool_calls");
}

TEST(GeminiForm, WithoutSseItIsOneArray) {
  Ask ask = ask_of(Dialect::gemini);
  ask.array_stream = true;
  EXPECT_EQ(streamed(ask, Plan{}, 5), whole(ask, Plan{}, 5));
}

TEST(Pieces, AStampTellsItsPlaceAndTime) {
  base::ManualClock clock;
  clock.advance(base::Millis(5));
  Plan plan;
  plan.text = TextKind::stamp;
  const Ask ask = ask_of(Dialect::openai);
  Pieces pieces(ask, plan, 2, clock);
  Piece piece;
  ASSERT_TRUE(pieces.next(piece));
  EXPECT_EQ(piece.text, "0@5000000 ");
  clock.advance(base::Millis(1));
  ASSERT_TRUE(pieces.next(piece));
  EXPECT_EQ(piece.text, "1@6000000 ");
  EXPECT_FALSE(pieces.next(piece));
}

TEST(Embeddings, TextsWithCommonWordsAreNear) {
  Ask ask = ask_of(Dialect::embeddings);
  ask.inputs = {"the ferry leaves at seven", "When does the Ferry leave", "quantum chromodynamics", ""};
  ask.dimensions = 512;
  const json::value body = json::parse(embeddings_body(ask, "m", {.prompt = 9, .cached = 0, .completion = 0}));
  const auto& data = body.at("data").as_array();
  const auto cosine = [&](size_t a, size_t b) {
    double sum = 0;
    for (size_t i = 0; i < 512; ++i) {
      sum += data[a].at("embedding").at(i).to_number<double>() * data[b].at("embedding").at(i).to_number<double>();
    }
    return sum;
  };
  ASSERT_EQ(data.size(), 4U);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(cosine(i, i), 1, 1e-4);
  EXPECT_GT(cosine(0, 1), cosine(0, 2) + 0.15);
  EXPECT_EQ(number_at(body, "/usage/total_tokens", 0), 9);
}

}  // namespace
}  // namespace tessera::mock
