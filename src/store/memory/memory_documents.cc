#include "store/memory/memory_documents.h"

#include "store/rules.h"

namespace tessera::store {

using core::Task;

core::Collection& MemoryDocuments::collection_for(const core::CollectionName& name,
                                                  const core::CollectionSettings& settings) {
  const auto [it, created] = collections_.try_emplace(name);
  if (created) {
    it->second.id = ++last_collection_;
    it->second.name = name;
    it->second.settings = settings;
    it->second.created_at_ms = clock_.unix_ms();
  }
  return it->second;
}

base::Result<MemoryDocuments::Stored> MemoryDocuments::find(const core::Tenant& tenant,
                                                            const std::string& document_id) const {
  TESSERA_CHECK(check_tenant(tenant));
  const std::lock_guard lock(mutex_);
  const auto it = documents_.find({tenant, document_id});
  if (it == documents_.end()) return std::unexpected(document_not_found());
  return it->second.write;
}

void MemoryDocuments::forget(const Stored& stored) {
  for (const auto& chunk : stored->chunks) chunks_.erase(chunk.key);
}

Task<base::Result<core::Collection>> MemoryDocuments::create_collection(core::CollectionName name,
                                                                        core::CollectionSettings settings) {
  TESSERA_CO_CHECK(check_collection(name));
  const std::lock_guard writing(write_mutex_);
  const std::lock_guard lock(mutex_);
  const core::Collection& collection = collection_for(name, settings);
  TESSERA_CO_CHECK(check_same_settings(collection, settings));
  co_return collection;
}

Task<base::Result<core::Collection>> MemoryDocuments::find_collection(core::CollectionName name) {
  TESSERA_CO_CHECK(check_tenant(name.tenant));
  const std::lock_guard lock(mutex_);
  const auto it = collections_.find(name);
  if (it == collections_.end()) co_return std::unexpected(collection_not_found());
  co_return it->second;
}

Task<base::Result<std::vector<core::Collection>>> MemoryDocuments::list_collections(core::Tenant tenant) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  std::vector<core::Collection> found;
  const std::lock_guard lock(mutex_);
  for (auto it = collections_.lower_bound({tenant, ""}); it != collections_.end() && it->first.tenant == tenant; ++it) {
    found.push_back(it->second);
  }
  co_return found;
}

Task<base::Result<>> MemoryDocuments::drop_collection(core::CollectionName name) {
  TESSERA_CO_CHECK(check_tenant(name.tenant));
  const std::lock_guard writing(write_mutex_);
  core::StoreChange change;
  {
    const std::lock_guard lock(mutex_);
    const auto found = collections_.find(name);
    if (found == collections_.end()) co_return std::unexpected(collection_not_found());
    const int64_t id = found->second.id;
    std::erase_if(documents_, [&](const auto& item) {
      const auto& [key, entry] = item;
      if (entry.write->document.head.collection_id != id) return false;
      forget(entry.write);
      puts_.erase(entry.sequence);
      return true;
    });
    std::erase_if(removals_, [&](const auto& item) { return item.second.collection_id == id; });
    change.sequence = ++last_sequence_;
    change.kind = core::StoreChange::Kind::drop_collection;
    change.collection_id = id;
    change.settings = found->second.settings;
    removals_[change.sequence] = Removal{.collection_id = id, .document_key = 0};
    collections_.erase(found);
  }
  if (listener_) listener_(change);
  co_return base::Result<>{};
}

