#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "text/wordpiece.h"

namespace tessera::index {

/// A static embedding model file (docs/formats/static-model.md) read in place: views into bytes that the caller keeps
/// alive, 64-byte aligned. A value; any thread. Nothing is copied and hardly a page is touched before the first text.
class StaticModel {
 public:
  /// Reads the header and checks that every section lies inside the file with the size the header implies.
  /// Errors: unreadable (NOT_AN_EMBEDDING_MODEL, EMBEDDING_MODEL_VERSION, EMBEDDING_MODEL_DAMAGED).
  static base::Result<StaticModel> open(std::string_view file);

  /// Checks the checksum and every index inside the tables. For files from outside; the embedded one is checked by a
  /// test, because this touches all of it (8 MB resident, 1 ms).
  [[nodiscard]] base::Result<> verify() const;

  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] size_t dimensions() const { return dimensions_; }
  [[nodiscard]] size_t vocabulary() const { return vocabulary_; }
  [[nodiscard]] const text::WordPiece& tokenizer() const { return tokenizer_; }

  /// Token vectors: row of id = id - first_row(); ids below have none. value = scale * int8.
  [[nodiscard]] uint16_t first_row() const { return first_row_; }
  [[nodiscard]] std::span<const float> scales() const { return scales_; }
  [[nodiscard]] std::span<const int8_t> rows() const { return rows_; }

 private:
  std::string_view file_;
  std::string_view name_;
  size_t dimensions_ = 0;
  size_t vocabulary_ = 0;
  uint16_t first_row_ = 0;
  uint64_t checksum_ = 0;
  text::WordPieceTables tables_;
  text::WordPiece tokenizer_;
  std::span<const float> scales_;
  std::span<const int8_t> rows_;
};

}  // namespace tessera::index
