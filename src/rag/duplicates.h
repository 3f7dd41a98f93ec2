#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/retriever.h"

namespace tessera::rag {

/// Tells texts that add nothing to those before them. same: equal but for white space. near: moreover, the same words
/// in the same order whatever their case, accents and punctuation, where one text may have a tenth more before or
/// behind (a banner, a signature, another cut). A text with other words inside is never left out: two versions that
/// differ in a number, a name or a "not" are two answers (measured: bench/quality/results.md). A value; one search; one
/// thread. Linear in the text, and for near in the number of texts kept.
class DuplicateFilter {
 public:
  explicit DuplicateFilter(core::Duplicates kind) : kind_(kind) {}

  /// Whether `text` says what one before said; if not, it is remembered.
  bool repeats(std::string_view text);

 private:
  using Words = std::vector<uint64_t>;  ///< hashes
  core::Duplicates kind_;
  std::unordered_set<uint64_t> texts_;
  std::vector<Words> kept_;
};

}  // namespace tessera::rag
