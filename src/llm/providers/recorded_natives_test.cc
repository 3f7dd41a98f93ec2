// Every recorded stream through the adapter of its dialect, compared with what a plain reading of its events gives.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "llm/providers/provider_ports.h"
#include "llm/providers/scripted_server_test.h"
#include "llm/providers/translated_model.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using testing::Scripted;
using testing::ScriptedServer;

struct Recording {
  std::string name;
  std::string path;
  std::string bytes;
  std::vector<std::string> data;  ///< of each event
};

// The data of each event; recordings have one data line per event.
std::vector<std::string> data_lines(const std::string& bytes) {
  std::vector<std::string> out;
  std::istringstream lines(bytes);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.starts_with("data: ")) out.push_back(line.substr(6));
  }
  return out;
}

std::vector<Recording> recordings(std::string_view part_of_path) {
  const std::filesystem::path folder = std::filesystem::path(TESSERA_SOURCE_DIR) / "../shared/data/provider-streams";
  std::ifstream index(folder / "index.jsonl");
  std::vector<Recording> out;
  for (std::string line; std::getline(index, line);) {
    const json::object row = json::parse(line).as_object();
    const std::string path(row.at("path").as_string());
    if (path.find(part_of_path) == std::string::npos) continue;
    Recording recording{std::string(row.at("file").as_string()), path, {}, {}};
    std::stringstream bytes;
    bytes << std::ifstream(folder / recording.name, std::ios::binary).rdbuf();
    recording.bytes = bytes.str();
    recording.data = data_lines(recording.bytes);
    EXPECT_FALSE(recording.data.empty()) << recording.name;
    out.push_back(std::move(recording));
  }
  return out;
}

/// What an answer adds up to, whoever reads it.
struct Sum {
  std::string text;
  std::string thoughts;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments as JSON
  int64_t prompt = 0;
  int64_t completion = 0;
  size_t pieces = 0;  // events with some text
  std::string finish;
};

void expect_same(const Sum& wanted, const Sum& got) {
  EXPECT_EQ(got.text, wanted.text);
  EXPECT_EQ(got.thoughts, wanted.thoughts);
  ASSERT_EQ(got.calls.size(), wanted.calls.size());
  for (size_t i = 0; i < got.calls.size(); ++i) {
    EXPECT_EQ(got.calls[i].first, wanted.calls[i].first);
    EXPECT_EQ(json::parse(got.calls[i].second), json::parse(wanted.calls[i].second));
  }
  EXPECT_EQ(got.prompt, wanted.prompt);
  EXPECT_EQ(got.completion, wanted.completion);
  EXPECT_EQ(got.pieces, wanted.pieces) << "every event of text is one chunk";
  EXPECT_EQ(got.finish, wanted.finish);
}

std::string string_at(const json::value& value, std::string_view key) {
  const json::value* found = value.as_object().if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}
