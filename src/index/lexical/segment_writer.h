#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "index/lexical/live_segment.h"
#include "index/lexical/segment.h"

namespace tessera::index {

/// What a new segment is made from: one segment and where its rows go (kGoneRow: nowhere; else counted from the new
/// segment's first row, ascending). Exactly one of the pointers is set.
struct SegmentSource {
  std::shared_ptr<const LiveSegment> live;
  std::shared_ptr<const Segment> file;
  std::vector<uint32_t> new_rows;  ///< by old row

  [[nodiscard]] Row rows() const { return static_cast<Row>(new_rows.size()); }
  [[nodiscard]] uint32_t length(Row row) const { return live ? live->length(row) : file->lengths()[row]; }
  [[nodiscard]] std::span<const uint8_t> sequence(Row row) const {
    return live ? live->sequence(row) : file->sequence(row);
  }
};

/// Writes a segment of `rows` rows out of sources in ascending order of rows. Null when `stop` was set meanwhile.
/// Errors: unavailable STORAGE_FAILED, invalid SNAPSHOT_DAMAGED (a source is).
base::Result<std::shared_ptr<const Segment>> write_segment(FileStore& files, std::span<const SegmentSource> sources,
                                                           Row rows, const std::atomic<bool>& stop);

}  // namespace tessera::index
