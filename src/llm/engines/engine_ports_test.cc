#include "llm/engines/engine_ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "llm/engines/services_test.h"

namespace tessera::llm {
namespace {

using ::testing::HasSubstr;
using testing::PoolWorld;
using testing::real_pool;
using testing::Services;

/// Three seconds of nothing, as a WAV file of 16 kHz.
std::string silence() {
  const uint32_t bytes = 3 * 16'000 * 2;
  std::string wav = "RIFF";
  const auto number = [&wav](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) wav += static_cast<char>(value >> (8 * i));
  };
  number(36 + bytes, 4);
  wav += "WAVEfmt ";
  number(16, 4);
  number(1, 2);
  number(1, 2);
  number(16'000, 4);
  number(32'000, 4);
  number(2, 2);
  number(16, 2);
  wav += "data";
  number(bytes, 4);
  wav.append(bytes, '\0');
  return wav;
}

class EnginePorts : public ::testing::Test {
 protected:
  void SetUp() override { TESSERA_NEEDS_SERVICES(); }
  PoolWorld world;
  core::RequestContext context;
  core::RelayReport report;
};

TEST_F(EnginePorts, Ranks) {
  EnginePool pool(real_pool(EngineKind::rerank, Services::model("rank")), world.means());
  const core::ModelPorts ports = engine_ports({.rerank = &pool});
  EXPECT_EQ(ports.embeddings, nullptr);
  core::RelayRequest request;
  request.model = "tiny";
  request.body = R"({"model":"tiny","query":"cat","documents":["dog","cat","sea"]})";
  const auto ranked = async::sync_wait(ports.rerank->rerank(context, request, report));
  ASSERT_TRUE(ranked) << ranked.error().message << ranked.error().detail;
  EXPECT_THAT(*ranked, HasSubstr("\"relevance_score\""));
}

TEST_F(EnginePorts, EmbedsInTheClientsOwnWords) {
  EnginePool pool(real_pool(EngineKind::embedding, Services::model("embed")), world.means());
  const core::ModelPorts ports = engine_ports({.embedding = &pool});
  core::RelayRequest request;
  request.model = "tiny";
  request.body = R"({"model":"tiny","input":["cat","dog"],"encoding_format":"base64"})";
  const auto vectors = async::sync_wait(ports.embeddings->embeddings(context, request, report));
  ASSERT_TRUE(vectors) << vectors.error().message << vectors.error().detail;
  EXPECT_THAT(*vectors, HasSubstr("\"embedding\":\""));
}

TEST_F(EnginePorts, WritesDownSpeech) {
  EnginePool pool(
      real_pool(EngineKind::transcription, Services::model("hear", {"--say", "The ferry leaves at seven."})),
      world.means());
  const core::ModelPorts ports = engine_ports({.transcription = &pool});
  const std::string wav = silence();
  core::RelayRequest request;
  request.model = "tiny";
  request.form = {{.name = "file", .file_name = "speech.wav", .content_type = "audio/wav", .body = wav}};
  const auto written = async::sync_wait(ports.transcription->transcribe(context, request, nullptr, report));
  ASSERT_TRUE(written) << written.error().message << written.error().detail;
  EXPECT_THAT(*written, HasSubstr("The ferry leaves at seven."));

  request.form.push_back({.name = "response_format", .file_name = "", .content_type = "", .body = "srt"});
  const auto titles = async::sync_wait(ports.transcription->transcribe(context, request, nullptr, report));
  ASSERT_TRUE(titles) << titles.error().message;
  EXPECT_THAT(*titles, HasSubstr("00:00:00,000 --> "));

  const std::string garbage(1000, 'x');
  request.form = {{.name = "file", .file_name = "speech.wav", .content_type = "audio/wav", .body = garbage}};
  const auto refused = async::sync_wait(ports.transcription->transcribe(context, request, nullptr, report));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::invalid);
}

}  // namespace
}  // namespace tessera::llm