core::PutReceipt MemoryDocuments::store(core::DocumentWrite&& write, core::Collection& collection, const Entry& before,
                                        core::StoreChange& change) {
  core::DocumentHead& head = write.document.head;
  const core::DocumentHead* old = before.write ? &before.write->document.head : nullptr;
  const int64_t now = clock_.unix_ms();
  head.key = old != nullptr ? old->key : ++last_document_;
  head.collection_id = collection.id;
  head.collection = write.collection.name;
  head.version = old != nullptr ? old->version + 1 : 1;
  head.chunks = static_cast<int64_t>(write.chunks.size());
  head.text_bytes = static_cast<int64_t>(write.document.text.size());
  head.created_at_ms = old != nullptr ? old->created_at_ms : now;
  head.updated_at_ms = now;
  for (size_t i = 0; i < write.chunks.size(); ++i) {
    write.chunks[i].key = ++last_chunk_;
    write.chunks[i].document_key = head.key;
    write.chunks[i].ordinal = static_cast<int64_t>(i);
  }
  round_vectors(write);

  if (before.write) {
    forget(before.write);
    puts_.erase(before.sequence);
  }
  collection.documents += old != nullptr ? 0 : 1;
  collection.chunks += head.chunks - (old != nullptr ? old->chunks : 0);
  const auto stored = std::make_shared<const core::DocumentWrite>(std::move(write));
  const int64_t sequence = ++last_sequence_;
  documents_[{stored->collection.tenant, stored->document.head.document_id}] = Entry{stored, sequence};
  for (size_t i = 0; i < stored->chunks.size(); ++i) chunks_[stored->chunks[i].key] = {stored, i};
  puts_[sequence] = stored;

  change.sequence = sequence;
  change.kind = core::StoreChange::Kind::put;
  change.collection_id = collection.id;
  change.settings = collection.settings;
  change.document_key = stored->document.head.key;
  change.document = stored;
  core::PutReceipt receipt;
  receipt.outcome = old != nullptr ? core::PutOutcome::updated : core::PutOutcome::created;
  receipt.version = stored->document.head.version;
  receipt.chunks = stored->document.head.chunks;
  receipt.sequence = sequence;
  return receipt;
}

Task<base::Result<core::PutReceipt>> MemoryDocuments::put_document(core::DocumentWrite write) {
  TESSERA_CO_CHECK(check_write(write));
  const std::lock_guard writing(write_mutex_);
  core::StoreChange change;
  core::PutReceipt receipt;
  {
    const std::lock_guard lock(mutex_);
    Entry before;
    const auto found = documents_.find({write.collection.tenant, write.document.head.document_id});
    if (found != documents_.end()) {
      before = found->second;
      const core::DocumentHead& old = before.write->document.head;
      if (old.collection != write.collection.name) co_return std::unexpected(document_elsewhere(old.collection));
      if (write.only_version != 0 && old.version != write.only_version) co_return std::unexpected(document_changed());
      if (!old.content_hash.empty() && old.content_hash == write.document.head.content_hash) {
        receipt.outcome = core::PutOutcome::unchanged;
        receipt.version = old.version;
        receipt.chunks = old.chunks;
        co_return receipt;
      }
    } else if (write.only_version != 0) {
      co_return std::unexpected(document_not_found());
    }
    core::Collection& collection = collection_for(write.collection, core::CollectionSettings{});
    receipt = store(std::move(write), collection, before, change);
  }
  if (listener_) listener_(change);
  co_return receipt;
}

Task<base::Result<>> MemoryDocuments::delete_document(core::Tenant tenant, std::string document_id) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard writing(write_mutex_);
  core::StoreChange change;
  {
    const std::lock_guard lock(mutex_);
    const auto found = documents_.find({tenant, document_id});
    if (found == documents_.end()) co_return std::unexpected(document_not_found());
    const Entry entry = found->second;
    const core::DocumentHead& head = entry.write->document.head;
    core::Collection& collection = collections_.at({tenant, head.collection});
    collection.documents -= 1;
    collection.chunks -= head.chunks;
    forget(entry.write);
    puts_.erase(entry.sequence);
    documents_.erase(found);
    change.sequence = ++last_sequence_;
    change.kind = core::StoreChange::Kind::remove;
    change.collection_id = collection.id;
    change.settings = collection.settings;
    change.document_key = head.key;
    removals_[change.sequence] = Removal{.collection_id = collection.id, .document_key = head.key};
  }
  if (listener_) listener_(change);
  co_return base::Result<>{};
}

Task<base::Result<core::DocumentHead>> MemoryDocuments::find_document(core::Tenant tenant, std::string document_id) {
  TESSERA_CO_TRY(const Stored stored, find(tenant, document_id));
  co_return stored->document.head;
}

Task<base::Result<core::Document>> MemoryDocuments::load_document(core::Tenant tenant, std::string document_id) {
  TESSERA_CO_TRY(const Stored stored, find(tenant, document_id));
  co_return stored->document;
}

Task<base::Result<std::vector<core::Chunk>>> MemoryDocuments::load_chunks(core::Tenant tenant,
                                                                          std::string document_id) {
  TESSERA_CO_TRY(const Stored stored, find(tenant, document_id));
  co_return stored->chunks;
}

