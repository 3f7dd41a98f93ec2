#include "index/filter/document_files.h"

#include <fmt/core.h>

#include <utility>

#include "index/filter/document_table.h"
#include "index/filter/metadata_columns.h"
#include "index/filter/selection_cache.h"

namespace tessera::index {
namespace {

constexpr uint32_t kPartsMax = 64;     // each is at least a third of all after it, so they are never that many
constexpr uint64_t kFileWeight = 256;  // what a file costs by itself, in the measure of Size::weight

}  // namespace

uint64_t DocumentFiles::Size::weight() const {
  uint64_t sum = uint64_t{documents} * 4 + rows;
  for (const ValueDictionary::Size& column : columns) sum += column.texts * 4 + column.values + column.elements;
  return sum;
}

DocumentFiles::Size DocumentFiles::size_of(const DocumentTable& table) {
  Size size{table.documents(), table.rows(), {}};
  for (const auto& column : table.columns_->columns()) size.columns.push_back(column->dictionary().size());
  return size;
}

base::Result<> DocumentFiles::save(const DocumentTable& table, FileStore& store, ByteWriter& record,
                                   std::vector<FileEntry>& entries) {
  Size now = size_of(table);
  const uint64_t changes = table.cache_->changes();
  if (now.documents != end_.documents || changes != changes_) {
    uint64_t weight = kFileWeight + now.weight() - end_.weight();
    size_t kept = parts_.size();
    while (kept > 0 && parts_[kept - 1].weight <= weight * 2) weight += parts_[--kept].weight;
    Part part{nullptr, kept < parts_.size() ? parts_[kept].before : end_, weight};
    auto written = write(table, store, part.before);
    TESSERA_CHECK(written);
    part.file = std::move(*written);
    parts_.resize(kept);
    parts_.push_back(std::move(part));
    end_ = std::move(now);
    changes_ = changes;
  }
  record.put(static_cast<uint32_t>(parts_.size()));
  for (const Part& part : parts_) {
    record.put_entry(part.file->entry());
    entries.push_back(part.file->entry());
  }
  return {};
}

base::Result<> DocumentFiles::load(DocumentTable& table, FileStore& store, ByteReader& record) {
  const auto count = record.get<uint32_t>();
  for (uint32_t i = 0; i < count; ++i) {
    const FileEntry entry = record.get_entry();
    if (!record.good() || count > kPartsMax)
      return files_damaged(entry.name, "the list of files of documents is damaged");
    auto file = store.open(entry, Verify::now);
    TESSERA_CHECK(file);
    const std::string_view wrong = read(table, **file, i + 1 == count);
    if (!wrong.empty()) return files_damaged(entry.name, wrong);
    Size size = size_of(table);
    const uint64_t weight = kFileWeight + size.weight() - end_.weight();
    parts_.push_back({std::move(*file), std::exchange(end_, std::move(size)), weight});
  }
  changes_ = table.cache_->changes();
  return {};
}

}  // namespace tessera::index
