#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace tessera::llm {

/// Shares the memory for local models out among the pools. An engine that starts reserves what it is going to use; when
/// that is not there, the pool that has been idle for longest is asked to unload. Thread-safe; outlives its occupants.
class EngineMemory {
 public:
  /// One pool, as the ledger sees it. Called with the ledger's lock held: they must not call back.
  struct Occupant {
    std::function<std::optional<base::SteadyTime>()> idle_since;  ///< nothing: it is at work, pinned or not loaded
    std::function<void()> unload;                                 ///< one idle engine, soon
  };
  enum class Verdict { granted, later, never };

  /// `bytes_max` 0: no bound.
  explicit EngineMemory(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  void join(const void* who, Occupant occupant);
  void leave(const void* who);
  /// `pinned` memory is not to be had back, so what does not fit beside it never will.
  Verdict reserve(uint64_t bytes, bool pinned);
  void release(uint64_t bytes, bool pinned);
  [[nodiscard]] uint64_t reserved() const;
  [[nodiscard]] uint64_t bytes_max() const { return bytes_max_; }

 private:
  struct Entry {
    const void* who;
    Occupant occupant;
  };
  const uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // guarded by mutex_
  uint64_t reserved_ = 0;       // guarded by mutex_
  uint64_t pinned_ = 0;         // guarded by mutex_
};

}  // namespace tessera::llm
