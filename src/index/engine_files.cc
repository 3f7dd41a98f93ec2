#include <utility>

#include "index/engine.h"

namespace tessera::index {
namespace {

constexpr uint32_t kRecordVersion = 1;
/// Of collections changed since the last save, so many are written in the turn that makes the manifest.
constexpr size_t kTogether = 8;
/// How often the applier is left to go on because there is more to write than a short turn allows.
constexpr int kRounds = 4;

}  // namespace

void Engine::load() {
  if (const auto loaded = load_manifest(); !loaded) {
    note_damage(loaded.error());
    collections_.clear();
    applied_ = 0;
    files_.remove_all();
  }
  for (const auto& [id, entry] : collections_) work_.add(id);
}

base::Result<> Engine::load_manifest() {
  TESSERA_TRY(const std::string payload, files_.read_manifest());
  if (payload.empty()) return {};
  ByteReader manifest(payload);
  if (manifest.get<uint32_t>() != kRecordVersion) return files_damaged("MANIFEST", "records of another version");
  const auto sequence = manifest.get<int64_t>();
  for (auto left = manifest.get<uint32_t>(); left > 0 && manifest.good(); --left) {
    const auto id = manifest.get<int64_t>();
    Entry& entry = collections_[id];
    entry.changed_at = manifest.get<int64_t>();
    entry.record = manifest.get_string();
    ByteReader record(entry.record);
    TESSERA_TRY(entry.index, CollectionIndex::load(files_, record, collection_options(false)));
    // The first save after a start writes a small record anew rather than trusting what is kept of the old one.
    entry.saved = false;
    if (!record.good() || !record.at_end()) return files_damaged("MANIFEST", "a record is too long or too short");
  }
  if (!manifest.good() || !manifest.at_end()) return files_damaged("MANIFEST", "its records contradict themselves");
  applied_ = sequence;
  unsaved_ = false;
  return {};
}

/// Nearly all is written beside the applier, collection by collection; what came meanwhile, in one short turn of its,
/// which makes the manifest. Syncing needs no turn.
base::Result<> Engine::save() {
  const std::lock_guard saving(saving_);
  if (!files_.on_disk()) return {};
  TESSERA_CHECK(save_most());
  Indexes ahead;
  ByteWriter manifest;
  std::vector<FileEntry> files;
  for (int round = 0;; ++round) {
    std::unique_lock applying(applier_);
    if (!unsaved_) return {};
    Indexes behind = unsaved();
    std::erase_if(behind, [&](const auto& index) { return ahead.contains(index); });
    if (behind.empty() || round == kRounds) {
      TESSERA_TRY(files, write_manifest(manifest));
      unsaved_ = false;
      break;
    }
    applying.unlock();
    for (const auto& index : behind) {
      TESSERA_CHECK(index->write_ahead());
      ahead.insert(index);
    }
  }
  const base::Result<> committed = files_.commit(manifest.bytes(), files);
  if (committed) return {};
  const std::lock_guard applying(applier_);
  unsaved_ = true;
  return committed;
}

/// Where there are many collections, all but some are saved one by one.
base::Result<> Engine::save_most() {
  std::vector<int64_t> ids;
  {
    const std::lock_guard applying(applier_);
    for (const auto& [id, entry] : collections_) {
      if (!entry.saved) ids.push_back(id);
    }
  }
  for (size_t i = kTogether; i < ids.size(); ++i) {
    const auto index = find(ids[i]);
    if (index == nullptr) continue;
    TESSERA_CHECK(index->write_ahead());
    const std::lock_guard applying(applier_);
    const auto at = collections_.find(ids[i]);
    if (at != collections_.end() && at->second.index == index) TESSERA_CHECK(save_entry(at->second));
  }
  return {};
}

Engine::Indexes Engine::unsaved() const {
  Indexes found;
  for (const auto& [id, entry] : collections_) {
    if (!entry.saved) found.insert(entry.index);
  }
  return found;
}

base::Result<> Engine::save_entry(Entry& entry) {
  ByteWriter record;
  std::vector<FileEntry> files;
  TESSERA_CHECK(entry.index->save(record, files));
  entry.record = record.bytes();
  entry.files = std::move(files);
  entry.saved = true;
  return {};
}

base::Result<std::vector<FileEntry>> Engine::write_manifest(ByteWriter& manifest) {
  std::vector<FileEntry> files;
  manifest.put(kRecordVersion);
  manifest.put(applied_.load());
  manifest.put(static_cast<uint32_t>(collections_.size()));
  for (auto& [id, entry] : collections_) {
    if (!entry.saved) TESSERA_CHECK(save_entry(entry));
    manifest.put(id);
    manifest.put(entry.changed_at);
    manifest.put_string(entry.record);
    files.insert(files.end(), entry.files.begin(), entry.files.end());
  }
  return files;
}

void Engine::clear() {
  std::map<int64_t, Entry> forgotten;  // outlives the locks
  const std::lock_guard saving(saving_);
  {
    const std::lock_guard applying(applier_);
    missed_.end();
    const auto lock = access_.write();
    std::swap(forgotten, collections_);
    applied_ = 0;
    unsaved_ = true;
  }
  forgotten.clear();
  files_.remove_all();
}

}  // namespace tessera::index
