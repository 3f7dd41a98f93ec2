#include "rag/index_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iterator>
#include <utility>

#include "rag/index_feed_state.h"

namespace tessera::rag {

namespace {

using base::Code;

size_t change_bytes(const core::StoreChange& change) {
  size_t bytes = sizeof(change);
  if (change.document) {
    const auto& write = *change.document;
    bytes +=
        write.document.text.size() + write.vectors.size() * sizeof(float) + write.chunks.size() * sizeof(core::Chunk);
  }
  return bytes;
}

/// Where in the store a change is: names and sizes, no text.
std::string describe(const core::StoreChange& change) {
  if (change.kind == core::StoreChange::Kind::drop_collection) {
    return fmt::format("dropping collection number {}", change.collection_id);
  }
  if (change.document == nullptr) {
    return fmt::format("removing document number {} of collection number {}", change.document_key,
                       change.collection_id);
  }
  const core::DocumentWrite& write = *change.document;
  return fmt::format("app '{}', collection '{}', document '{}' ({} chunks, vectors of {} dimensions)",
                     write.collection.tenant.app_id, write.collection.name, write.document.head.document_id,
                     write.chunks.size(), write.dimensions);
}

/// For the operator; error messages of the index hold no user text.
std::string sentence(const base::Error& why) {
  std::string said = why.name;
  if (!why.message.empty()) said += ": " + why.message;
  if (!why.detail.empty()) said += " (" + why.detail + ")";
  return said;
}

base::Error not_serving(FeedState state) {
  constexpr base::Millis kSoon{1000};
  base::Error error;
  switch (state) {
    case FeedState::starting:
      error = base::make_error(Code::unavailable, "INDEX_STARTING", "The search index is catching up; try again soon.");
      break;
    case FeedState::rebuilding:
      error =
          base::make_error(Code::unavailable, "INDEX_REBUILDING", "The search index is being rebuilt; try again soon.");
      break;
    case FeedState::failed:
      error = base::make_error(Code::unavailable, "INDEX_FAILED",
                               "The search index failed; documents are safe. Whoever operates the server finds the "
                               "cause in /api/health/detailed (components.index.error) and in the log; once it is "
                               "mended, POST /api/reindex or a restart builds the index anew.");
      break;
    case FeedState::stopped:
    case FeedState::serving:
      error = base::make_error(Code::unavailable, "INDEX_STOPPED", "The server is shutting down; try again soon.");
      break;
  }
  error.retry_after = kSoon;
  return error;
}

}  // namespace

void IndexFeed::State::on_change(const core::StoreChange& change) {
  const size_t bytes = change_bytes(change);
  std::unique_lock lock(mutex);
  const auto full = [&] {
    return !queue.empty() && (queue.size() >= options.queue_max || queue_bytes + bytes > options.queue_bytes_max);
  };
  // Only a serving feed makes the writer wait: a replay may need the store, and it covers what is dropped here.
  room.wait(lock, [&] { return stopping || state != FeedState::serving || !full(); });
  seen = std::max(seen, change.sequence);
  if (stopping || state == FeedState::failed || state == FeedState::stopped || overflowed) return;
  if (full()) {
    overflowed = true;
    drop_queue_locked();
    return;
  }
  queue.push_back(change);
  queue_bytes += bytes;
  if (queue.size() == 1) work.notify_one();
}

void IndexFeed::State::run() {
  catch_up();
  std::unique_lock lock(mutex);
  while (true) {
    const auto due = [this] { return stopping || wanted_generation > generation || !queue.empty(); };
    const bool woken = unsaved > 0 ? work.wait_for(lock, options.save_idle, due) : (work.wait(lock, due), true);
    if (wanted_generation > generation && !stopping) {
      lock.unlock();
      rebuild(false);
      lock.lock();
    } else if (!queue.empty() && state == FeedState::serving) {
      lock.unlock();
      apply_waiting();
      lock.lock();
    } else if (stopping) {
      break;
    } else if (!woken) {
      unsaved = 0;
      want_save_locked();
    }
  }
  whole = state == FeedState::serving;
  if (whole && unsaved > 0) want_save_locked();
  save_no_more = true;
  saving.notify_one();
  lock.unlock();
  saver.join();
  lock.lock();
  state = FeedState::stopped;
  wake_locked();
}

base::Result<> IndexFeed::State::apply(const core::StoreChange& change) {
  try {
    auto done = index.apply(change);
    ++unsaved;
    return done ? done : judge(change, std::move(done).error());
  } catch (const std::exception& thrown) {
    return judge(change, base::make_error(Code::internal, "INDEX_APPLY_FAILED",
                                          "The search index could not take a change in.", thrown.what()));
  }
}

/// One document that cannot be taken in whole is no reason to keep back all others.
base::Result<> IndexFeed::State::judge(const core::StoreChange& change, base::Error why) {
  why.detail = describe(change) + (why.detail.empty() ? "" : "; " + why.detail);
  if (why.code != Code::invalid && why.code != Code::exhausted) return std::unexpected(std::move(why));
  log.failure("index_change_not_whole", why);
  const std::lock_guard lock(mutex);
  ++not_whole;
  last_not_whole = sentence(why);
  return {};
}

// Several under one lock and one wake: a bulk ingest is told thousands of changes a second.
void IndexFeed::State::apply_waiting() {
  constexpr size_t kAtOnce = 32;
  std::vector<core::StoreChange> changes;
  {
    const std::lock_guard lock(mutex);
    const auto end = queue.begin() + static_cast<std::ptrdiff_t>(std::min(queue.size(), kAtOnce));
    changes.assign(std::move_iterator(queue.begin()), std::move_iterator(end));
    queue.erase(queue.begin(), end);
    room.notify_all();
  }
  size_t bytes = 0;
  for (core::StoreChange& change : changes) {
    bytes += change_bytes(change);
    if (const auto done = apply(change); !done) {
      note_error(done.error());
      rebuild(true);  // covers the rest as well
      return;
    }
    change.document.reset();
  }
  {
    const std::lock_guard lock(mutex);
    queue_bytes -= std::min(queue_bytes, bytes);
    for (const auto& change : changes) applied = std::max(applied, change.sequence);
    room.notify_all();
    wake_locked();
  }
  if (unsaved < options.save_every_changes) return;
  unsaved = 0;
  const std::lock_guard lock(mutex);
  want_save_locked();
}

void IndexFeed::State::want_save_locked() {
  save_wanted = true;
  saving.notify_one();
}

/// On a thread of its own: changes go on being applied meanwhile.
void IndexFeed::State::run_saver() {
  std::unique_lock lock(mutex);
  while (true) {
    saving.wait(lock, [this] { return save_wanted || save_no_more; });
    if (!std::exchange(save_wanted, false)) return;
    lock.unlock();
    const auto saved = index.save();
    if (!saved) log.failure("index_save_failed", saved.error());
    lock.lock();
    // After a failure the next try comes with the next changes; the truth is in the store anyway.
    ++(saved ? saves : save_failures);
  }
}

void IndexFeed::State::note_error(const base::Error& why) {
  log.failure("index_apply_failed", why);
  const std::lock_guard lock(mutex);
  error = sentence(why);
}

void IndexFeed::State::fail_locked() {
  state = FeedState::failed;
  generation = wanted_generation;
  drop_queue_locked();
  room.notify_all();
  wake_locked();
}

void IndexFeed::State::drop_queue_locked() {
  queue.clear();
  queue_bytes = 0;
}

bool IndexFeed::State::over_locked(const Wait& wait) const {
  if (state == FeedState::failed || state == FeedState::stopped) return true;
  return state == FeedState::serving && applied >= wait.sequence && generation >= wait.generation;
}

base::Result<> IndexFeed::State::outcome_locked(const Wait& wait) const {
  if (state == FeedState::failed || (state == FeedState::stopped && applied < wait.sequence)) {
    return std::unexpected(not_serving(state));
  }
  return {};
}

void IndexFeed::State::wake_locked() {
  std::erase_if(waits, [this](const Wait& wait) {
    if (!over_locked(wait)) return false;
    wait.waiter.wake();
    return true;
  });
}

core::Task<base::Result<>> IndexFeed::State::wait_for(int64_t sequence, int64_t min_generation,
                                                      async::WaitBounds bounds) {
  const Wait wait{sequence, min_generation, {}};
  {
    const std::lock_guard lock(mutex);
    if (over_locked(wait)) co_return outcome_locked(wait);
    waits.push_back(wait);
  }
  const auto why = co_await wait.waiter.wait(std::move(bounds));
  const std::lock_guard lock(mutex);
  std::erase_if(waits, [&](const Wait& other) { return other.waiter == wait.waiter; });
  if (over_locked(wait)) co_return outcome_locked(wait);
  if (why == async::Wake::cancelled) {
    co_return base::fail(Code::cancelled, "REQUEST_CANCELLED", "The request was cancelled.");
  }
  if (why == async::Wake::deadline) {
    co_return base::fail(Code::deadline, "DEADLINE_EXCEEDED", "The change is stored, but searches do not see it yet.");
  }
  // Woken, and a rebuild began before we ran: searches are not to be trusted now, but our change was seen.
  co_return base::Result<>{};
}

IndexFeed::IndexFeed(core::DocumentStore& store, core::RetrievalIndex& index, base::Logger& log,
                     IndexFeedOptions options)
    : state_(std::make_unique<State>(store, index, log, options)) {}

IndexFeed::~IndexFeed() {
  stop();
}

base::Result<> IndexFeed::start() {
  auto& s = *state_;
  s.store.set_listener([state = state_.get()](const core::StoreChange& change) { state->on_change(change); });
  TESSERA_TRY(const int64_t last, s.store.last_sequence());
  {
    const std::lock_guard lock(s.mutex);
    s.started = true;
    s.started_at = last;
    s.seen = std::max(s.seen, last);
  }
  s.index.set_damage_listener([state = state_.get()] {
    const std::lock_guard lock(state->mutex);
    if (state->stopping) return;
    ++state->wanted_generation;  // as a rebuild asked for: searches are refused until it is done
    if (state->state == FeedState::serving) state->state = FeedState::rebuilding;
    state->work.notify_one();
  });
  s.saver = std::thread([state = state_.get()] { state->run_saver(); });
  s.thread = std::thread([state = state_.get()] { state->run(); });
  return {};
}

core::Task<base::Result<>> IndexFeed::wait_ready(async::WaitBounds bounds) {
  int64_t sequence = 0;
  {
    const std::lock_guard lock(state_->mutex);
    sequence = state_->started_at;
  }
  co_return co_await state_->wait_for(sequence, 0, std::move(bounds));
}

core::Task<base::Result<>> IndexFeed::wait_applied(int64_t sequence, async::WaitBounds bounds) {
  co_return co_await state_->wait_for(sequence, 0, std::move(bounds));
}

core::Task<base::Result<>> IndexFeed::wait_current(async::WaitBounds bounds) {
  int64_t sequence = 0;
  {
    const std::lock_guard lock(state_->mutex);
    sequence = state_->seen;
  }
  co_return co_await state_->wait_for(sequence, 0, std::move(bounds));
}

core::Task<base::Result<>> IndexFeed::rebuild(async::WaitBounds bounds) {
  int64_t generation = 0;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopping || !state_->started) co_return std::unexpected(not_serving(FeedState::stopped));
    generation = ++state_->wanted_generation;
    // Leaves the failed state at once, so that the wait below is for the rebuild.
    if (state_->state == FeedState::failed) state_->state = FeedState::rebuilding;
    state_->work.notify_one();
  }
  co_return co_await state_->wait_for(0, generation, std::move(bounds));
}

