#include <algorithm>

#include "rag/index_feed_state.h"

namespace tessera::rag {

// From whatever the index holds to the present.
void IndexFeed::State::catch_up() {
  int64_t at = 0;
  {
    const std::lock_guard lock(mutex);
    at = started_at;
  }
  if (index.applied_sequence() > at) {
    // An index of another or an older database: nothing in it can be trusted.
    log.log(base::LogLevel::warn, "index_ahead_of_store", {{"index", index.applied_sequence()}, {"store", at}});
    index.clear();
  }
  if (const auto done = replay_rounds(); !done) {
    note_error(done.error());
    rebuild(true);
  }
}

// Replays until nothing was dropped meanwhile, then serves. Each round is shorter than the one before: it covers only
// what was committed during that one.
base::Result<> IndexFeed::State::replay_rounds() {
  while (true) {
    {
      const std::lock_guard lock(mutex);
      overflowed = false;
    }
    TESSERA_TRY(const int64_t last, store.last_sequence());
    base::Result<> applying;
    const auto told = store.replay(index.applied_sequence(), [&](const core::StoreChange& change) {
      bool skip = !applying;
      {
        const std::lock_guard lock(mutex);
        skip = skip || stopping;
      }
      if (!skip) applying = apply(change);
    });
    TESSERA_CHECK(told);
    TESSERA_CHECK(applying);
    const std::lock_guard lock(mutex);
    if (stopping) return {};
    // A replay from nothing tells no removals, so the index's own number may stay behind.
    applied = std::max({applied, last, index.applied_sequence()});
    seen = std::max(seen, applied);
    if (overflowed) continue;
    state = FeedState::serving;
    error.clear();
    wake_locked();
    return {};
  }
}

void IndexFeed::State::rebuild(bool automatic) {
  while (true) {
    int64_t asked = 0;
    {
      const std::lock_guard lock(mutex);
      automatic_rebuilds = automatic ? automatic_rebuilds + 1 : 0;
      asked = wanted_generation;
      if (automatic_rebuilds <= options.rebuilds_max) {
        state = FeedState::rebuilding;
        ++rebuilds;
        not_whole = 0;
        last_not_whole.clear();
        applied = 0;
        drop_queue_locked();
        room.notify_all();
      } else {
        fail_locked();
        return;
      }
    }
    log.log(base::LogLevel::info, "index_rebuild", {{"automatic", automatic}});
    index.clear();
    unsaved = 0;
    if (const auto done = replay_rounds(); !done) {
      note_error(done.error());
      automatic = true;
      continue;
    }
    const std::lock_guard lock(mutex);
    generation = asked;
    wake_locked();
    return;
  }
}

}  // namespace tessera::rag
