#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/documents.h"

namespace tessera::store {

/// Collections and passages read lately, so that a search asks the database for what is new to it only. The writer
/// thread says what changed after each commit and before it is acknowledged; what was read before that and arrives
/// later is not kept (`Ticket`). So a read that begins after an acknowledgement sees it, as it would in the database.
/// The tenant is part of every question. Bounded; what was not used since its turn came goes first. Thread-safe.
class ReadCache {
 public:
  /// What had changed when a read began.
  using Ticket = uint64_t;
  using Passages = std::vector<std::shared_ptr<const core::Passage>>;

  explicit ReadCache(size_t bytes_max) : bytes_max_(bytes_max) {}

  std::optional<core::Collection> find(const core::CollectionName& name) const;
  /// One for each key; null: not kept. The ticket was valid before the first was looked up.
  std::pair<Passages, Ticket> find(const core::Tenant& tenant, std::span<const int64_t> chunk_keys);
  /// To be taken before a read begins.
  [[nodiscard]] Ticket ticket() const;
  void keep(Ticket ticket, const core::Collection& collection);
  void keep(Ticket ticket, const core::Tenant& tenant, const Passages& passages);

  /// After a commit.
  void forget(std::span<const core::StoreChange> changes);
  /// When it is not known what was committed.
  void forget_all();
  [[nodiscard]] size_t bytes() const;
  /// Of passages that were looked for.
  struct Counts {
    uint64_t hits = 0;
    uint64_t misses = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Slot {
    std::shared_ptr<const core::Passage> passage;
    std::string app_id;
    size_t bytes = 0;
    bool used = false;
  };
  void forget_one(const core::StoreChange& change);
  void remove(int64_t chunk_key);
  void make_room();
  void clear();

  const size_t bytes_max_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Ticket changed_ = 0;
  std::map<std::pair<std::string, std::string>, core::Collection> collections_;  ///< by tenant and name
  std::unordered_map<int64_t, Slot> slots_;                                      ///< by chunk
  std::unordered_map<int64_t, std::vector<int64_t>> of_document_;                ///< chunks kept
  std::deque<int64_t> order_;                                                    ///< the next to go first
  size_t bytes_ = 0;
  Counts counts_;
};

}  // namespace tessera::store
