#include "store/sqlite/write_queue.h"

#include <exception>

#include "base/thread.h"

namespace tessera::store {
namespace {

using base::Code;

// Writes beyond this share the next transaction, so that a savepoint's undo log and the log stay small.
constexpr size_t kGroupBytesMax = 32 * 1024 * 1024;
// How long a write that was announced is waited for; it is on its way, unless its caller was stopped just then.
constexpr std::chrono::milliseconds kMoreWait{10};

// The database's own trouble, as opposed to a refusal of this one write.
bool storage_failed(const base::Error& error) {
  return error.code == Code::unavailable || error.code == Code::internal;
}

}  // namespace

base::Result<std::unique_ptr<WriteQueue>> WriteQueue::start(std::unique_ptr<Connection> connection,
                                                            WriteQueueOptions options, const base::Clock& clock,
                                                            base::Logger& logger) {
  auto queue = std::unique_ptr<WriteQueue>(new WriteQueue(std::move(connection), std::move(options), clock, logger));
  {
    Query query(*queue->db_,
                "SELECT sequence, collection_id, document_key, chunk_key, text_key, session_key FROM counters");
    if (query.next()) {
      queue->saved_ = Counters{.sequence = query.integer(0),
                               .collection_id = query.integer(1),
                               .document_key = query.integer(2),
                               .chunk_key = query.integer(3),
                               .text_key = query.integer(4),
                               .session_key = query.integer(5)};
    }
    TESSERA_CHECK(query.finish());
  }
  queue->counters_ = queue->saved_;
  queue->last_sequence_ = queue->saved_.sequence;
  queue->db_->count_log_pages();
  queue->thread_ = std::thread([q = queue.get()] {
    base::begin_thread("store-writer", base::ThreadKind::batch);
    q->loop();
  });
  return queue;
}

WriteQueue::WriteQueue(std::unique_ptr<Connection> connection, WriteQueueOptions options, const base::Clock& clock,
                       base::Logger& logger)
    : options_(std::move(options)), clock_(clock), logger_(logger), db_(std::move(connection)) {}

uint64_t WriteQueue::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

size_t WriteQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

WriteQueue::~WriteQueue() {
  stop();
}

void WriteQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void WriteQueue::set_listener(core::ChangeListener listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

std::optional<base::Error> WriteQueue::push(std::shared_ptr<Job> job) {
  bool wakes = true;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return base::make_error(Code::unavailable, "SHUTTING_DOWN", "The server is stopping; try again in a moment.");
    }
    // One write is let in whatever its size, or it could never be.
    if (waiting_.size() >= options_.waiting_max || (bytes_ > 0 && bytes_ + job->hints.bytes > options_.bytes_max)) {
      auto error = base::make_error(Code::exhausted, "STORE_BUSY",
                                    "More is being written than the disk takes; slow down, then try again.");
      error.retry_after = base::Millis(1000);
      return error;
    }
    bytes_ += job->hints.bytes;
    // The first wakes the writer, which then waits for the last of what was announced.
    wakes = !job->hints.more || waiting_.empty() || waiting_.size() + 1 >= options_.group_max;
    waiting_.push_back(std::move(job));
    ++total_;
  }
  if (wakes) filled_.notify_one();
  return std::nullopt;
}

