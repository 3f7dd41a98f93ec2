#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace tessera::observe {

/// This process, read from /proc; 0 where the system does not say.
struct ProcessStats {
  int64_t resident_bytes = 0;
  double cpu_seconds = 0;
  int64_t open_fds = 0;
  int64_t threads = 0;
  double start_time_seconds = 0;  ///< since 1970
};
ProcessStats read_process_stats();

/// The machine, in percent from 0 to 100.
struct SystemStats {
  double cpu_percent = 0;     ///< of all cores, since the sample before
  double memory_percent = 0;  ///< not available for new work
  double disk_percent = 0;    ///< of the file system of the data directory
};

/// Samples the machine's load. Thread-safe. Samples closer together than 100 ms share one processor reading.
class SystemSampler {
 public:
  /// `directory` is on the disk to watch; `clock` outlives the sampler.
  SystemSampler(const base::Clock& clock, std::string directory);
  [[nodiscard]] SystemStats sample();

 private:
  const base::Clock& clock_;
  const std::string directory_;
  std::mutex mutex_;
  uint64_t busy_ = 0;           // guarded by mutex_
  uint64_t total_ = 0;          // guarded by mutex_
  double cpu_percent_ = 0;      // guarded by mutex_
  base::SteadyTime sampled_{};  // guarded by mutex_
};

}  // namespace tessera::observe
