#pragma once

#include <cstdint>

namespace tessera::api {

/// What GET /api/performance/metrics tells, besides the machine's load.
struct PerformanceFigures {
  struct Cache {
    uint64_t hits = 0;
    uint64_t misses = 0;
  };
  /// Of models, or of embedders: those that run here.
  struct Pool {
    size_t active = 0;  ///< instances that take requests
    size_t busy = 0;    ///< of these: with at least one request
    size_t queue = 0;   ///< requests that wait for their turn
    double average_ms = 0;
  };
  Cache l1;  ///< in memory
  Cache l2;  ///< on disk
  uint64_t cache_bytes = 0;
  Pool models;
  Pool embeddings;
  size_t connections = 0;       ///< of the database, in use
  size_t connections_pool = 0;  ///< there are
  double queries_per_second = 0;
};

}  // namespace tessera::api
