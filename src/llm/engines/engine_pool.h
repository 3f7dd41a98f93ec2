#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "async/task_scope.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "core/chat_model.h"
#include "llm/engines/child_host.h"
#include "llm/engines/engine_memory.h"
#include "llm/engines/launch.h"
#include "llm/engines/prefix.h"
#include "llm/providers/provider_client.h"
#include "wire/http_client.h"

namespace tessera::llm {

/// What pools share; all of it outlives them. `executor` runs what watches over the engines.
struct EngineMeans {
  ChildHost& children;
  EngineMemory& memory;
  std::shared_ptr<wire::HttpClient> http;
  const base::Clock& clock;
  base::Random& random;
  base::Logger& log;
  boost::asio::any_io_executor executor;
};

struct EnginePoolOptions {
  EngineSpec spec;
  size_t instances = 1;
  bool pinned = false;                 ///< started at boot and never unloaded; else started by the first request
  base::Millis idle_timeout{300'000};  ///< unused for so long, an engine that is not pinned is unloaded; 0: never
  base::Millis load_timeout{120'000};  ///< for a model to load
  base::Millis call_timeout{120'000};  ///< for a call
  base::Millis health_interval{5'000};
  base::Millis health_timeout{5'000};
  base::Millis backoff_min{500};  ///< before the second start in a row; doubles
  base::Millis backoff_max{30'000};
  base::Millis settle_time{10'000};  ///< an engine that ran for so long starts a new count
  base::Millis stop_grace{2'000};
  size_t waiting_max = 256;   ///< requests that may wait for a free slot
  uint64_t memory_bytes = 0;  ///< what an instance reserves; 0: the size of the model's file
};

/// How a pool is doing.
struct EngineStats {
  EngineKind kind = EngineKind::chat;
  std::string model;
  size_t instances = 0;
  size_t ready = 0;     ///< instances that take requests
  size_t starting = 0;  ///< loading
  size_t failing = 0;   ///< ended by themselves, and wait to be started again
  size_t busy = 0;      ///< instances with at least one request
  size_t slots_busy = 0;
  size_t queue = 0;  ///< requests that wait for a slot
  uint64_t restarts = 0;
  uint64_t requests = 0;
  uint64_t continued = 0;    ///< of these: went to the slot that held their beginning
  std::string last_failure;  ///< what the operator should read; empty: none since an engine became ready
};

/// Several processes with one model: started at boot or on demand, watched, started again with growing pauses when they
/// end, unloaded when idle or when another model needs the memory. A request gets a slot of one of them, the one that
/// holds its conversation when it is free, and waits its turn when none is. Thread-safe. Stops: `stop` (or destruction)
/// fails those who wait and ends the processes.
class EnginePool {
  struct Grant;
  struct Instance;
  struct State;

 public:
  /// A slot of an engine, to be used for one call; given back when destroyed.
  class Lease {
   public:
    Lease(Lease&&) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    [[nodiscard]] const std::shared_ptr<ProviderClient>& client() const;
    [[nodiscard]] core::ChatModel& model() const;
    [[nodiscard]] size_t engine() const;
    [[nodiscard]] size_t slot() const;
    /// The engine could not be reached or broke off: it gets no more requests until it has been looked at.
    void lost();

   private:
    friend class EnginePool;
    explicit Lease(std::unique_ptr<Grant> grant);
    std::unique_ptr<Grant> grant_;
  };

  EnginePool(EnginePoolOptions options, EngineMeans means);
  ~EnginePool();
  EnginePool(const EnginePool&) = delete;
  EnginePool& operator=(const EnginePool&) = delete;

  /// Errors: unavailable ENGINE_FAILED (it does not start; with a time to come back), ENGINE_MISSING, ENGINE_MEMORY,
  /// SHUTTING_DOWN; exhausted ENGINE_QUEUE_FULL; deadline, cancelled.
  core::Task<base::Result<Lease>> acquire(const core::RequestContext& context, Prefix prefix);

  [[nodiscard]] const EngineSpec& spec() const;
  [[nodiscard]] EngineStats stats() const;
  /// The process of an instance, 0 when it does not run; for tests.
  [[nodiscard]] int process_of(size_t instance) const;
  /// Blocking; idempotent; not from the executor.
  void stop();

 private:
  std::shared_ptr<State> state_;
  async::TaskScope scope_;
};

}  // namespace tessera::llm
