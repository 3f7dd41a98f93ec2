#include "index/snapshot/snapshot_store.h"

#include <fmt/core.h>

#include <system_error>
#include <utility>

namespace tessera::index {
namespace {

constexpr std::string_view kManifest = "index.manifest";
constexpr std::string_view kNewManifest = "index.manifest.new";

std::string file_name(int64_t id, int64_t changed_at) {
  return fmt::format("collection-{}-{}.idx", id, changed_at);
}

bool is_ours(std::string_view name) {
  return name == kManifest || name == kNewManifest || (name.starts_with("collection-") && name.ends_with(".idx"));
}

std::unexpected<base::Error> in_file(base::Error error, std::string_view name) {
  error.detail = fmt::format("{}: {}", name, error.detail);
  return std::unexpected(std::move(error));
}

std::unexpected<base::Error> damaged(std::string_view name, std::string_view reason) {
  return in_file(
      base::make_error(base::Code::invalid, "SNAPSHOT_DAMAGED", "The index snapshot is damaged.", std::string(reason)),
      name);
}

}  // namespace

base::Result<CollectionEntry> SnapshotStore::load_collection(int64_t id, const Saved& saved) const {
  const std::string name = file_name(id, saved.changed_at);
  const auto file = MappedFile::open(directory_ / name);
  if (!file) return in_file(file.error(), name);
  const auto payload = snapshot_payload(file->bytes(), SnapshotKind::collection);
  if (!payload) return in_file(payload.error(), name);
  if (snapshot_seal(file->bytes()) != saved.seal) return damaged(name, "not the file the manifest names");
  SnapshotReader reader(*payload);
  if (reader.get<int64_t>() != id || !reader.good()) return damaged(name, "it holds another collection");
  std::shared_ptr<CollectionIndex> index = CollectionIndex::decode(reader);
  if (index == nullptr) return damaged(name, "its contents contradict themselves");
  return CollectionEntry{std::move(index), saved.changed_at};
}

base::Result<IndexContents> SnapshotStore::load() {
  IndexContents contents;
  const auto file = MappedFile::open(directory_ / kManifest);
  if (!file) {
    if (file.error().code != base::Code::not_found) return in_file(file.error(), kManifest);
    remove_unnamed();
    return contents;
  }
  const auto payload = snapshot_payload(file->bytes(), SnapshotKind::manifest);
  if (!payload) return in_file(payload.error(), kManifest);
  SnapshotReader reader(*payload);
  contents.sequence = reader.get<int64_t>();
  std::map<int64_t, Saved> files;
  for (auto left = reader.get<uint32_t>(); left > 0 && reader.good(); --left) {
    const auto id = reader.get<int64_t>();
    Saved& saved = files[id];
    saved.changed_at = reader.get<int64_t>();
    saved.seal.bytes = reader.get<uint64_t>();
    saved.seal.checksum = reader.get<uint64_t>();
  }
  if (!reader.good() || !reader.at_end()) return damaged(kManifest, "its contents contradict themselves");
  for (const auto& [id, saved] : files) {
    TESSERA_TRY(contents.collections[id], load_collection(id, saved));
  }
  saved_ = std::move(files);
  saved_once_ = true;
  saved_sequence_ = contents.sequence;
  remove_unnamed();
  return contents;
}

base::Result<> SnapshotStore::save(const IndexContents& contents) {
  if (saved_once_ && contents.sequence == saved_sequence_) return {};
  std::map<int64_t, Saved> files;
  for (const auto& [id, entry] : contents.collections) {
    const auto before = saved_.find(id);
    if (before != saved_.end() && before->second.changed_at == entry.changed_at) {
      files.insert(*before);
      continue;
    }
    SnapshotWriter writer(directory_ / file_name(id, entry.changed_at), SnapshotKind::collection);
    writer.put(id);
    entry.index->encode(writer);
    TESSERA_TRY(const SnapshotSeal seal, writer.finish());
    files.emplace(id, Saved{entry.changed_at, seal});
  }
  TESSERA_CHECK(write_manifest(contents.sequence, files));
  saved_ = std::move(files);
  saved_once_ = true;
  saved_sequence_ = contents.sequence;
  remove_unnamed();
  return {};
}

base::Result<> SnapshotStore::write_manifest(int64_t sequence, const std::map<int64_t, Saved>& files) const {
  SnapshotWriter writer(directory_ / kNewManifest, SnapshotKind::manifest);
  writer.put(sequence);
  writer.put(static_cast<uint32_t>(files.size()));
  for (const auto& [id, saved] : files) {
    writer.put(id);
    writer.put(saved.changed_at);
    writer.put(saved.seal.bytes);
    writer.put(saved.seal.checksum);
  }
  TESSERA_CHECK(writer.finish());
  TESSERA_CHECK(sync_directory(directory_));  // the collections' new names, before a manifest names them
  std::error_code error;
  std::filesystem::rename(directory_ / kNewManifest, directory_ / kManifest, error);
  if (error) {
    return base::fail(base::Code::unavailable, "STORAGE_FAILED", "The index snapshot could not be written or read.",
                      error.message());
  }
  return sync_directory(directory_);
}

void SnapshotStore::remove_unnamed() const {
  std::set<std::string, std::less<>> named;
  if (saved_once_) named.emplace(kManifest);
  for (const auto& [id, saved] : saved_) named.insert(file_name(id, saved.changed_at));
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = file.path().filename().string();
    std::error_code ignored;  // a left-over file costs space only; the next save tries again
    if (is_ours(name) && !named.contains(name)) std::filesystem::remove(file.path(), ignored);
  }
}

void SnapshotStore::remove_all() {
  saved_.clear();
  saved_once_ = false;
  saved_sequence_ = 0;
  std::error_code ignored;
  std::filesystem::remove(directory_ / kManifest, ignored);
  remove_unnamed();
}

}  // namespace tessera::index
