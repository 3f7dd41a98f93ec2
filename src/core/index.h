#pragma once

#include <cstdint>
#include <functional>
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
  bool operators = false;  ///< `text` may say "a phrase", +required, -excluded, prefix*; else all of it is words
  double recall = 0;       ///< dense: share of the true k nearest to be found; 0: the index's default
  size_t ef = 0;           ///< dense: candidates of the graph walk, whatever `recall` says; 0: chosen for `recall`
};

/// How the dense engine stands in one collection.
struct VectorIndexStats {
  int64_t rows = 0;        ///< vectors
  int64_t graph_rows = 0;  ///< of them reached by the graph; the others are scanned
  int64_t m = 0;           ///< links of a row on the graph's upper levels, half of those on the lowest
  int64_t ef_construction = 0;
  int64_t ef = 0;              ///< candidates of a walk for the default recall
  double recall_target = 0;    ///< the default
  double recall_measured = 0;  ///< at `ef`, on a sample of the collection; 1 while everything is scanned
};

struct IndexStats {
  int64_t documents = 0;
  int64_t chunks = 0;
  int64_t terms = 0;     ///< distinct terms; those of several segments may be counted more than once
  int64_t segments = 0;  ///< of the lexical engine
  int64_t dimensions = 0;
  int64_t memory_bytes = 0;  ///< in memory; mapped files not counted
  int64_t mapped_bytes = 0;  ///< of mapped files
  VectorIndexStats vectors;

  /// Adds another collection's; dimensions and the state of the vectors are those of the larger.
  void add(const IndexStats& other) {
    documents += other.documents;
    chunks += other.chunks;
    terms += other.terms;
    segments += other.segments;
    memory_bytes += other.memory_bytes;
    mapped_bytes += other.mapped_bytes;
    if (other.dimensions > dimensions) dimensions = other.dimensions;
    if (other.vectors.rows >= vectors.rows) vectors = other.vectors;
  }
};

/// Damage found in the index's files since the start; the index is then built anew from the store.
struct IndexDamage {
  int64_t found = 0;
  std::string last;  ///< which file, and why; for the operator
};

/// Lexical (BM25) and dense (cosine) search over chunks, derived from the document store. Thread-safe: searches run
/// beside one applier. Searches are CPU work of well under a millisecond to a few milliseconds; they see every change
/// applied before they start.
class RetrievalIndex {
 public:
  virtual ~RetrievalIndex() = default;

  /// Changes come in order of sequence, from one thread at a time; one at or below applied_sequence() is ignored.
  /// Errors: invalid or exhausted: this change could not be taken in whole (a put: by its text only, or not at all),
  /// but counts as applied, and the index is right otherwise. All others: the index is not to be trusted any more.
  virtual base::Result<> apply(const StoreChange& change) = 0;
  [[nodiscard]] virtual int64_t applied_sequence() const = 0;

  /// Best first, ties in order of arrival; exactly min(k, matches). Lexical: chunks with at least one query term.
  /// Dense: every chunk with a vector. Both respect the filter. Errors: conflict DIMENSION_MISMATCH (naming both).
  [[nodiscard]] virtual base::Result<std::vector<IndexHit>> search_lexical(const IndexQuery& query) const = 0;
  [[nodiscard]] virtual base::Result<std::vector<IndexHit>> search_dense(const IndexQuery& query) const = 0;

  /// Of a collection the index does not know: nothing, and the settings in force.
  [[nodiscard]] virtual IndexStats stats(int64_t collection_id) const = 0;
  [[nodiscard]] virtual IndexStats total_stats() const = 0;
  /// Of the collection's vectors; 0 while it has none. Cheap.
  [[nodiscard]] virtual size_t dimensions(int64_t collection_id) const = 0;

  /// Writes a checksummed snapshot (to a new file, synced, renamed) so that the next start need not replay everything.
  /// Blocking; on any thread, beside apply(), which it holds up for short turns only.
  virtual base::Result<> save() = 0;
  /// Waits for a save that is under way. Forgets everything; applied_sequence() is 0 afterwards.
  virtual void clear() = 0;

  [[nodiscard]] virtual IndexDamage damage() const { return {}; }
  /// Called, from a thread of the index, when damage is found after the start: what searches answer is not to be
  /// trusted until clear() and a replay. Set once, before the first change; must not block.
  virtual void set_damage_listener(std::function<void()> listener) { (void)listener; }
};

}  // namespace tessera::core
