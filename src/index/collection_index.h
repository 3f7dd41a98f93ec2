#pragma once

#include <memory>
#include <unordered_map>

#include "core/documents.h"
#include "index/access.h"
#include "index/lexical/lexical_index.h"
#include "index/row_table.h"
#include "index/vector/vector_store.h"

namespace tessera::index {

class SnapshotReader;
class SnapshotWriter;

/// One collection's rows, terms and vectors. Any number of searches run beside one applier, who alone calls put,
/// remove, compacted and encode; long documents are added in slices, so that searches never wait long, and become
/// visible at once, together with the disappearance of their former version. Owned by shared pointers: a search keeps
/// what it began with.
class CollectionIndex {
 public:
  explicit CollectionIndex(bool stemming) : stemming_(stemming) {}

  /// Errors (the text is searchable nevertheless): invalid DIMENSION_MISMATCH, VECTOR_SHAPE. exhausted
  /// COLLECTION_INDEX_FULL: nothing was added, the former version is gone.
  base::Result<> put(int64_t document_key, const core::DocumentWrite& write);
  void remove(int64_t document_key);

  [[nodiscard]] std::vector<core::IndexHit> search_lexical(const core::IndexQuery& query,
                                                           Pruning pruning = Pruning::on) const;
  [[nodiscard]] base::Result<std::vector<core::IndexHit>> search_dense(
      const core::IndexQuery& query, const DotKernels& kernels = best_dot_kernels()) const;
  [[nodiscard]] core::IndexStats stats() const;

  [[nodiscard]] size_t dead_rows() const { return rows_.size() - rows_.live_rows; }
  [[nodiscard]] size_t rows() const { return rows_.size(); }
  /// The same without dead rows, unused terms and spare memory.
  [[nodiscard]] std::shared_ptr<CollectionIndex> compacted() const;

  void encode(SnapshotWriter& writer) const;
  /// Null when the bytes do not describe a sound index.
  static std::shared_ptr<CollectionIndex> decode(SnapshotReader& reader);

 private:
  struct Slice;
  void make_slice(const core::DocumentWrite& write, size_t first, size_t count, Slice& slice);
  void count_terms(std::string_view text, Slice& slice, RowTerms& terms);
  uint32_t number_of(std::string_view term, Slice& slice) const;
  void append_slice(const Slice& slice, uint32_t document);
  base::Result<size_t> prepare_vectors(const core::DocumentWrite& write);
  void activate(int64_t document_key, uint32_t document);
  void retire(int64_t document_key);
  void copy_lists(const CollectionIndex& from, const std::vector<Row>& new_rows);
  bool decode_rows(SnapshotReader& reader);
  bool decode_terms(SnapshotReader& reader);
  bool decode_vectors(SnapshotReader& reader);
  bool count_live_terms();

  const bool stemming_;
  Access access_;
  // Guarded by access_; the applier reads without it.
  RowTable rows_;
  LexicalIndex lexical_;
  VectorStore vectors_;
  uint64_t live_vectors_ = 0;
  // The applier's own.
  std::unordered_map<int64_t, uint32_t> slot_of_;  // document key -> live slot
  std::vector<uint32_t> row_counts_;               // by term number; zero between rows
  std::vector<uint32_t> document_counts_;          // by term number; zero between documents
  std::vector<uint32_t> document_terms_;           // with a count
};

}  // namespace tessera::index
