#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "index/filter/document_table.h"
#include "index/filter/filter_world.h"

namespace tessera::index {

/// Everything that ever was, in plain structures.
struct TableModel {
  struct Document {
    int64_t key = 0;
    std::vector<int64_t> chunks;
    std::vector<uint32_t> lengths;
    core::Metadata metadata;
    bool live = false;
  };
  std::vector<Document> documents;

  [[nodiscard]] std::vector<bool> rows(const core::Filter* filter) const {
    std::vector<bool> rows;
    for (const Document& document : documents) {
      const bool selected = document.live && (filter == nullptr || core::matches(*filter, document.metadata));
      rows.insert(rows.end(), document.chunks.size(), selected);
    }
    return rows;
  }
  Document* live(int64_t key) {
    for (Document& document : documents) {
      if (document.live && document.key == key) return &document;
    }
    return nullptr;
  }
  [[nodiscard]] LiveCounts counts() const {
    LiveCounts counts;
    for (const Document& document : documents) {
      if (!document.live) continue;
      ++counts.documents;
      counts.rows += document.chunks.size();
      for (const uint32_t length : document.lengths) counts.length += length;
    }
    return counts;
  }
};

/// Bits of values too: NaN is NaN, and -0.0 is not 0.0.
inline bool same_value(const core::MetadataValue& a, const core::MetadataValue& b) {
  const auto* const x = std::get_if<double>(&a);
  const auto* const y = std::get_if<double>(&b);
  if (x != nullptr && y != nullptr) return std::memcmp(x, y, sizeof *x) == 0;
  return a == b;
}

inline bool same(const core::Metadata& a, const core::Metadata& b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return x.first == y.first && same_value(x.second, y.second); });
}

/// What is wrong with a selection; empty when nothing is.
inline std::string difference(const DocumentTable& table, const TableModel& model, const core::Filter* filter) {
  const std::vector<bool> expected = model.rows(filter);
  const RowSelection selection = table.select(filter);
  if (table.rows() != expected.size()) return "rows";
  if (selection.bits.size() != (expected.size() + 63) / 64) return "words";
  uint64_t count = 0;
  for (Row row = 0; row < expected.size(); ++row) {
    if (selection.contains(row) != expected[row]) return "row " + std::to_string(row);
    count += expected[row] ? 1U : 0U;
  }
  if (expected.size() % 64 != 0 && (selection.bits.back() >> (expected.size() % 64)) != 0) return "bits behind the end";
  if (selection.count != count) return "count";
  if (selection.filtered != (filter != nullptr)) return "filtered";
  return "";
}

inline std::string difference(const DocumentTable& table, const TableModel& model) {
  if (table.documents() != model.documents.size()) return "documents";
  if (table.live_counts() != model.counts()) return "live counts";
  Row row = 0;
  for (uint32_t i = 0; i < model.documents.size(); ++i) {
    const TableModel::Document& expected = model.documents[i];
    const DocumentRows got = table.document(i);
    const std::string name = " of document " + std::to_string(i);
    if (got.key != expected.key || got.first_row != row || got.rows != expected.chunks.size()) return "rows" + name;
    if (got.live != expected.live) return "life" + name;
    if (table.find(expected.key) == i ? !expected.live : expected.live) return "key" + name;
    if (!same(table.metadata(i), expected.metadata)) return "metadata" + name;
    for (size_t chunk = 0; chunk < expected.chunks.size(); ++chunk, ++row) {
      if (table.chunk_keys()[row] != expected.chunks[chunk]) return "chunk keys" + name;
      if (table.lengths()[row] != expected.lengths[chunk]) return "lengths" + name;
      if (table.row_documents()[row] != i) return "row's document" + name;
      if (table.is_live(row) != expected.live) return "row's life" + name;
    }
  }
  return difference(table, model, nullptr);
}

/// A table and its model, changed together.
struct TablePair {
  FilterWorld world;
  TableModel model;
  std::unique_ptr<DocumentTable> table = std::make_unique<DocumentTable>();
  int64_t next_chunk = 1;

  explicit TablePair(uint64_t seed) : world(seed) {}

  void put(int64_t key, size_t rows, bool activated = true) {
    TableModel::Document document{key, {}, {}, world.metadata(), false};
    const uint32_t number = table->begin(key, document.metadata);
    for (size_t left = rows; left > 0;) {
      const size_t slice = 1 + world.below(left);
      std::vector<int64_t> chunks;
      std::vector<uint32_t> lengths;
      for (size_t i = 0; i < slice; ++i) {
        chunks.push_back(next_chunk++);
        lengths.push_back(static_cast<uint32_t>(world.below(300)));
      }
      table->append(chunks, lengths);
      document.chunks.insert(document.chunks.end(), chunks.begin(), chunks.end());
      document.lengths.insert(document.lengths.end(), lengths.begin(), lengths.end());
      left -= slice;
    }
    TableModel::Document* const former = model.live(key);
    if (activated) {
      const auto retired = table->activate(number);
      ASSERT_EQ(retired.has_value(), former != nullptr);
      if (former != nullptr) {
        EXPECT_EQ(retired->key, key);
        EXPECT_EQ(retired->rows, former->chunks.size());
        EXPECT_FALSE(retired->live);
        former->live = false;
      }
      document.live = true;
    }
    model.documents.push_back(std::move(document));
  }
  void remove(int64_t key) {
    TableModel::Document* const former = model.live(key);
    EXPECT_EQ(table->remove(key).has_value(), former != nullptr);
    if (former != nullptr) former->live = false;
  }
  void compact() {
    const uint64_t rows = table->rows();
    DocumentTable::Compacted compacted = table->compacted();
    ASSERT_EQ(compacted.rows.size(), rows);
    Row next = 0;
    for (Row row = 0; row < rows; ++row) EXPECT_EQ(compacted.rows[row], table->is_live(row) ? next++ : kGoneRow);
    table = std::move(compacted.table);
    std::erase_if(model.documents, [](const TableModel::Document& document) { return !document.live; });
  }
};

}  // namespace tessera::index
