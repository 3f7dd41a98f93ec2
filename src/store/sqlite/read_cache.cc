#include "store/sqlite/read_cache.h"

#include <algorithm>
#include <variant>

namespace tessera::store {
namespace {

constexpr size_t kCollectionsMax = 1000;
constexpr size_t kAround = 320;  // the maps' and lists' own

size_t size_of(const core::Passage& passage) {
  size_t bytes = sizeof passage + kAround + passage.document_id.size() + passage.title.size() + passage.source.size() +
                 passage.text.size() + passage.heading_path.size();
  for (const auto& [name, value] : passage.metadata) {
    bytes += sizeof value + name.size() + kAround / 4;
    if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
  }
  return bytes;
}

}  // namespace

std::optional<core::Collection> ReadCache::find(const core::CollectionName& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = collections_.find({name.tenant.app_id, name.name});
  return found == collections_.end() ? std::nullopt : std::optional(found->second);
}

std::pair<ReadCache::Passages, ReadCache::Ticket> ReadCache::find(const core::Tenant& tenant,
                                                                  std::span<const int64_t> chunk_keys) {
  Passages passages;
  passages.reserve(chunk_keys.size());
  const std::lock_guard lock(mutex_);
  for (const int64_t key : chunk_keys) {
    const auto found = slots_.find(key);
    const bool ours = found != slots_.end() && found->second.app_id == tenant.app_id;
    if (ours) found->second.used = true;
    ++(ours ? counts_.hits : counts_.misses);
    passages.push_back(ours ? found->second.passage : nullptr);
  }
  return {std::move(passages), changed_};
}

ReadCache::Ticket ReadCache::ticket() const {
  const std::lock_guard lock(mutex_);
  return changed_;
}

void ReadCache::keep(Ticket ticket, const core::Collection& collection) {
  const std::lock_guard lock(mutex_);
  if (ticket != changed_) return;
  if (collections_.size() >= kCollectionsMax) collections_.clear();
  collections_.insert_or_assign({collection.name.tenant.app_id, collection.name.name}, collection);
}

void ReadCache::keep(Ticket ticket, const core::Tenant& tenant, const Passages& passages) {
  const std::lock_guard lock(mutex_);
  if (ticket != changed_) return;
  for (const auto& passage : passages) {
    const auto [at, added] = slots_.try_emplace(passage->chunk_key);
    if (!added) continue;
    at->second = Slot{.passage = passage, .app_id = tenant.app_id, .bytes = size_of(*passage)};
    of_document_[passage->document_key].push_back(passage->chunk_key);
    order_.push_back(passage->chunk_key);
    bytes_ += at->second.bytes;
  }
  make_room();
}

void ReadCache::forget(std::span<const core::StoreChange> changes) {
  if (changes.empty()) return;
  const std::lock_guard lock(mutex_);
  ++changed_;
  for (const core::StoreChange& change : changes) forget_one(change);
  // Forgotten chunks leave their turns behind.
  if (order_.size() > 2 * slots_.size() + 64) {
    std::erase_if(order_, [this](int64_t key) { return !slots_.contains(key); });
  }
}

void ReadCache::forget_one(const core::StoreChange& change) {
  // Its counts changed, whatever it was.
  std::erase_if(collections_, [&](const auto& each) { return each.second.id == change.collection_id; });
  if (change.kind == core::StoreChange::Kind::drop_collection) return clear();
  const auto found = of_document_.find(change.document_key);
  if (found == of_document_.end()) return;
  const std::vector<int64_t> keys = std::move(found->second);
  of_document_.erase(found);
  for (const int64_t key : keys) remove(key);
}

void ReadCache::forget_all() {
  const std::lock_guard lock(mutex_);
  ++changed_;
  clear();
}

size_t ReadCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

ReadCache::Counts ReadCache::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void ReadCache::remove(int64_t chunk_key) {
  const auto at = slots_.find(chunk_key);
  bytes_ -= at->second.bytes;
  slots_.erase(at);
}

void ReadCache::make_room() {
  while (bytes_ > bytes_max_) {
    const int64_t key = order_.front();
    order_.pop_front();
    const auto at = slots_.find(key);
    if (at == slots_.end()) continue;
    if (std::exchange(at->second.used, false)) {
      order_.push_back(key);
      continue;
    }
    const auto kin = of_document_.find(at->second.passage->document_key);
    std::erase(kin->second, key);
    if (kin->second.empty()) of_document_.erase(kin);
    remove(key);
  }
}

void ReadCache::clear() {
  collections_.clear();
  slots_.clear();
  of_document_.clear();
  order_.clear();
  bytes_ = 0;
}

}  // namespace tessera::store
