#pragma once

#include <memory>

#include "base/clock.h"
#include "core/conversations.h"
#include "core/documents.h"

namespace tessera::chat::testing {

/// The store in memory behind its ports, so that the headers of these tests need not know which it is.
class Stores {
 public:
  explicit Stores(const base::Clock& clock);
  ~Stores();
  Stores(const Stores&) = delete;
  Stores& operator=(const Stores&) = delete;
  [[nodiscard]] core::DocumentStore& documents();
  [[nodiscard]] core::ConversationStore& conversations();

 private:
  struct Kept;
  std::unique_ptr<Kept> kept_;
};

}  // namespace tessera::chat::testing
