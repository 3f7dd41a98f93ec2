#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "async/task.h"
#include "async/waiter.h"
#include "base/result.h"
#include "core/context.h"

namespace tessera::observe {
class Gauge;
}

namespace tessera::llm {

struct LaneOptions {
  size_t concurrent_max = 64;
  size_t waiting_max = 256;            ///< of both lanes together
  base::Millis interactive_wait{500};  ///< longest wait for a turn
  base::Millis background_wait{2'000};
  base::Millis handicap{1'000};     ///< background callers queue as if they had come this much later
  bool priorities = true;           ///< else one lane, first come first served, until the deadline
  observe::Gauge* queue = nullptr;  ///< callers that wait; may be null, else outlives the lanes
};

/// The way to one endpoint: at most N calls at a time, people before batches. Each lane is first come, first served;
/// between the lanes the earlier counts, where background callers count as come later by the handicap, so they are
/// overtaken by the people of the next moments but never starved. Thread-safe. Permits keep its state alive.
class Lanes {
  struct State;

 public:
  /// The right to call; gives it back when destroyed. Movable.
  class Permit {
   public:
    Permit() = default;
    ~Permit() { release(); }
    Permit(Permit&&) noexcept = default;
    Permit& operator=(Permit&& other) noexcept {
      release();
      state_ = std::move(other.state_);
      return *this;
    }
    void release();

   private:
    friend class Lanes;
    explicit Permit(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  /// `clock` outlives the lanes and their permits.
  Lanes(LaneOptions options, const base::Clock& clock);

  /// An empty permit when there is no room or others wait.
  [[nodiscard]] Permit try_acquire(bool& granted);
  /// Waits for a turn. Errors: exhausted TOO_MANY_WAITING, exhausted ENDPOINT_BUSY (its lane's time was over), deadline
  /// DEADLINE, cancelled CANCELLED.
  [[nodiscard]] async::Task<base::Result<Permit>> acquire(const core::RequestContext& context);
  [[nodiscard]] bool full() const;
  [[nodiscard]] size_t in_use() const;
  [[nodiscard]] size_t waiting() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace tessera::llm
