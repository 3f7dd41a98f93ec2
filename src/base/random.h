#pragma once

#include <cstdint>
#include <mutex>
#include <random>
#include <span>

namespace tessera::base {

/// Where randomness comes from. Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;
  /// Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
};

/// The kernel's generator; suitable for identifiers and secrets.
class SystemRandom final : public Random {
 public:
  uint64_t next() override;
};

/// Repeatable, for tests.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  uint64_t next() override {
    const std::lock_guard lock(mutex_);
    return engine_();
  }

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;  // guarded by mutex_
};

}  // namespace tessera::base
