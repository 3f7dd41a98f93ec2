#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "async/waiter.h"
#include "base/result.h"

namespace tessera::async {

struct LimiterOptions {
  size_t concurrent_max = 1;
  size_t waiting_max = 0;          ///< callers that may wait; beyond that acquire answers exhausted
  base::Millis retry_after{1000};  ///< told to those turned away
};

/// Lets at most N callers in at a time; a bounded number waits in order, the rest is turned away. Thread-safe. Permits
/// keep its state alive, so they may outlive it.
class Limiter {
  struct State;

 public:
  /// The right to proceed; gives it back when destroyed. Movable.
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
    friend class Limiter;
    explicit Permit(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  explicit Limiter(LimiterOptions options);

  /// Errors: exhausted TOO_MANY_WAITING with retry_after, deadline DEADLINE, cancelled CANCELLED.
  [[nodiscard]] Task<base::Result<Permit>> acquire(WaitBounds bounds = {});
  [[nodiscard]] std::optional<Permit> try_acquire();
  [[nodiscard]] size_t in_use() const;
  [[nodiscard]] size_t waiting() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace tessera::async
