#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/metadata.h"
#include "index/rows.h"

namespace tessera::index {

class DocumentTable;

/// The selections of the filters asked last, by a table's searches. One that is asked again is brought up to date with
/// the documents that changed since, if they are few, instead of being worked out anew. find() and insert() may be
/// called from any threads, under the table's read lock; changed() under its write lock.
class SelectionCache {
 public:
  /// A document was shown or hidden.
  void changed(uint32_t document);
  /// How many changes there were; a version of what is live.
  [[nodiscard]] uint64_t changes() const { return forgotten_ + changed_.size(); }

  [[nodiscard]] std::optional<RowSelection> find(const std::string& key, const DocumentTable& table);
  void insert(const std::string& key, const core::Filter& filter, const RowSelection& selection,
              std::shared_ptr<std::vector<uint64_t>> bits);
  [[nodiscard]] uint64_t memory_bytes() const;

 private:
  struct Entry {
    std::string key;
    core::Filter filter;
    std::shared_ptr<std::vector<uint64_t>> bits;
    uint64_t count = 0;
    uint64_t version = 0;
    uint64_t used = 0;
  };
  void update(Entry& entry, const DocumentTable& table) const;

  std::vector<uint32_t> changed_;
  uint64_t forgotten_ = 0;  // changes before those in changed_
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<Entry> entries_;
  uint64_t uses_ = 0;
};

/// The same for equal filters only; nothing for those too long to be remembered.
std::optional<std::string> cache_key(const core::Filter& filter);

}  // namespace tessera::index
