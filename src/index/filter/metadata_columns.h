#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/metadata.h"
#include "index/filter/column.h"

namespace tessera::index {

/// The metadata of all documents of a collection, a column a field. Fields beyond kColumnsMax different ones are kept
/// as they came and looked at one document after the other. Guarded by the lock of the table.
class MetadataColumns {
 public:
  static constexpr size_t kColumnsMax = 1024;

  /// Documents come in ascending order, each once.
  void set(uint32_t document, const core::Metadata& metadata);
  /// Fills empty columns: document i has what documents[i] has in `from`.
  void copy(const MetadataColumns& from, std::span<const uint32_t> documents);
  [[nodiscard]] core::Metadata get(uint32_t document) const;
  [[nodiscard]] uint64_t memory_bytes() const;

  /// Null when no document has the field, or it is among the rest.
  [[nodiscard]] const Column* find(std::string_view field) const;
  [[nodiscard]] const std::vector<std::unique_ptr<Column>>& columns() const { return columns_; }
  /// Null when there is no room for more.
  Column* find_or_add(std::string_view field);
  /// Document -> the fields that have no column.
  [[nodiscard]] const std::map<uint32_t, core::Metadata>& rest() const { return rest_; }
  void set_rest(uint32_t document, core::Metadata metadata) { rest_.insert_or_assign(document, std::move(metadata)); }

 private:
  std::vector<std::unique_ptr<Column>> columns_;
  std::map<std::string, uint32_t, std::less<>> numbers_;
  std::map<uint32_t, core::Metadata> rest_;
};

/// A filter made ready for looking at many documents. Holds as long as the columns are not changed.
class FilterPlan {
 public:
  FilterPlan(const core::Filter& filter, const MetadataColumns& columns, const ScanKernels& kernels);
  ~FilterPlan();
  FilterPlan(const FilterPlan&) = delete;
  FilterPlan& operator=(const FilterPlan&) = delete;

  /// The documents of the block that satisfy the filter; bits of documents that do not exist may be set too.
  void find(size_t block, BlockBits& out) const;

 private:
  struct Node;
  void prepare(const core::Filter& filter, Node& node) const;
  static void join_ranges(Node& node);
  static void finish(Node& node);
  void find(const Node& node, size_t block, BlockBits& out) const;
  void find_rest(const core::Filter& filter, size_t block, BlockBits& out) const;

  const MetadataColumns& columns_;
  const ScanKernels& kernels_;
  std::unique_ptr<Node> root_;
};

}  // namespace tessera::index
