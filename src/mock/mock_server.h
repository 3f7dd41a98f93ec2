#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "async/shards.h"
#include "base/clock.h"
#include "base/result.h"
#include "mock/plan.h"
#include "mock/record.h"
#include "mock/script.h"

namespace tessera::mock {

struct MockOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;
  std::vector<Directive> directives;  ///< for every request, before what it says itself
  Script::File script;
  Price price;  ///< of models that the script has no price for
  uint64_t seed = 1;
  RecordOptions record;
  bool keep_text = false;  ///< requests' bodies in the transcript
  size_t connections_max = 100'000;
};

/// A server that speaks like a model provider and invents the answers: OpenAI's chat completions, embeddings and
/// models, Anthropic's messages, Gemini's generateContent. What it does with a request, the options decide, then the
/// script, the model's name, the query's and the header's and the body's directives, each overruling those before.
/// Created and stopped from outside the shards. Errors of start: unavailable LISTEN_FAILED or TRANSCRIPT_FAILED,
/// invalid BAD_ADDRESS or BAD_DIRECTIVE.
class MockServer {
 public:
  static base::Result<std::unique_ptr<MockServer>> start(MockOptions options, async::Shards& shards,
                                                         const base::Clock& clock);
  /// Cuts what still runs.
  ~MockServer();
  MockServer(const MockServer&) = delete;
  MockServer& operator=(const MockServer&) = delete;

  [[nodiscard]] uint16_t port() const;

 private:
  struct Impl;
  explicit MockServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::mock
