#include "llm/providers/openai_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "llm/providers/openai_dialect.h"
#include "llm/providers/provider_ports.h"
#include "llm/providers/scripted_server_test.h"

namespace tessera::llm {
namespace {

namespace json = boost::json;
using testing::Scripted;
using testing::ScriptedServer;

Scripted reply(std::string body) {
  Scripted script;
  script.pieces = {std::move(body)};
  return script;
}

class OpenAiEmbedding : public ::testing::Test {
 protected:
  ScriptedServer server{{reply("{}")}};
  core::RequestContext context;
  OpenAiEmbedderOptions options;

  base::Result<core::Embeddings> embed(std::vector<std::string_view> texts) {
    OpenAiEmbedder embedder(options, make_provider_ports(server.client()).embeddings);
    return async::sync_wait(embedder.embed(context, texts));
  }
};

TEST_F(OpenAiEmbedding, BatchesKeepOrderAndNormalise) {
  options.batch_size = 2;
  server.restart({reply(R"({"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]})"),
                  reply(R"({"data":[{"embedding":"AACAPwAAAAA="}]})")});
  const auto rows = embed({"a", "", "b", "c"});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->rows, 4u);
  EXPECT_EQ(rows->dimensions, 2u);
  EXPECT_THAT(rows->values, ::testing::Pointwise(::testing::FloatEq(), {0.6F, 0.8F, 0.F, 0.F, 0.F, 1.F, 1.F, 0.F}));
  const auto received = server.received();
  ASSERT_EQ(received.size(), 2u);
  EXPECT_EQ(received[0].path, "/v1/embeddings");
  EXPECT_EQ(json::parse(received[0].body),
            json::parse(R"({"model":"text-embedding-3-small","input":["a","b"],"encoding_format":"float"})"));
  EXPECT_EQ(json::parse(received[1].body).at("input"), json::parse(R"(["c"])"));
}

TEST_F(OpenAiEmbedding, LearnsAndChecksTheLength) {
  server.restart(
      {reply(R"({"data":[{"index":0,"embedding":[1,0,0]}]})"), reply(R"({"data":[{"index":0,"embedding":[1,0]}]})")});
  OpenAiEmbedder embedder(options, make_provider_ports(server.client()).embeddings);
  EXPECT_EQ(embedder.dimensions(), 0u);
  const std::string_view texts[] = {"x"};
  EXPECT_EQ(async::sync_wait(embedder.embed(context, texts))->dimensions, 3u);
  EXPECT_EQ(embedder.dimensions(), 3u);
  EXPECT_EQ(async::sync_wait(embedder.embed(context, texts)).error().name, "EMBEDDING_DIMENSIONS");
  EXPECT_EQ(embedder.count_tokens("twelve bytes"), 3u);
}

TEST_F(OpenAiEmbedding, AsksForShorterVectorsAndBase64) {
  options.dimensions = 1;
  options.request_dimensions = options.base64 = true;
  server.restart({reply(R"({"data":[{"index":0,"embedding":"AACAPw=="}]})")});
  ASSERT_TRUE(embed({"x"}));
  const json::value sent = json::parse(server.received()[0].body);
  EXPECT_EQ(sent.at("dimensions"), 1);
  EXPECT_EQ(sent.at("encoding_format"), "base64");
}

TEST_F(OpenAiEmbedding, NothingToEmbedAsksNothing) {
  options.dimensions = 2;
  const auto rows = embed({"", " \n"});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->values, (std::vector<float>{0, 0, 0, 0}));
  EXPECT_TRUE(server.received().empty());
}

TEST_F(OpenAiEmbedding, AnswersThatDoNotFitAreErrors) {
  for (const char* body : {"nonsense", "{}", R"({"data":[]})", R"({"data":[{"index":0,"embedding":[1]}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":["x"]}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AAA="}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"?!"}]})",
                           R"({"data":[{"index":0,"embedding":[1]},{"index":1}]})", R"({"data":[1,2]})"}) {
    server.restart({reply(body)});
    const auto rows = embed({"a", "b"});
    ASSERT_FALSE(rows) << body;
    EXPECT_EQ(rows.error().name, "BAD_RESPONSE") << body;
  }
}

}  // namespace
}  // namespace tessera::llm
