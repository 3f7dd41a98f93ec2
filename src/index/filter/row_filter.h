#pragma once

#include <cstdint>
#include <vector>

#include "core/metadata.h"
#include "index/row_table.h"

namespace tessera::index {

/// Says which rows one query may return: those that are live and whose document satisfies the filter. A document is
/// judged when one of its rows first has a chance, and once only. Lives as long as one query, under its read lock.
class RowFilter {
 public:
  /// `filter` may be null.
  RowFilter(const RowTable& rows, const core::Filter* filter)
      : rows_(rows), filter_(filter), verdicts_(filter == nullptr ? 0 : rows.slots.size(), Verdict::unknown) {}

  bool accepts(Row row) {
    if (!rows_.is_live(row)) return false;
    if (filter_ == nullptr) return true;
    Verdict& verdict = verdicts_[rows_.documents[row]];
    if (verdict == Verdict::unknown) {
      const auto& metadata = rows_.slots[rows_.documents[row]].metadata;
      verdict = core::matches(*filter_, metadata) ? Verdict::yes : Verdict::no;
    }
    return verdict == Verdict::yes;
  }

 private:
  enum class Verdict : uint8_t { unknown, yes, no };
  const RowTable& rows_;
  const core::Filter* filter_;
  std::vector<Verdict> verdicts_;
};

}  // namespace tessera::index
