#include "chat/testing/stores.h"

#include "store/memory/memory_store.h"

namespace tessera::chat::testing {

struct Stores::Kept {
  store::MemoryStore memory;
};

Stores::Stores(const base::Clock& clock) : kept_(new Kept{store::MemoryStore(clock)}) {}
Stores::~Stores() = default;

core::DocumentStore& Stores::documents() {
  return kept_->memory.documents();
}

core::ConversationStore& Stores::conversations() {
  return kept_->memory.conversations();
}

}  // namespace tessera::chat::testing
