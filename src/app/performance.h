#pragma once

#include <mutex>

#include "api/performance.h"
#include "base/clock.h"
#include "llm/engines/local_engines.h"
#include "observe/metrics.h"
#include "store/sqlite/sqlite_store.h"

namespace tessera::app {

/// Gathers what GET /api/performance/metrics tells from the parts that know. Thread-safe; what it refers to outlives
/// it.
class Performance {
 public:
  struct Means {
    const store::SqliteStore* store;  ///< null: nothing is kept on disk
    const llm::LocalEngines& engines;
    observe::Metrics& metrics;
    const base::Clock& clock;
  };
  explicit Performance(Means means) : means_(means), since_(means.clock.now()) {}

  [[nodiscard]] api::PerformanceFigures figures();

 private:
  /// Of the time since the last look, or of the one before when that was less than a second ago.
  double rate(uint64_t queries);

  const Means means_;
  std::mutex mutex_;
  base::SteadyTime since_;  // guarded by mutex_, as all below
  uint64_t queries_ = 0;
  double per_second_ = 0;
  bool looked_ = false;
};

}  // namespace tessera::app
