#pragma once

#include <memory>

#include "base/clock.h"
#include "core/accounts.h"
#include "core/conversations.h"
#include "core/documents.h"
#include "core/response_owners.h"
#include "core/tasks.h"

namespace tessera::store {

/// The stores in maps, gone when it is destroyed: for tests and `--store memory`. Keeps the contracts of the
/// durable store except durability; its tasks complete without suspending. A resource; thread-safe.
class MemoryStore {
 public:
  /// `clock` outlives the store.
  explicit MemoryStore(const base::Clock& clock);
  ~MemoryStore();
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  /// They live as long as the store.
  [[nodiscard]] core::DocumentStore& documents();
  [[nodiscard]] core::ConversationStore& conversations();
  [[nodiscard]] core::TaskStore& tasks();
  [[nodiscard]] core::KeyStore& keys();
  [[nodiscard]] core::Ledger& ledger();
  [[nodiscard]] core::BudgetStore& budgets();
  [[nodiscard]] core::ResponseOwnerStore& responses();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tessera::store
