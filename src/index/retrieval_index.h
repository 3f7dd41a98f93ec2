#pragma once

#include <filesystem>
#include <memory>

#include "base/log.h"
#include "base/result.h"
#include "core/index.h"

namespace tessera::index {

/// Where the index keeps its snapshot and when it tidies up. A value.
struct IndexOptions {
  std::filesystem::path directory;  ///< of its files; created when missing; empty: memory only, save() does nothing
  /// A collection is rewritten without its dead rows once they are more than this share of all, and at least
  /// `compact_rows_min`.
  double compact_dead_share = 0.25;
  size_t compact_rows_min = 1024;
  size_t m = 16;                 ///< links of a row in a graph (twice as many on the lowest level)
  size_t ef_construction = 200;  ///< candidates looked at for a new row's links
  size_t ef = 0;                 ///< candidates of a search; 0: measured for `recall`
  double recall = 0.95;          ///< share of the true nearest that a search is to find
  size_t freeze_rows = 0;        ///< rows of a live segment before it becomes a file; 0: the engine's own choice
  size_t graph_rows = 0;         ///< vectors from which on there is a graph; 0: the engine's own choice
  /// More rows than this beside a graph are taken in while changes arrive, not in the quiet after them: scanning them
  /// takes milliseconds.
  int64_t scanned_rows_max = 200'000;
};

/// Builds the engine of lexical (BM25) and dense (cosine) search. Good files in the directory are mapped, with their
/// applied sequence; damaged ones are logged as index_snapshot_damaged and removed, and the index starts empty, to be
/// replayed from the store. Large files are looked at in the background: damage there is told to the damage listener.
/// One thread of the index's own merges segments and builds graphs. `logger` outlives the index. Errors: unavailable
/// INDEX_DIRECTORY (cannot be created). Blocking.
///
/// What the port leaves open: a vector of zeros or with NaN has no direction, so it matches nothing, stored or asked
/// (asked with NaN: invalid VECTOR_NOT_FINITE). A put whose vectors are none is indexed by its text only and
/// reports VECTOR_SHAPE; one that finds no room reports COLLECTION_INDEX_FULL. Vectors of other dimensions than the
/// collection's are of another model, which is the one to be asked from now on: those before are forgotten, and the
/// chunks they were of found by their text until they are embedded anew; logged as index_dimensions_changed.
base::Result<std::unique_ptr<core::RetrievalIndex>> create_retrieval_index(IndexOptions options, base::Logger& logger);

}  // namespace tessera::index
