#include "index/filter/selection_cache.h"

#include <algorithm>

#include "index/filter/document_table.h"

namespace tessera::index {
namespace {

constexpr size_t kEntriesMax = 16;
constexpr size_t kKeyBytesMax = 1024;
/// Changes an entry is brought up to date with; more, and a scan of all documents is not much slower.
constexpr uint64_t kChangesMax = 64;

void put(std::string& key, const void* from, size_t size) {
  key.append(static_cast<const char*>(from), size);
}

void put_text(std::string& key, std::string_view text) {
  const uint64_t size = text.size();
  put(key, &size, sizeof size);
  key += text;
}

struct PutValue {
  std::string& key;
  void operator()(std::monostate) const {}
  void operator()(bool value) const { key += value ? '1' : '0'; }
  void operator()(int64_t value) const { put(key, &value, sizeof value); }
  void operator()(double value) const { put(key, &value, sizeof value); }
  void operator()(const std::string& value) const { put_text(key, value); }
  void operator()(const std::vector<std::string>& value) const {
    const uint64_t size = value.size();
    put(key, &size, sizeof size);
    for (const std::string& text : value) {
      if (key.size() <= kKeyBytesMax) put_text(key, text);
    }
  }
};

void put_filter(std::string& key, const core::Filter& filter) {
  key += static_cast<char>(filter.op);
  put_text(key, filter.field);
  const uint64_t sizes[] = {filter.values.size(), filter.children.size()};
  put(key, sizes, sizeof sizes);
  for (const core::MetadataValue& value : filter.values) {
    if (key.size() > kKeyBytesMax) return;
    key += static_cast<char>(value.index());
    std::visit(PutValue{key}, value);
  }
  for (const core::Filter& child : filter.children) {
    if (key.size() > kKeyBytesMax) return;
    put_filter(key, child);
  }
}

bool bit(const std::vector<uint64_t>& bits, Row row) {
  return ((bits[row / 64] >> (row % 64)) & 1) != 0;
}

}  // namespace

std::optional<std::string> cache_key(const core::Filter& filter) {
  std::string key;
  put_filter(key, filter);
  if (key.size() > kKeyBytesMax) return std::nullopt;
  return key;
}

void SelectionCache::changed(uint32_t document) {
  if (changed_.size() >= 2 * kChangesMax) {
    forgotten_ += kChangesMax;
    changed_.erase(changed_.begin(), changed_.begin() + kChangesMax);
  }
  changed_.push_back(document);
}

void SelectionCache::update(Entry& entry, const DocumentTable& table) const {
  const size_t words = table.live().size();
  if (entry.version == changes() && entry.bits->size() == words) return;
  // Somebody who has let go of the lock may still hold the old bits.
  if (entry.bits.use_count() > 1) entry.bits = std::make_shared<std::vector<uint64_t>>(*entry.bits);
  std::vector<uint64_t>& bits = *entry.bits;
  bits.resize(words);
  for (uint64_t change = entry.version; change < changes(); ++change) {
    const uint32_t number = changed_[change - forgotten_];
    const DocumentRows document = table.document(number);
    if (document.rows == 0) continue;
    const bool selected = document.live && core::matches(entry.filter, table.metadata(number));
    if (selected == bit(bits, document.first_row)) continue;
    set_bits(bits.data(), document.first_row, document.rows, selected);
    entry.count = selected ? entry.count + document.rows : entry.count - document.rows;
  }
  entry.version = changes();
}

std::optional<RowSelection> SelectionCache::find(const std::string& key, const DocumentTable& table) {
  const std::lock_guard lock(mutex_);
  const auto entry = std::ranges::find(entries_, key, &Entry::key);
  if (entry == entries_.end()) return std::nullopt;
  if (entry->version < forgotten_ || changes() - entry->version > kChangesMax) {
    entries_.erase(entry);
    return std::nullopt;
  }
  update(*entry, table);
  entry->used = ++uses_;
  return RowSelection{*entry->bits, entry->count, true, entry->bits};
}

void SelectionCache::insert(const std::string& key, const core::Filter& filter, const RowSelection& selection,
                            std::shared_ptr<std::vector<uint64_t>> bits) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(entries_, key, &Entry::key) != entries_.end()) return;
  if (entries_.size() == kEntriesMax) entries_.erase(std::ranges::min_element(entries_, {}, &Entry::used));
  entries_.push_back({key, filter, std::move(bits), selection.count, changes(), ++uses_});
}

uint64_t SelectionCache::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = changed_.capacity() * sizeof(uint32_t);
  for (const Entry& entry : entries_) bytes += sizeof(Entry) + entry.bits->capacity() * sizeof(uint64_t);
  return bytes;
}

}  // namespace tessera::index
