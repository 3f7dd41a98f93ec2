#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "llm/providers/openai_model.h"
#include "llm/providers/scripted_server_test.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using testing::Scripted;
using testing::ScriptedServer;

// What the events of a recording add up to, put together in the plainest way.
struct Reference {
  std::string text;
  std::map<int64_t, std::pair<std::string, std::string>> calls;  // index -> name, arguments
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  bool error = false;
  bool whole = false;
};

void add_content(Reference& reference, const json::value& content) {
  if (content.is_string()) reference.text += content.as_string();
  if (!content.is_array()) return;
  for (const json::value& part : content.as_array()) {
    if (part.at("type") == "text") reference.text += part.at("text").as_string();
  }
}

void add_usage(Reference& reference, const json::value& usage) {
  if (!usage.is_object()) return;
  reference.prompt_tokens = usage.at("prompt_tokens").as_int64();
  reference.completion_tokens = usage.at("completion_tokens").as_int64();
}

void add_chunk(Reference& reference, const json::object& chunk) {
  if (chunk.contains("error")) reference.error = true;
  if (reference.error) return;
  if (chunk.contains("x_groq") && chunk.at("x_groq").as_object().contains("usage")) {
    add_usage(reference, chunk.at("x_groq").at("usage"));
  }
  if (chunk.contains("usage")) add_usage(reference, chunk.at("usage"));
  for (const json::value& choice : chunk.at("choices").as_array()) {
    if (choice.as_object().contains("finish_reason") && choice.at("finish_reason").is_string()) reference.whole = true;
    const json::object& delta = choice.at("delta").as_object();
    if (delta.contains("content")) add_content(reference, delta.at("content"));
    if (!delta.contains("tool_calls") || delta.at("tool_calls").is_null()) continue;
    for (const json::value& call : delta.at("tool_calls").as_array()) {
      auto& [name, arguments] = reference.calls[call.at("index").as_int64()];
      const json::object& function = call.at("function").as_object();
      if (function.contains("name") && function.at("name").is_string()) name = function.at("name").as_string();
      if (function.contains("arguments")) arguments += function.at("arguments").as_string();
    }
  }
}

Reference read_reference(const std::string& recording) {
  Reference reference;
  std::istringstream lines(recording);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.starts_with("data: ")) continue;
    if (line == "data: [DONE]") {
      reference.whole = true;
    } else {
      add_chunk(reference, json::parse(line.substr(6)).as_object());
    }
  }
  return reference;
}

class JoiningSink final : public core::ChatSink {
 public:
  std::string text;
  core::Task<base::Result<>> on_delta(core::ChatDelta delta) override {
    text += delta.text;
    co_return base::Result<>{};
  }
};

void expect_same(const Reference& reference, const base::Result<core::ChatCompletion>& completion,
                 const std::string& streamed) {
  EXPECT_EQ(streamed, reference.text);
  ASSERT_EQ(completion.has_value(), reference.whole && !reference.error);
  if (!completion) {
    EXPECT_EQ(completion.error().code, base::Code::upstream);
    return;
  }
  EXPECT_EQ(completion->content, reference.text);
  EXPECT_EQ(completion->usage.prompt_tokens, reference.prompt_tokens);
  EXPECT_EQ(completion->usage.completion_tokens, reference.completion_tokens);
  std::map<int64_t, std::pair<std::string, std::string>> calls;
  if (!completion->extra_json.empty()) {
    const json::object extra = json::parse(completion->extra_json).as_object();
    if (extra.contains("tool_calls")) {
      for (const json::value& call : extra.at("tool_calls").as_array()) {
        const json::object& function = call.at("function").as_object();
        calls[static_cast<int64_t>(calls.size())] = {std::string(function.at("name").as_string()),
                                                     std::string(function.at("arguments").as_string())};
      }
    }
  }
  EXPECT_EQ(calls, reference.calls);
}

TEST(RecordedStreams, GiveWhatTheirEventsAddUpTo) {
  const std::filesystem::path folder = std::filesystem::path(TESSERA_SOURCE_DIR) / "../shared/data/provider-streams";
  std::ifstream index(folder / "index.jsonl");
  if (!index) GTEST_SKIP() << "NOT TESTED: recorded provider streams are absent; looked in " << folder;

  ScriptedServer server{{Scripted{}}};
  OpenAiModel model(server.client());
  const core::RequestContext context;
  size_t played = 0;
  size_t tool_calls = 0;
  for (std::string line; std::getline(index, line);) {
    const json::object row = json::parse(line).as_object();
    if (std::string_view(row.at("path").as_string()).find("chat/completions") == std::string_view::npos) continue;
    const std::string name(row.at("file").as_string());
    SCOPED_TRACE(name);
    std::stringstream recording;
    recording << std::ifstream(folder / name, std::ios::binary).rdbuf();
    ASSERT_FALSE(recording.str().empty());

    Scripted script;
    const std::string bytes = recording.str();
    for (size_t at = 0; at < bytes.size(); at += 97) script.pieces.push_back(bytes.substr(at, 97));
    script.pieces.emplace_back();
    server.restart({script});
    core::ChatRequest request;
    request.model = "recorded";
    JoiningSink sink;
    const auto completion = async::sync_wait(model.generate(context, request, &sink));
    const Reference reference = read_reference(bytes);
    expect_same(reference, completion, sink.text);
    ++played;
    tool_calls += reference.calls.size();
  }
  EXPECT_GE(played, 40u);
  EXPECT_GE(tool_calls, 20u);
}

}  // namespace
}  // namespace tessera::llm
