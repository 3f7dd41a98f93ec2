#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "core/metadata.h"
#include "index/files/file_store.h"
#include "index/filter/growing_array.h"
#include "index/filter/hash_index.h"
#include "index/filter/spread.h"
#include "index/rows.h"

namespace tessera::index {

class DocumentFiles;
class MetadataColumns;
class SelectionCache;

/// What is visible of a collection.
struct LiveCounts {
  uint64_t rows = 0;
  uint64_t documents = 0;
  uint64_t length = 0;  ///< sum of the lengths of live rows
  bool operator==(const LiveCounts&) const = default;
};

/// A document and its consecutive rows.
struct DocumentRows {
  int64_t key = 0;
  Row first_row = 0;
  uint32_t rows = 0;
  bool live = false;
};

/// The rows and documents of one collection, with the documents' metadata in dictionary-coded columns: which rows a
/// query may return. A document is begun, gets its rows in slices, and is invisible until activated. What belongs to
/// documents that went stays until compaction. One applier changes it, under the collection's write lock; searches
/// read under its read lock, from any number of threads. Not movable; owned by its collection.
class DocumentTable {
 public:
  DocumentTable();
  ~DocumentTable();
  DocumentTable(const DocumentTable&) = delete;
  DocumentTable& operator=(const DocumentTable&) = delete;

  // Rows. Spans hold until the next change.
  [[nodiscard]] Row rows() const { return static_cast<Row>(chunk_keys_.size()); }
  [[nodiscard]] std::span<const int64_t> chunk_keys() const { return chunk_keys_.span(); }
  [[nodiscard]] std::span<const uint32_t> lengths() const { return lengths_.span(); }  ///< indexed terms
  [[nodiscard]] std::span<const uint32_t> row_documents() const {
    return documents_.span();
  }  ///< row -> document number
  [[nodiscard]] std::span<const uint64_t> live() const { return live_.span(); }  ///< a bit a row; behind the last row 0
  [[nodiscard]] bool is_live(Row row) const { return ((live_[row / 64] >> (row % 64)) & 1) != 0; }

  // Documents, dead ones included.
  [[nodiscard]] uint32_t documents() const { return static_cast<uint32_t>(keys_.size()); }
  [[nodiscard]] DocumentRows document(uint32_t document) const;
  /// The number of the live document with this key.
  [[nodiscard]] std::optional<uint32_t> find(int64_t key) const;
  /// Put together again from the columns; equal to what begin() was given.
  [[nodiscard]] core::Metadata metadata(uint32_t document) const;
  [[nodiscard]] const LiveCounts& live_counts() const { return counts_; }

  /// A new document without rows, invisible; its number. Rows can be appended until the next begin().
  uint32_t begin(int64_t key, const core::Metadata& metadata);
  /// Invisible rows of the document begun last, as many keys as lengths.
  void append(std::span<const int64_t> chunk_keys, std::span<const uint32_t> lengths);
  /// Shows a document and retires the live one with the same key, whose former rows are returned (live = false). A
  /// document that was begun and is never activated is dead.
  std::optional<DocumentRows> activate(uint32_t document);
  /// Hides the live document with this key; its former rows, or nothing.
  std::optional<DocumentRows> remove(int64_t key);

  /// The live rows of documents that satisfy `filter` (core::matches); null: all live rows, at no cost. Holds until the
  /// next change. Filters asked before are remembered and brought up to date.
  [[nodiscard]] RowSelection select(const core::Filter* filter) const;

  /// The live documents alone, in the same order, and where their rows went.
  struct Compacted;
  [[nodiscard]] Compacted compacted() const;
  [[nodiscard]] uint64_t memory_bytes() const;

  /// Writes what changed since the last save or load: documents that are new, in one file (now and then together with
  /// those of earlier small files), and which documents are live. `record` is for load(); `files` gets every file the
  /// record needs. On the applier, searches may go on. Errors: unavailable STORAGE_FAILED.
  base::Result<> save(FileStore& store, ByteWriter& record, std::vector<FileEntry>& files);
  /// Copies everything into memory; no file stays open. Errors: invalid SNAPSHOT_DAMAGED, unavailable STORAGE_FAILED.
  static base::Result<std::unique_ptr<DocumentTable>> load(FileStore& store, ByteReader& record);

 private:
  friend class DocumentFiles;
  void show(uint32_t document, bool visible);
  [[nodiscard]] RowLayout layout() const;
  [[nodiscard]] std::vector<uint64_t> find_rows(const core::Filter& filter) const;

  GrowingArray<int64_t> chunk_keys_;
  GrowingArray<uint32_t> lengths_;
  GrowingArray<uint32_t> documents_;
  GrowingArray<uint64_t> live_;
  GrowingArray<uint64_t> starts_;  // a bit a row: its document begins here
  GrowingArray<int64_t> keys_;
  GrowingArray<Row> first_rows_;           // of each document, and the end of the last
  GrowingArray<uint64_t> live_documents_;  // a bit a document
  bool empties_ = false;                   // a document before the last has no rows
  LiveCounts counts_;
  HashIndex numbers_;  // by key: the number of the document that had it last
  std::unique_ptr<MetadataColumns> columns_;
  std::unique_ptr<SelectionCache> cache_;  // has a lock of its own
  std::unique_ptr<DocumentFiles> saved_;   // the applier's own
};

/// What compaction made: `rows` says where each row of the old table went.
struct DocumentTable::Compacted {
  std::unique_ptr<DocumentTable> table;
  RowMap rows;
};

}  // namespace tessera::index
