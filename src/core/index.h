#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/documents.h"
#include "core/metadata.h"

namespace tessera::core {

/// A chunk that matched. Higher scores are better; their scale belongs to the engine (BM25, or cosine).
struct IndexHit {
  int64_t chunk_key = 0;
  int64_t document_key = 0;
  float score = 0;
};

/// What to look for in one collection. `text` serves the lexical engine, `vector` (L2-normalised) the dense one.
/// `filter` may be null.
struct IndexQuery {
  int64_t collection_id = 0;
  std::string_view text;
  std::span<const float> vector;
  size_t k = 0;
  const Filter* filter = nullptr;
};

struct IndexStats {
  int64_t documents = 0;
  int64_t chunks = 0;
  int64_t terms = 0;
  int64_t dimensions = 0;
  int64_t memory_bytes = 0;
};

/// Lexical (BM25) and dense (cosine) search over chunks, derived from the document store. Thread-safe: searches run
/// beside one applier. Searches are CPU work of well under a millisecond to a few milliseconds; they see every change
/// applied before they start.
class RetrievalIndex {
 public:
  virtual ~RetrievalIndex() = default;

  /// Changes come in order of sequence, from one thread at a time; one at or below applied_sequence() is ignored.
  virtual base::Result<> apply(const StoreChange& change) = 0;
  [[nodiscard]] virtual int64_t applied_sequence() const = 0;

  /// Best first, ties by chunk key; exactly min(k, matches). Lexical: chunks with at least one query term. Dense: every
  /// chunk with a vector. Both respect the filter. Errors: invalid (DIMENSION_MISMATCH naming both).
  [[nodiscard]] virtual base::Result<std::vector<IndexHit>> search_lexical(const IndexQuery& query) const = 0;
  [[nodiscard]] virtual base::Result<std::vector<IndexHit>> search_dense(const IndexQuery& query) const = 0;

  [[nodiscard]] virtual IndexStats stats(int64_t collection_id) const = 0;
  [[nodiscard]] virtual IndexStats total_stats() const = 0;

  /// Writes a checksummed snapshot (to a new file, synced, renamed) so that the next start need not replay everything.
  /// Blocking.
  virtual base::Result<> save() = 0;
  /// Forgets everything; applied_sequence() is 0 afterwards.
  virtual void clear() = 0;
};

}  // namespace tessera::core
