#include "store/memory/memory_store.h"

#include "store/memory/memory_conversations.h"
#include "store/memory/memory_documents.h"
#include "store/memory/memory_keys.h"
#include "store/memory/memory_ledger.h"
#include "store/memory/memory_responses.h"
#include "store/memory/memory_tasks.h"

namespace tessera::store {

struct MemoryStore::Parts {
  explicit Parts(const base::Clock& clock) : documents(clock), conversations(clock), tasks(clock) {}
  MemoryDocuments documents;
  MemoryConversations conversations;
  MemoryTasks tasks;
  MemoryKeys keys;
  MemoryLedger ledger;
  MemoryBudgets budgets;
  MemoryResponses responses;
};

MemoryStore::MemoryStore(const base::Clock& clock) : parts_(std::make_unique<Parts>(clock)) {}
MemoryStore::~MemoryStore() = default;

core::DocumentStore& MemoryStore::documents() {
  return parts_->documents;
}
core::ConversationStore& MemoryStore::conversations() {
  return parts_->conversations;
}
core::TaskStore& MemoryStore::tasks() {
  return parts_->tasks;
}
core::KeyStore& MemoryStore::keys() {
  return parts_->keys;
}
core::Ledger& MemoryStore::ledger() {
  return parts_->ledger;
}
core::BudgetStore& MemoryStore::budgets() {
  return parts_->budgets;
}
core::ResponseOwnerStore& MemoryStore::responses() {
  return parts_->responses;
}

}  // namespace tessera::store
