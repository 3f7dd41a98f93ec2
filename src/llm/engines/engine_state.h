#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "async/event.h"
#include "async/waiter.h"
#include "llm/engines/engine_pool.h"
#include "llm/providers/openai_model.h"

// The inside of EnginePool, shared by engine_pool.cc (who gets a slot) and engine_supervisor.cc (what the processes
// do).

namespace tessera::llm {

enum class EngineState { off, starting, ready, suspect, pausing, stopping };

/// One process, or the place of one.
struct EnginePool::Instance {
  EngineState state = EngineState::off;
  std::vector<Slot> slots;
  std::shared_ptr<ProviderClient> client;
  std::shared_ptr<OpenAiModel> model;
  ChildHost::ChildId child = 0;
  std::optional<ChildExit> exit;
  uint64_t generation = 0;  ///< grows with each start: a lease of an earlier one has no slot any more
  bool wanted = false;
  int failures = 0;  ///< in a row
  base::SteadyTime used{};
  base::SteadyTime ready_since{};
  base::SteadyTime retry_at{};
  async::Doorbell bell;  ///< something changed for whoever watches over this instance

  [[nodiscard]] size_t busy() const;
};

/// A slot that was given away.
struct EnginePool::Grant {
  std::shared_ptr<State> state;
  size_t engine = 0;
  size_t slot = 0;
  uint64_t generation = 0;
  std::shared_ptr<ProviderClient> client;
  std::shared_ptr<OpenAiModel> model;
};

struct EnginePool::State : std::enable_shared_from_this<EnginePool::State> {
  /// How one run of a process ended.
  struct End {
    enum class Kind { unloaded, failed, stopped } kind = Kind::stopped;
    bool was_ready = false;
    base::Error error;
  };
  struct Waiting {
    async::Waiter waiter;
    Prefix prefix;
    core::Priority priority = core::Priority::interactive;
    std::unique_ptr<Grant> grant;
    std::optional<base::Error> error;
  };

  State(EnginePoolOptions given, EngineMeans shared);

  // Slots (engine_pool.cc). All with the mutex held.
  std::unique_ptr<Grant> grant(const Prefix& prefix);
  void serve_waiting();
  void ask_for_engines();
  [[nodiscard]] std::optional<base::Error> hopeless() const;
  void fail_waiting(const base::Error& error);
  [[nodiscard]] std::optional<base::SteadyTime> idle_since() const;

  // Processes (engine_supervisor.cc).
  static core::Task<> supervise(std::shared_ptr<State> self, size_t index, async::CancelToken token);
  core::Task<End> run_once(size_t index, async::CancelToken token);
  core::Task<End> load(size_t index, async::CancelToken token);
  core::Task<base::Result<>> reserve_memory(Instance& instance, const async::CancelToken& token);
  core::Task<base::Result<>> wait_loaded(Instance& instance, uint16_t port, const async::CancelToken& token);
  core::Task<End> watch(size_t index, uint16_t port, async::CancelToken token);
  core::Task<bool> healthy(uint16_t port, const async::CancelToken& token) const;
  core::Task<> end_child(Instance& instance, base::Millis grace);
  base::Result<> start_child(size_t index, const EngineDoor& door);
  void open_door(size_t index, const EngineDoor& door);
  std::optional<base::Millis> settle(size_t index, const End& end);
  [[nodiscard]] base::Error ended(Instance& instance, bool loading);
  void unload_one();

  const EnginePoolOptions options;
  const EngineMeans means;
  const uint64_t memory_bytes;

  mutable std::mutex mutex;
  std::vector<std::unique_ptr<Instance>> instances;  // the vector is fixed; what it holds is guarded by mutex
  std::deque<std::shared_ptr<Waiting>> waiting;      // guarded by mutex
  std::optional<base::Error> last_error;             // guarded by mutex; of the last end, until one is ready again
  bool loads = true;                                 // guarded by mutex; false: the last start came to nothing
  bool closed = false;                               // guarded by mutex
  uint64_t uses = 0;                                 // guarded by mutex
  uint64_t restarts = 0;                             // guarded by mutex
  uint64_t requests = 0;                             // guarded by mutex
  uint64_t continued = 0;                            // guarded by mutex
};

}  // namespace tessera::llm
