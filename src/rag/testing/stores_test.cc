#include "rag/testing/stores.h"

#include "store/memory/memory_store.h"

namespace tessera::rag::testing {

struct Stores::Kept {
  store::MemoryStore memory;
};

Stores::Stores(const base::Clock& clock) : kept_(new Kept{store::MemoryStore(clock)}) {}
Stores::~Stores() = default;

core::DocumentStore& Stores::documents() {
  return kept_->memory.documents();
}

core::TaskStore& Stores::tasks() {
  return kept_->memory.tasks();
}

}  // namespace tessera::rag::testing