WriteQueue::Group WriteQueue::take() {
  std::unique_lock lock(mutex_);
  filled_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
  const auto whole = [this] {
    return stopping_ || !waiting_.back()->hints.more || waiting_.size() >= options_.group_max;
  };
  if (!waiting_.empty()) filled_.wait_for(lock, kMoreWait, whole);
  Group group;
  size_t bytes = 0;
  while (!waiting_.empty() && group.size() < options_.group_max && (group.empty() || bytes < kGroupBytesMax)) {
    bytes += waiting_.front()->hints.bytes;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return group;
}

void WriteQueue::loop() {
  for (Group group = take(); !group.empty(); group = take()) {
    busy_ = true;
    commit(group);
    busy_ = false;
    complete(group);
    group.clear();
    if (db_->log_pages() >= options_.checkpoint_pages) {
      if (auto done = db_->checkpoint(); !done) logger_.failure("checkpoint_failed", done.error());
    }
  }
}

void WriteQueue::commit(const Group& group) {
  auto done = transact(group);
  if (done) return;
  // A commit that failed may yet be in the file.
  if (options_.cache != nullptr) options_.cache->forget_all();
  logger_.failure("write_failed", done.error());
  if (group.size() == 1) {
    group.front()->failure = std::move(done).error();
    return;
  }
  // What fails the whole (a full disk) may be the fault of one large member.
  for (const auto& job : group) {
    if (auto alone = transact({job}); !alone) job->failure = std::move(alone).error();
  }
}

base::Result<> WriteQueue::transact(const Group& group) {
  const base::SteadyTime began = clock_.now();
  db_->share_processor();
  const auto work = [&]() -> base::Result<> {
    TESSERA_CHECK(store::run(*db_, "BEGIN IMMEDIATE"));
    for (const auto& job : group) TESSERA_CHECK(apply_one(*job, group.size() == 1));
    TESSERA_CHECK(save_counters());
    return store::run(*db_, "COMMIT");
  };
  auto done = work();
  if (done) {
    saved_ = counters_;
    last_sequence_ = counters_.sequence;
    if (options_.on_commit) options_.on_commit(group.size(), clock_.now() - began);
    return done;
  }
  if (db_->in_transaction()) {
    if (auto undone = store::run(*db_, "ROLLBACK"); !undone) logger_.failure("rollback_failed", undone.error());
  }
  counters_ = saved_;
  for (const auto& job : group) {
    job->changes.clear();
    job->failure.reset();
  }
  return done;
}

// One of the two worker loops of the program: what a write throws (no memory) fails that write, not the process.
base::Result<> WriteQueue::guarded(Job& job) {
  try {
    WriteScope scope{*db_, counters_, job.changes};
    return job.apply(scope);
  } catch (const std::exception& thrown) {
    return base::fail(Code::internal, "STORAGE_ERROR", "The write failed; nothing was stored. This is a bug.",
                      thrown.what());
  }
}

base::Result<> WriteQueue::apply_one(Job& job, bool alone) {
  const Counters before = counters_;
  job.changes.clear();
  if (!alone) TESSERA_CHECK(store::run(*db_, "SAVEPOINT one"));
  auto applied = guarded(job);
  if (!applied) {
    if (storage_failed(applied.error())) return applied;
    counters_ = before;
    job.changes.clear();
    job.failure = std::move(applied).error();
    // Alone, what it may have written goes with the transaction, which is begun anew for the counters' sake.
    if (alone) {
      TESSERA_CHECK(store::run(*db_, "ROLLBACK"));
      return store::run(*db_, "BEGIN IMMEDIATE");
    }
    TESSERA_CHECK(store::run(*db_, "ROLLBACK TO one"));
  }
  if (!alone) TESSERA_CHECK(store::run(*db_, "RELEASE one"));
  return {};
}

base::Result<> WriteQueue::save_counters() {
  if (counters_ == saved_) return {};
  return store::run(*db_,
                    "UPDATE counters SET sequence = ?, collection_id = ?, document_key = ?, chunk_key = ?, "
                    "text_key = ?, session_key = ?",
                    counters_.sequence, counters_.collection_id, counters_.document_key, counters_.chunk_key,
                    counters_.text_key, counters_.session_key);
}

// The write is committed: whatever a listener throws, it must be acknowledged.
void WriteQueue::tell(const core::ChangeListener& listener, const core::StoreChange& change) {
  if (!listener) return;
  try {
    listener(change);
  } catch (const std::exception& thrown) {
    logger_.failure("change_listener_failed", base::make_error(Code::internal, "LISTENER_FAILED", "", thrown.what()));
  }
}

void WriteQueue::complete(const Group& group) {
  core::ChangeListener listener;
  {
    const std::lock_guard lock(mutex_);
    listener = listener_;
    for (const auto& job : group) bytes_ -= job->hints.bytes;
  }
  for (const auto& job : group) {
    if (options_.cache != nullptr) options_.cache->forget(job->changes);
  }
  for (const auto& job : group) {
    for (const auto& change : job->changes) tell(listener, change);
  }
  for (const auto& job : group) job->done.wake();
}

}  // namespace tessera::store
