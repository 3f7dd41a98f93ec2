#include <algorithm>
#include <utility>

#include "base/thread.h"
#include "index/engine.h"

namespace tessera::index {
namespace {

/// Maintenance saves its results when there was nothing more to do for so long.
constexpr std::chrono::milliseconds kQuietBeforeSave{2000};
constexpr std::chrono::milliseconds kPauseAfterFailure{5000};
/// Changes have stopped for so long: the graph's turn.
constexpr std::chrono::milliseconds kQuietBeforeVectors{300};
/// A compacted copy takes in so much of what it missed while the applier waits: a millisecond's work.
constexpr size_t kCaughtUpBytes = size_t{64} << 10;

}  // namespace

void Engine::maintain() {
  // Searches and changes come first where processors are few; a tenth of a busy one is enough to keep up with changes.
  base::begin_thread("maintenance", base::ThreadKind::background);
  verify_files();  // first, so that damage is known early
  while (!work_.stop_flag()) {
    if (const auto id = work_.next(patience())) {
      quiet_ = false;
      maintain(*id);
    } else if (!work_.stop_flag()) {
      use_quiet();
    }
  }
}

void Engine::verify_files() {
  while (!work_.stop_flag()) {
    const auto verified = files_.verify_next();
    if (verified && !*verified) break;
    if (verified) continue;
    note_damage(verified.error());
    const std::lock_guard lock(damage_mutex_);
    if (damage_listener_) damage_listener_();
    damage_unheard_ = !damage_listener_;
  }
}

/// How long to wait for the next change before using the quiet; no time: for ever.
std::optional<std::chrono::milliseconds> Engine::patience() const {
  if (!for_quiet_.empty() || !overtaken_.empty()) return quiet_ ? std::chrono::milliseconds(0) : kQuietBeforeVectors;
  if (!maintained_.empty()) return kQuietBeforeSave;
  return std::nullopt;
}

/// Segments are written and merged while changes arrive, several at once, which bounds memory. A few are left for the
/// quiet after them, as is the graph, so that ingest has the processors; rows not in it yet are found by scanning.
void Engine::maintain(int64_t id) {
  std::shared_ptr<CollectionIndex> index = find(id);
  if (index == nullptr) return;
  if (wants_compaction(*index) && !overtaken_.contains(id)) {
    compact(id);
    index = find(id);
    if (index == nullptr) return;
  }
  for_quiet_.insert(id);
  if (note_work(id, index->maintain_segments(work_.stop_flag(), LexicalWork::due))) work_.add(id);
  const core::VectorIndexStats vectors = index->stats().vectors;
  if (vectors.rows - vectors.graph_rows >= options_.scanned_rows_max) note_work(id, index->maintain_vectors());
}

void Engine::use_quiet() {
  quiet_ = true;
  if (!overtaken_.empty()) {
    const int64_t id = overtaken_.extract(overtaken_.begin()).value();
    if (const auto index = find(id); index != nullptr && wants_compaction(*index)) compact(id);
    return;
  }
  if (for_quiet_.empty()) {
    save_maintained();
    return;
  }
  const int64_t id = *for_quiet_.begin();
  const std::shared_ptr<CollectionIndex> index = find(id);
  if (index != nullptr && (note_work(id, index->maintain_segments(work_.stop_flag(), LexicalWork::all)) ||
                           note_work(id, index->maintain_vectors()))) {
    return;
  }
  for_quiet_.erase(id);
}

/// Whether there was work, or its failure has to be tried again.
bool Engine::note_work(int64_t id, const base::Result<bool>& worked) {
  if (worked && !*worked) return false;
  maintained_.insert(id);
  if (worked) return true;
  logger_.failure("index_maintenance_failed", worked.error());
  work_.pause(kPauseAfterFailure);
  return true;
}

/// What maintenance made would otherwise have to be made again after a restart.
void Engine::save_maintained() {
  {
    const std::lock_guard applying(applier_);
    for (const int64_t id : maintained_) {
      if (const auto at = collections_.find(id); at != collections_.end()) at->second.saved = false;
    }
    unsaved_ = true;
  }
  maintained_.clear();
  if (const auto saved = save(); !saved) logger_.failure("index_save_failed", saved.error());
}

bool Engine::wants_compaction(const CollectionIndex& index) const {
  const auto [rows, dead] = index.row_counts();
  return dead >= options_.compact_rows_min &&
         dead > static_cast<size_t>(options_.compact_dead_share * static_cast<double>(rows));
}

/// A copy without dead rows is made beside the applier, told what changed meanwhile, and put in the place of the old.
void Engine::compact(int64_t id) {
  std::shared_ptr<CollectionIndex> old;
  std::optional<CollectionIndex::Compaction> plan;
  {
    const std::lock_guard applying(applier_);
    old = find(id);
    if (old == nullptr) return;
    plan.emplace(old->plan_compaction());
    missed_.begin(id);
  }
  auto compacted = CollectionIndex::compacted(*std::move(plan));
  const bool done = compacted && catch_up(id, old, *std::move(compacted));
  if (!done) {
    overtaken_.insert(id);  // tried again in the quiet
    const std::lock_guard applying(applier_);
    missed_.end();
  }
  if (compacted) return;
  logger_.failure("index_compaction_failed", compacted.error());
  work_.pause(kPauseAfterFailure);
}

/// False: changes came faster than they could be taken in, or the collection is gone.
bool Engine::catch_up(int64_t id, const std::shared_ptr<CollectionIndex>& old, std::shared_ptr<CollectionIndex> fresh) {
  const auto take_in = [&](const std::vector<core::StoreChange>& changes) {
    for (const core::StoreChange& change : changes) {
      if (change.kind == core::StoreChange::Kind::remove) {
        fresh->remove(change.document_key);
      } else {
        static_cast<void>(fresh->put(change.document_key, *change.document));  // failed in the old one likewise
      }
    }
  };
  while (!work_.stop_flag()) {
    std::unique_lock applying(applier_);
    if (missed_.overtaken() || find(id) != old) return false;
    const bool few = missed_.bytes() <= kCaughtUpBytes;
    const std::vector<core::StoreChange> changes = missed_.take();
    if (!few) applying.unlock();
    take_in(changes);
    if (!few) continue;
    missed_.end();
    const auto lock = access_.write();
    Entry& entry = collections_[id];
    entry.index.swap(fresh);
    entry.saved = false;
    unsaved_ = true;
    break;
  }
  maintained_.insert(id);
  return true;
}

}  // namespace tessera::index