int64_t count_at(const json::value& value, std::string_view key) {
  const json::value* found = value.as_object().if_contains(key);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

// Adds up the chunks that we wrote.
Sum read_chunks(const std::string& streamed) {
  Sum sum;
  bool done = false;
  for (const std::string& data : data_lines(streamed)) {
    EXPECT_FALSE(done) << "nothing follows [DONE]";
    if (data == "[DONE]") {
      done = true;
      continue;
    }
    const json::value chunk = json::parse(data);
    EXPECT_EQ(chunk.at("object"), "chat.completion.chunk");
    if (const json::value* usage = chunk.as_object().if_contains("usage")) {
      sum.prompt = count_at(*usage, "prompt_tokens");
      sum.completion = count_at(*usage, "completion_tokens");
    }
    for (const json::value& choice : chunk.at("choices").as_array()) {
      const json::value& delta = choice.at("delta");
      const std::string text = string_at(delta, "content");
      sum.text += text;
      sum.pieces += text.empty() ? 0 : 1;
      sum.thoughts += string_at(delta, "reasoning_content");
      if (!string_at(choice, "finish_reason").empty()) sum.finish = string_at(choice, "finish_reason");
      const json::value* calls = delta.as_object().if_contains("tool_calls");
      if (calls == nullptr) continue;
      for (const json::value& call : calls->as_array()) {
        const auto index = static_cast<size_t>(count_at(call, "index"));
        EXPECT_LE(index, sum.calls.size());
        if (index >= sum.calls.size()) sum.calls.resize(index + 1);
        sum.calls[index].first += string_at(call.at("function"), "name");
        sum.calls[index].second += string_at(call.at("function"), "arguments");
      }
    }
  }
  EXPECT_TRUE(done);
  return sum;
}

Sum read_anthropic(const Recording& recording) {
  Sum sum;
  std::map<int64_t, size_t> call_of_block;
  int64_t input = 0, cached = 0, created = 0;
  const auto usage = [&](const json::value& said) {
    if (said.as_object().contains("input_tokens")) input = count_at(said, "input_tokens");
    if (said.as_object().contains("cache_read_input_tokens")) cached = count_at(said, "cache_read_input_tokens");
    if (said.as_object().contains("cache_creation_input_tokens"))
      created = count_at(said, "cache_creation_input_tokens");
    if (said.as_object().contains("output_tokens")) sum.completion = count_at(said, "output_tokens");
  };
  for (const std::string& data : recording.data) {
    const json::value event = json::parse(data);
    const std::string type = string_at(event, "type");
    if (type == "message_start") usage(event.at("message").at("usage"));
    if (type == "content_block_start" && event.at("content_block").at("type") == "tool_use") {
      call_of_block[count_at(event, "index")] = sum.calls.size();
      sum.calls.emplace_back(string_at(event.at("content_block"), "name"), "");
    }
    if (type == "content_block_delta") {
      const std::string text = string_at(event.at("delta"), "text");
      sum.text += text;
      sum.pieces += text.empty() ? 0 : 1;
      sum.thoughts += string_at(event.at("delta"), "thinking");
      const auto call = call_of_block.find(count_at(event, "index"));
      if (call != call_of_block.end()) sum.calls[call->second].second += string_at(event.at("delta"), "partial_json");
    }
    if (type == "message_delta") {
      usage(event.at("usage"));
      const std::string reason = string_at(event.at("delta"), "stop_reason");
      sum.finish = reason == "tool_use" ? "tool_calls" : reason == "max_tokens" ? "length" : "stop";
    }
  }
  for (auto& [name, arguments] : sum.calls) {
    if (arguments.empty()) arguments = "{}";
  }
  sum.prompt = input + cached + created;
  return sum;
}

Sum read_gemini(const Recording& recording) {
  Sum sum;
  for (const std::string& data : recording.data) {
    const json::value response = json::parse(data);
    for (const json::value& candidate : response.at("candidates").as_array()) {
      const json::value* content = candidate.as_object().if_contains("content");
      const json::value* parts = content != nullptr ? content->as_object().if_contains("parts") : nullptr;
      if (parts != nullptr) {
        for (const json::value& part : parts->as_array()) {
          const std::string text = string_at(part, "text");
          sum.text += text;
          sum.pieces += text.empty() ? 0 : 1;
          if (const json::value* call = part.as_object().if_contains("functionCall"))
            sum.calls.emplace_back(string_at(*call, "name"), json::serialize(call->at("args")));
        }
      }
      if (string_at(candidate, "finishReason") == "STOP") sum.finish = sum.calls.empty() ? "stop" : "tool_calls";
    }
    if (const json::value* usage = response.as_object().if_contains("usageMetadata")) {
      sum.prompt = count_at(*usage, "promptTokenCount") + count_at(*usage, "toolUsePromptTokenCount");
      sum.completion = count_at(*usage, "candidatesTokenCount") + count_at(*usage, "thoughtsTokenCount");
    }
  }
  return sum;
}

class JoiningSink final : public core::RelaySink {
 public:
  std::string all;
  core::Task<base::Result<>> on_events(std::string_view events) override {
    EXPECT_TRUE(events.ends_with("\n\n") || events.ends_with("\n\r\n")) << "whole events only";
    all += events;
    co_return base::Result<>{};
  }
};

class RecordedNatives : public ::testing::Test {
 protected:
  ScriptedServer server{{Scripted{}}};
  core::RequestContext context;
  core::RelayReport report;
  JoiningSink sink;
  core::RelayRequest request{.model = "recorded", .body = R"({"messages":[]})", .stream = true, .include_usage = true};

  std::shared_ptr<ProviderClient> play(const std::string& bytes, const char* kind) {
    Scripted script;
    for (size_t at = 0; at < bytes.size(); at += 97) script.pieces.push_back(bytes.substr(at, 97));
    script.pieces.emplace_back();
    server.restart({script});
    report = {};
    sink.all.clear();
    ProviderOptions options = server.options();
    options.kind = find_provider_kind(kind);
    return server.client(options);
  }
  base::Result<std::string> chat(const Recording& recording, const char* kind) {
    return async::sync_wait(make_provider_model(play(recording.bytes, kind))->relay(context, request, &sink, report));
  }
};

#define TESSERA_NEEDS(list) \
  if ((list).empty()) GTEST_SKIP() << "NOT TESTED: recorded provider streams are absent beside " << TESSERA_SOURCE_DIR

TEST_F(RecordedNatives, Anthropic) {
  const auto list = recordings("/v1/messages");
  TESSERA_NEEDS(list);
  for (const Recording& recording : list) {
    SCOPED_TRACE(recording.name);
    const auto result = chat(recording, "anthropic");
    ASSERT_TRUE(result) << result.error().message;
    const Sum wanted = read_anthropic(recording);
    expect_same(wanted, read_chunks(sink.all));
    EXPECT_EQ(report.usage.prompt_tokens, wanted.prompt);
  }
  EXPECT_GE(list.size(), 11u);
}

TEST_F(RecordedNatives, Gemini) {
  const auto list = recordings(":streamGenerateContent");
  TESSERA_NEEDS(list);
  for (const Recording& recording : list) {
    SCOPED_TRACE(recording.name);
    const auto result = chat(recording, "gemini");
    ASSERT_TRUE(result) << result.error().message;
    expect_same(read_gemini(recording), read_chunks(sink.all));
  }
  EXPECT_GE(list.size(), 9u);
}

// Every byte of a stream that is an answer arrives; of one that fails, what came before its error.
TEST_F(RecordedNatives, ChatIsPassedOnByteForByte) {
  const auto list = recordings("chat/completions");
  TESSERA_NEEDS(list);
  size_t failed = 0;
  for (const Recording& recording : list) {
    SCOPED_TRACE(recording.name);
    const auto result = chat(recording, "openai");
    size_t error_at = recording.bytes.find("data: {\"error\"");
    if (error_at == std::string::npos && recording.bytes.find("\"error\":{\"code\"") != std::string::npos) {
      error_at = recording.bytes.rfind("data: {", recording.bytes.find("\"error\":{\"code\""));
    }
    if (error_at == std::string::npos) {
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_EQ(sink.all, recording.bytes);
      continue;
    }
    ++failed;
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().name, "PROVIDER_FAILED");
    EXPECT_TRUE(recording.bytes.starts_with(sink.all));
    EXPECT_GE(sink.all.size() + 16, error_at);  // an event: line may stand before its data
    EXPECT_LE(sink.all.size(), error_at);
  }
  EXPECT_GE(list.size(), 40u);
  EXPECT_GE(failed, 3u);
}

TEST_F(RecordedNatives, ResponsesArePassedOnByteForByte) {
  auto list = recordings("/responses");
  TESSERA_NEEDS(list);
  size_t with_usage = 0;
  for (const Recording& recording : list) {
    SCOPED_TRACE(recording.name);
    const auto ports = make_provider_ports(play(recording.bytes, "openai"));
    ASSERT_NE(ports.responses, nullptr);
    const auto result = async::sync_wait(ports.responses->respond(context, request, &sink, report));
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(sink.all, recording.bytes);
    for (const std::string& data : recording.data) {
      if (data == "[DONE]") continue;
      const json::value event = json::parse(data);
      if (string_at(event, "type") != "response.completed") continue;
      const json::value& usage = event.at("response").at("usage");
      EXPECT_EQ(report.usage.prompt_tokens, count_at(usage, "input_tokens"));
      EXPECT_EQ(report.usage.completion_tokens, count_at(usage, "output_tokens"));
      ++with_usage;
    }
  }
  EXPECT_GE(list.size(), 29u);
  EXPECT_GE(with_usage, 25u);
}

}  // namespace
}  // namespace tessera::llm
