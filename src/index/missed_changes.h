#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/documents.h"

namespace tessera::index {

/// The changes of one collection that come while a compacted copy of it is made, for that copy. Bounded: when more
/// bytes come than it may hold it forgets them and is overtaken; so it is when the collection is dropped. Guarded by
/// its owner's lock.
class MissedChanges {
 public:
  void begin(int64_t collection) {
    end();
    collection_ = collection;
  }
  void end() { *this = {}; }
  void note(const core::StoreChange& change) {
    if (change.collection_id != collection_ || overtaken_) return;
    bytes_ += bytes_of(change);
    changes_.push_back(change);
    if (bytes_ <= kBytesMax && change.kind != core::StoreChange::Kind::drop_collection) return;
    overtaken_ = true;
    changes_ = {};
  }
  [[nodiscard]] bool overtaken() const { return overtaken_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  std::vector<core::StoreChange> take() {
    bytes_ = 0;
    return std::exchange(changes_, {});
  }

 private:
  static constexpr size_t kBytesMax = size_t{64} << 20;

  static size_t bytes_of(const core::StoreChange& change) {
    if (change.document == nullptr) return sizeof change;
    const core::DocumentWrite& write = *change.document;
    return sizeof change + write.document.text.size() + write.vectors.size() * sizeof(float) +
           write.chunks.size() * sizeof(core::Chunk);
  }

  std::optional<int64_t> collection_;
  bool overtaken_ = false;
  size_t bytes_ = 0;
  std::vector<core::StoreChange> changes_;
};

}  // namespace tessera::index
