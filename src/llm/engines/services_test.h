#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "async/run_blocking.h"
#include "async/shards.h"
#include "base/log.h"
#include "llm/engines/engine_pool.h"

namespace tessera::llm::testing {

/// The real llama-server and whisper-server (tests/services/README.md), and models for them, written once for a test
/// program into a directory of its own.
class Services {
 public:
  /// Why they are not there; empty when they are.
  static std::string missing();
  static std::string program(const std::string& name);
  /// A path in that directory.
  static std::string scratch(const std::string& name);
  /// A model's file: kind is chat, embed, rank or hear.
  static std::string model(const std::string& kind, const std::vector<std::string>& arguments = {});
};

/// Skips a test, loudly, where the programs could not be had.
#define TESSERA_NEEDS_SERVICES() \
  if (const std::string why = ::tessera::llm::testing::Services::missing(); !why.empty()) GTEST_SKIP() << why

/// What pools need, for tests.
struct PoolWorld {
  explicit PoolWorld(uint64_t memory_max = 0) : memory(memory_max) {}
  base::SystemClock clock;
  base::SystemRandom random;
  std::unique_ptr<base::Logger> log = base::silent_logger();
  std::shared_ptr<wire::HttpClient> http = std::make_shared<wire::HttpClient>();
  async::Shards shards{2};
  ChildHost children;
  EngineMemory memory;

  EngineMeans means() { return {children, memory, http, clock, random, *log, shards.executor(0)}; }
};

/// A pool of the real program with a small model, impatient.
EnginePoolOptions real_pool(EngineKind kind, const std::string& model_path);

/// Waits, at most 20 s, until `condition` holds; looks at it again and again.
bool eventually(const std::function<bool()>& condition);

}  // namespace tessera::llm::testing