Task<base::Result<core::Page<core::DocumentHead>>> MemoryDocuments::list_documents(core::Tenant tenant,
                                                                                   std::string collection,
                                                                                   core::PageRequest request) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  CursorPoint point;
  if (!request.cursor.empty()) {
    TESSERA_CO_TRY(point, decode_cursor('d', request.cursor));
  }
  const auto limit = static_cast<size_t>(page_limit(request));
  const std::lock_guard lock(mutex_);
  if (!collection.empty() && !collections_.contains({tenant, collection})) {
    co_return std::unexpected(collection_not_found());
  }
  core::Page<core::DocumentHead> page;
  for (auto it = documents_.upper_bound({tenant, point.text}); it != documents_.end() && it->first.first == tenant;
       ++it) {
    const core::DocumentHead& head = it->second.write->document.head;
    if (!collection.empty() && head.collection != collection) continue;
    if (page.items.size() == limit) {
      page.next_cursor = encode_cursor('d', {.number = 0, .text = page.items.back().document_id});
      break;
    }
    page.items.push_back(head);
  }
  co_return page;
}

Task<base::Result<std::vector<core::Passage>>> MemoryDocuments::load_passages(core::Tenant tenant,
                                                                              std::vector<int64_t> chunk_keys) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  std::vector<core::Passage> passages;
  const std::lock_guard lock(mutex_);
  for (const int64_t key : chunk_keys) {
    const auto found = chunks_.find(key);
    if (found == chunks_.end()) continue;
    const auto& [stored, position] = found->second;
    if (stored->collection.tenant != tenant) continue;
    const core::DocumentHead& head = stored->document.head;
    const core::Chunk& chunk = stored->chunks[position];
    core::Passage& passage = passages.emplace_back();
    passage.chunk_key = key;
    passage.document_key = head.key;
    passage.document_id = head.document_id;
    passage.title = head.title;
    passage.source = head.source;
    passage.text =
        stored->document.text.substr(static_cast<size_t>(chunk.start), static_cast<size_t>(chunk.end - chunk.start));
    passage.heading_path = chunk.heading_path;
    passage.ordinal = chunk.ordinal;
    passage.start = chunk.start;
    passage.end = chunk.end;
    passage.metadata = head.metadata;
  }
  co_return passages;
}

Task<base::Result<>> MemoryDocuments::note_stamps(core::Tenant tenant, std::vector<core::SourceRecord> records) {
  TESSERA_CO_CHECK(check_tenant(tenant));
  const std::lock_guard writing(write_mutex_);
  const std::lock_guard lock(mutex_);
  for (const core::SourceRecord& record : records) {
    const auto found = documents_.find({tenant, record.document_id});
    if (found == documents_.end()) continue;
    Stored& stored = found->second.write;
    if (stored->document.head.content_hash != record.content_hash) continue;
    // Indexes may hold the old value, so it is replaced rather than changed.
    auto changed = std::make_shared<core::DocumentWrite>(*stored);
    changed->document.head.source_stamp = record.stamp;
    for (size_t i = 0; i < changed->chunks.size(); ++i) chunks_[changed->chunks[i].key] = {changed, i};
    stored = std::move(changed);
    puts_[found->second.sequence] = stored;
  }
  co_return base::Result<>{};
}

void MemoryDocuments::set_listener(core::ChangeListener listener) {
  const std::lock_guard writing(write_mutex_);
  listener_ = std::move(listener);
}

base::Result<int64_t> MemoryDocuments::last_sequence() const {
  const std::lock_guard lock(mutex_);
  return last_sequence_;
}

base::Result<> MemoryDocuments::replay(int64_t after, const core::ChangeListener& listener) const {
  std::map<int64_t, core::StoreChange> changes;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = puts_.upper_bound(after); it != puts_.end(); ++it) {
      const core::DocumentHead& head = it->second->document.head;
      changes[it->first] = core::StoreChange{.sequence = it->first,
                                             .kind = core::StoreChange::Kind::put,
                                             .collection_id = head.collection_id,
                                             .settings = collections_.at(it->second->collection).settings,
                                             .document_key = head.key,
                                             .document = it->second};
    }
    for (auto it = removals_.upper_bound(after); after > 0 && it != removals_.end(); ++it) {
      const bool whole = it->second.document_key == 0;
      changes[it->first] =
          core::StoreChange{.sequence = it->first,
                            .kind = whole ? core::StoreChange::Kind::drop_collection : core::StoreChange::Kind::remove,
                            .collection_id = it->second.collection_id,
                            .settings = {},
                            .document_key = it->second.document_key,
                            .document = nullptr};
    }
  }
  for (const auto& [sequence, change] : changes) listener(change);
  return {};
}

}  // namespace tessera::store
