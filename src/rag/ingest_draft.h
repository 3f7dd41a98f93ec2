#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rag/ingest.h"

namespace tessera::rag {

/// A document on its way: where it goes and what it has become so far. One that failed, or was found unchanged, is
/// passed over by the stages that follow.
struct IngestService::Draft {
  IngestRequest request;
  core::CollectionSettings settings;
  int64_t collection_id = 0;  ///< 0: not made yet
  core::Embedder* embedder = nullptr;
  core::DocumentWrite write;
  /// The text's tokens, where the model's reader has read them for the chunks' sizes, and where each chunk's begin.
  std::vector<uint16_t> tokens;
  std::vector<size_t> first_tokens;
  bool embedded = false;
  IngestReceipt receipt;
  int64_t sequence = 0;  ///< of the change that searches must see before the receipt is true
  bool unchanged = false;
  std::optional<base::Error> failure;

  [[nodiscard]] bool goes_on() const { return !failure && !unchanged; }
  [[nodiscard]] bool lacks_vectors() const { return goes_on() && !embedded; }
  /// Makes the vectors from `tokens`.
  void embed_tokens(core::TokenReader& reader);
  void fail(base::Error why) { failure = std::move(why); }
};

}  // namespace tessera::rag
