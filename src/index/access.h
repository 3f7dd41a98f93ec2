#pragma once

#include <mutex>
#include <shared_mutex>

namespace tessera::index {

/// Many readers beside one writer, neither starving: a waiting writer holds the door, so that new readers queue behind
/// it (the system's shared lock alone prefers readers for ever). Writers keep their turns short.
class Access {
 public:
  [[nodiscard]] std::shared_lock<std::shared_mutex> read() const {
    const std::lock_guard door(door_);
    return std::shared_lock(mutex_);
  }
  [[nodiscard]] std::unique_lock<std::shared_mutex> write() const {
    const std::lock_guard door(door_);
    return std::unique_lock(mutex_);
  }

 private:
  mutable std::mutex door_;
  mutable std::shared_mutex mutex_;
};

}  // namespace tessera::index
