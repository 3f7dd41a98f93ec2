#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "async/waiter.h"
#include "base/log.h"
#include "base/result.h"
#include "core/documents.h"
#include "core/index.h"

namespace tessera::rag {

struct IndexFeedOptions {
  size_t queue_max = 256;                 ///< waiting changes; beyond that the store's writer waits
  size_t queue_bytes_max = 64ULL << 20U;  ///< of their texts and vectors (one change is always admitted)
  int64_t save_every_changes = 20000;     ///< a snapshot after so many changes ...
  base::Millis save_idle{10000};          ///< ... and when nothing came for so long after a change
  int rebuilds_max = 1;                   ///< after a failing change, before the feed gives up
};

/// What operators see of the index's following.
struct IndexHealth {
  enum class State { starting, serving, rebuilding, failed, stopped };
  State state = State::starting;
  int64_t seen_sequence = 0;     ///< highest change told by the store
  int64_t applied_sequence = 0;  ///< highest change searches see
  int64_t lag() const { return seen_sequence - applied_sequence; }
  int64_t queued = 0;
  int64_t rebuilds = 0;
  int64_t saves = 0;
  int64_t save_failures = 0;
  std::string error;           ///< why it failed, for the operator: which change of which document, and what to do
  int64_t not_whole = 0;       ///< changes since the last rebuild that could be taken in only in part
  std::string last_not_whole;  ///< the last of them, as `error`
  core::IndexDamage damage;
};

/// Keeps the index equal to the store: replays what the index missed, then applies every committed change in order on
/// its own thread; another one saves beside it. The store's writer waits while the queue is full (back-pressure),
/// except during a replay, which covers what did not fit. A change that cannot be taken in whole is told and
/// counted, and the others follow. Any other apply error causes one rebuild from nothing; a second one makes the feed
/// fail: then waiting and `check_serving` answer unavailable INDEX_FAILED, never "no result".
/// Thread-safe; outlives its users; the store and the index outlive it. Stops: `stop()` (or destruction) applies what
/// is queued, saves, joins.
class IndexFeed {
 public:
  IndexFeed(core::DocumentStore& store, core::RetrievalIndex& index, base::Logger& log, IndexFeedOptions options = {});
  ~IndexFeed();
  IndexFeed(const IndexFeed&) = delete;
  IndexFeed& operator=(const IndexFeed&) = delete;

  /// Installs the store's listener and begins to catch up on the feed's thread; returns at once. Call it once, before
  /// the first write. Errors: unavailable when the store cannot tell its sequence.
  base::Result<> start();
  /// Until everything committed before start() is searchable. Errors as wait_applied.
  core::Task<base::Result<>> wait_ready(async::WaitBounds bounds = {});
  /// Until searches see the change. Errors: unavailable INDEX_FAILED or INDEX_STOPPED, deadline, cancelled.
  core::Task<base::Result<>> wait_applied(int64_t sequence, async::WaitBounds bounds = {});
  /// Until searches see every change that was acknowledged before this call.
  core::Task<base::Result<>> wait_current(async::WaitBounds bounds = {});
  /// Forgets the index and builds it anew from the store; also the way out of the failed state. Searches meanwhile
  /// answer unavailable INDEX_REBUILDING.
  core::Task<base::Result<>> rebuild(async::WaitBounds bounds = {});
  /// Success when searches may be trusted; else unavailable INDEX_STARTING, INDEX_REBUILDING, INDEX_FAILED.
  [[nodiscard]] base::Result<> check_serving() const;
  [[nodiscard]] IndexHealth health() const;
  /// Idempotent; blocking. Changes told later are left to the next start's replay.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::rag
