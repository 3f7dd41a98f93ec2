#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat_model.h"
#include "core/model_ports.h"
#include "llm/engines/engine_pool.h"

namespace tessera::llm {

/// The local models of a server.
struct LocalEnginesOptions {
  std::vector<EnginePoolOptions> pools;
  uint64_t memory_bytes_max = 0;  ///< for all models together; 0: no bound
};

/// All local engines of a server: its pools, the memory they share, and the processes. Thread-safe. Outlives the models
/// it hands out. Stops: `stop` (or destruction) ends every process; what still waits gets unavailable SHUTTING_DOWN.
class LocalEngines {
 public:
  struct Means {
    std::shared_ptr<wire::HttpClient> http;
    const base::Clock& clock;
    base::Random& random;
    base::Logger& log;
    boost::asio::any_io_executor executor;  ///< watches over the processes; its loop outlives the engines
  };
  LocalEngines(LocalEnginesOptions options, Means means);
  ~LocalEngines();

  /// Names of the chat models, in the order of the options.
  [[nodiscard]] std::vector<std::string> chat_models() const;
  /// One model for all chat pools, by the request's model (with or without "llama_cpp/" before it); not_found for
  /// others.
  [[nodiscard]] std::shared_ptr<core::ChatModel> chat() const { return chat_; }
  /// Names of the models that do not chat, and what they do.
  [[nodiscard]] std::vector<std::string> other_models() const;
  [[nodiscard]] core::ModelPorts ports() const;
  /// The first pool of that kind; null: there is none.
  [[nodiscard]] EnginePool* pool(EngineKind kind) const;
  [[nodiscard]] std::vector<EngineStats> stats() const;
  [[nodiscard]] bool empty() const { return pools_.empty(); }

  /// Blocking; idempotent; not from the executor.
  void stop();

 private:
  ChildHost children_;
  EngineMemory memory_;
  std::vector<std::unique_ptr<EnginePool>> pools_;
  std::shared_ptr<core::ChatModel> chat_;
};

}  // namespace tessera::llm
