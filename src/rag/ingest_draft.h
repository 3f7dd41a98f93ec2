#pragma once

#include <optional>

#include "rag/ingest.h"

namespace tessera::rag {

/// A document on its way: where it goes and what it has become so far. One that failed, or was found unchanged, is
/// passed over by the stages that follow.
struct IngestService::Draft {
  IngestRequest request;
  core::CollectionSettings settings;
  bool new_collection = false;
  core::Embedder* embedder = nullptr;
  core::DocumentWrite write;
  IngestReceipt receipt;
  int64_t sequence = 0;  ///< of the change that searches must see before the receipt is true
  bool unchanged = false;
  std::optional<base::Error> failure;

  [[nodiscard]] bool goes_on() const { return !failure && !unchanged; }
  void fail(base::Error why) { failure = std::move(why); }
};

}  // namespace tessera::rag