base::Result<> IndexFeed::check_serving() const {
  const std::lock_guard lock(state_->mutex);
  // Stopped: nothing is applied any more, but what is there is whole; requests that are being finished may search.
  if (state_->state == FeedState::serving || (state_->state == FeedState::stopped && state_->whole)) return {};
  return std::unexpected(not_serving(state_->state));
}

IndexHealth IndexFeed::health() const {
  const std::lock_guard lock(state_->mutex);
  const auto& s = *state_;
  IndexHealth health;
  health.state = s.state;
  health.seen_sequence = s.seen;
  health.applied_sequence = s.applied;
  health.queued = static_cast<int64_t>(s.queue.size());
  health.rebuilds = s.rebuilds;
  health.saves = s.saves;
  health.save_failures = s.save_failures;
  health.error = s.error;
  health.not_whole = s.not_whole;
  health.last_not_whole = s.last_not_whole;
  health.damage = s.index.damage();
  return health;
}

void IndexFeed::stop() {
  auto& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    s.stopping = true;
    s.work.notify_all();
    s.room.notify_all();
  }
  if (s.thread.joinable()) s.thread.join();
  const std::lock_guard lock(s.mutex);
  s.state = FeedState::stopped;
  s.wake_locked();
}

}  // namespace tessera::rag
