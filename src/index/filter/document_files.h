#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "index/files/file_store.h"
#include "index/filter/value_dictionary.h"

namespace tessera::index {

class DocumentTable;

/// The files of a document table (docs/formats/index-documents.md). A table only ever grows at its ends, but for which
/// documents are live; so each file holds what was added between two sizes of it, and the last one also which
/// documents are live. Small neighbours are written together, so that files stay few and each document is written
/// seldom. Owned by its table; the applier's own.
class DocumentFiles {
 public:
  base::Result<> save(const DocumentTable& table, FileStore& store, ByteWriter& record,
                      std::vector<FileEntry>& entries);
  /// Into an empty table.
  base::Result<> load(DocumentTable& table, FileStore& store, ByteReader& record);

 private:
  /// How much of a table there is.
  struct Size {
    uint32_t documents = 0;
    uint32_t rows = 0;
    std::vector<ValueDictionary::Size> columns;
    [[nodiscard]] uint64_t weight() const;
    [[nodiscard]] ValueDictionary::Size column(size_t number) const {
      return number < columns.size() ? columns[number] : ValueDictionary::Size{};
    }
  };
  struct Part {
    std::shared_ptr<const IndexFile> file;  // held, so that the store keeps it until a manifest names it
    Size before;
    uint64_t weight = 0;
  };
  class Writer;
  class Reader;
  static Size size_of(const DocumentTable& table);
  /// A file of what the table has beyond a former size.
  static base::Result<std::shared_ptr<const IndexFile>> write(const DocumentTable& table, FileStore& store,
                                                              const Size& before);
  /// Adds what a file holds; says what is wrong with it (the table is then to be thrown away), nothing if it is sound.
  static std::string_view read(DocumentTable& table, const IndexFile& file, bool last);

  std::vector<Part> parts_;
  Size end_;
  uint64_t changes_ = 0;
};

}  // namespace tessera::index
