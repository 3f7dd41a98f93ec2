#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rag/index_feed.h"

namespace tessera::rag {

using FeedState = IndexHealth::State;

/// The inside of IndexFeed, in two files: index_feed.cc (queue, applying, waiting) and index_replay.cc (catching up,
/// rebuilding).
struct IndexFeed::State {
  struct Wait {
    int64_t sequence;
    int64_t generation;
    async::Waiter waiter;
  };

  State(core::DocumentStore& s, core::RetrievalIndex& i, base::Logger& l, IndexFeedOptions o)
      : store(s), index(i), log(l), options(o) {}

  core::DocumentStore& store;
  core::RetrievalIndex& index;
  base::Logger& log;
  const IndexFeedOptions options;
  std::thread thread;
  std::thread saver;       // joined by the feed's thread
  int64_t started_at = 0;  // the store's sequence when start() was called

  mutable std::mutex mutex;
  std::condition_variable work;         // for the feed's thread
  std::condition_variable room;         // for the store's writer
  std::condition_variable saving;       // for the saver
  std::deque<core::StoreChange> queue;  // guarded by mutex, as all below
  size_t queue_bytes = 0;               // also of what was taken and is being applied
  FeedState state = FeedState::starting;
  bool started = false;
  bool stopping = false;
  bool whole = false;       // at the stop, the index was equal to the store
  bool overflowed = false;  // a change did not fit during a replay: the replay must be repeated
  int64_t seen = 0;
  int64_t applied = 0;
  int64_t wanted_generation = 0;  // rebuilds asked for
  int64_t generation = 0;         // rebuilds asked for and done
  bool save_wanted = false;
  bool save_no_more = false;
  int64_t saves = 0;
  int64_t save_failures = 0;
  int64_t rebuilds = 0;
  int automatic_rebuilds = 0;
  std::string error;
  int64_t not_whole = 0;
  std::string last_not_whole;
  std::vector<Wait> waits;

  // Of the feed's thread only.
  int64_t unsaved = 0;

  void on_change(const core::StoreChange& change);
  void run();
  void catch_up();
  base::Result<> replay_rounds();
  base::Result<> apply(const core::StoreChange& change);
  void apply_waiting();
  void rebuild(bool automatic);
  void want_save_locked();
  void run_saver();
  base::Result<> judge(const core::StoreChange& change, base::Error why);
  void note_error(const base::Error& why);
  void fail_locked();
  void wake_locked();
  void drop_queue_locked();
  [[nodiscard]] bool over_locked(const Wait& wait) const;
  [[nodiscard]] base::Result<> outcome_locked(const Wait& wait) const;
  core::Task<base::Result<>> wait_for(int64_t sequence, int64_t min_generation, async::WaitBounds bounds);
};

}  // namespace tessera::rag
