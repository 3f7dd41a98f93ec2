#pragma once

#include <mutex>
#include <vector>

#include "index/lexical/part.h"
#include "index/lexical/segment_writer.h"
#include "index/lexical/segmented_index.h"

namespace tessera::index {

/// Rows removed while a job runs: the applier adds, the job takes.
class RemovalLog {
 public:
  void add(RowRange range) {
    const std::lock_guard lock(mutex_);
    ranges_.push_back(range);
  }
  std::vector<RowRange> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(ranges_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<RowRange> ranges_;
};

/// Segments nobody searches any more: giving back their memory takes longer than anyone may hold the lock.
class RetiredSegments {
 public:
  void add(std::shared_ptr<const void> segment) {
    const std::lock_guard lock(mutex_);
    segments_.push_back(std::move(segment));
  }
  void clear() {
    std::unique_lock lock(mutex_);
    const auto segments = std::exchange(segments_, {});
    lock.unlock();
  }
  [[nodiscard]] bool empty() const {
    const std::lock_guard lock(mutex_);
    return segments_.empty();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const void>> segments_;
};

/// What a SegmentedIndex holds. `parts` lie beside each other; the last one is the live one, perhaps empty.
struct SegmentedIndex::State {
  FileStore& files;
  Options options;
  std::vector<Part> parts = {};
  uint64_t live_rows = 0;
  uint64_t live_length = 0;
  uint64_t waiting_rows = 0;                ///< of live segments but the last
  size_t waiting_bytes = 0;                 ///< likewise
  std::weak_ptr<RemovalLog> removals = {};  ///< of the job that is under way
  std::shared_ptr<RetiredSegments> retired = std::make_shared<RetiredSegments>();

  [[nodiscard]] double average_length() const {
    return live_rows == 0 ? 1.0 : static_cast<double>(live_length) / static_cast<double>(live_rows);
  }
  [[nodiscard]] Row rows() const { return parts.back().first + parts.back().rows(); }
  Part& part_of(Row row);
  /// A new live part begins behind the last one.
  void begin_live();
  /// Keeps waiting_rows and waiting_bytes.
  void count_waiting();
  /// Lets parts do something with rows, and keeps the totals.
  template <class Change>
  void change(Row first_row, Row count, Change&& change) {
    for (Row row = first_row; row < first_row + count;) {
      Part& part = part_of(row);
      live_rows -= part.counted_rows;
      live_length -= part.counted_length;
      const Row end = std::min(first_row + count, part.first + part.rows());
      change(part, RowRange{row - part.first, end - part.first});
      add_totals(part);
      row = end;
    }
  }
  /// Work on these parts; with none, only on what was let go of.
  std::unique_ptr<LexicalJob> job_on(size_t first_part, size_t count);
  /// Some of the work that removals left.
  void settle();
  void let_go(std::shared_ptr<const void> segment) { retired->add(std::move(segment)); }
  void add_totals(const Part& part) {
    live_rows += part.counted_rows;
    live_length += part.counted_length;
  }
};

/// Where the rows of a part go when it becomes (part of) a segment that begins at row `first`: those that do not count
/// nowhere.
SegmentSource source_of(const Part& part, Row first);

}  // namespace tessera::index
