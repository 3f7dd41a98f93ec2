#pragma once

#include <vector>

#include "index/lexical/part.h"
#include "index/lexical/segment_writer.h"
#include "index/lexical/segmented_index.h"

namespace tessera::index {

/// What a SegmentedIndex holds. `parts` lie beside each other; the last one is the live one, perhaps empty.
struct SegmentedIndex::State {
  FileStore& files;
  Options options;
  std::vector<Part> parts;
  uint64_t live_rows = 0;
  uint64_t live_length = 0;

  [[nodiscard]] double average_length() const {
    return live_rows == 0 ? 1.0 : static_cast<double>(live_length) / static_cast<double>(live_rows);
  }
  [[nodiscard]] Row rows() const { return parts.back().first + parts.back().rows(); }
  Part& part_of(Row row);
  /// A new live part begins behind the last one.
  void begin_live();
  void add_totals(const Part& part) {
    live_rows += part.counted_rows;
    live_length += part.counted_length;
  }
};

/// Where the rows of a part go when it becomes (part of) a segment that begins at row `first`: those that do not count
/// nowhere.
SegmentSource source_of(const Part& part, Row first);

}  // namespace tessera::index
