#include <algorithm>
#include <bit>
#include <span>

#include "index/lexical/segmented_state.h"

namespace tessera::index {
namespace {

constexpr size_t kMergeParts = 4;
constexpr uint64_t kSequenceBytesMax = uint64_t{3} << 30;

/// Parts of one tier are merged when there are four of them beside each other; a tier is four times the one below.
unsigned tier_of(uint64_t rows, size_t freeze_rows) {
  const uint64_t units = rows / (2 * freeze_rows);
  return units == 0 ? 0 : 1 + (static_cast<unsigned>(std::bit_width(units)) - 1) / 2;
}

class SegmentJob final : public LexicalJob {
 public:
  SegmentJob(FileStore& files, std::shared_ptr<RetiredSegments> retired)
      : files_(files), retired_(std::move(retired)) {}

  base::Result<> run(const std::atomic<bool>& stop) override {
    if (!stop.load(std::memory_order_relaxed)) retired_->clear();
    if (inputs.empty()) return {};
    std::vector<SegmentSource> sources;
    for (Input& input : inputs) {
      SegmentSource& source = sources.emplace_back();
      source.live = input.live;
      source.file = input.file;
      source.new_rows.resize(input.rows);
      for (Row row = 0; row < input.rows; ++row) {
        source.new_rows[row] = bit_of(input.gone, row) ? kGoneRow : input.first - first + row;
      }
    }
    TESSERA_TRY(part.file, write_segment(files_, sources, rows, stop));
    if (!part.file) return {};
    part.first = first;
    part.gone.resize((size_t{rows} + 63) / 64);
    for (const SegmentSource& source : sources) {
      const Row shift = inputs[static_cast<size_t>(&source - sources.data())].first - first;
      for (Row row = 0; row < source.rows(); ++row) {
        if (source.new_rows[row] == kGoneRow) set_bit(part.gone, shift + row);
      }
    }
    part.counted = all_bits(rows);
    for (size_t word = 0; word < part.gone.size(); ++word) part.counted[word] &= ~part.gone[word];
    part.gone_rows = count_bits(part.gone, {0, rows});
    part.counted_rows = rows - part.gone_rows;
    part.counted_length = part.file->length_sum();
    catch_up();
    return {};
  }

  /// Removes from the new part what was removed from the old ones meanwhile.
  void catch_up() {
    for (RowRange range : removals->take()) {
      range = {std::max(range.first, first), std::min(range.end, first + rows)};
      if (range.first < range.end) part.remove({range.first - first, range.end - first});
    }
  }

  struct Input {
    Row first = 0;
    Row rows = 0;
    std::shared_ptr<const LiveSegment> live;
    std::shared_ptr<const Segment> file;
    std::vector<uint64_t> gone;  // as of plan()
  };
  Row first = 0;
  Row rows = 0;
  std::vector<Input> inputs;
  std::shared_ptr<RemovalLog> removals = std::make_shared<RemovalLog>();
  Part part;  // the outcome

 private:
  FileStore& files_;
  std::shared_ptr<RetiredSegments> retired_;
};

uint64_t sequence_bytes(const Part& part) {
  return part.file ? part.file->sequence_bytes() : part.live->memory_bytes();
}

bool is_stale(const Part& part) {
  constexpr Row kWorthIt = 1024;
  return part.file && part.stale_rows >= kWorthIt && part.stale_rows > part.rows() / 4;
}

struct Run {
  size_t first = 0;
  size_t count = 0;
};

/// The longest run of parts that ends with `last` and becomes one by the tiers.
Run run_to(const std::vector<Part>& parts, size_t last, const SegmentedIndex::Options& options) {
  uint64_t rows = 0;
  uint64_t range = 0;
  uint64_t bytes = 0;
  size_t first = last + 1;
  unsigned top = tier_of(parts[last].counted_rows, options.freeze_rows);
  size_t worth = last + 1;  // where the run that is worth merging begins
  size_t in_tier = 0;
  while (first > 0) {
    const Part& part = parts[first - 1];
    range += part.rows();
    bytes += sequence_bytes(part);
    const unsigned tier = tier_of(part.counted_rows, options.freeze_rows);
    if (part.pending() > 0 || range > options.segment_rows_max || bytes > kSequenceBytesMax || tier > top) break;
    rows += part.counted_rows;
    --first;
    ++in_tier;
    if (in_tier >= kMergeParts) {
      worth = first;
      const unsigned grown = tier_of(rows, options.freeze_rows);
      if (grown > top) {  // as one it counts among the next tier's
        top = grown;
        in_tier = 1;
      }
    }
  }
  return {worth, last + 1 - worth};
}

/// `first` and the parts behind it that are in memory and get no further rows: together they make one file.
Run in_memory_from(const std::vector<Part>& parts, size_t first, const SegmentedIndex::Options& options) {
  Run run{first, 0};
  uint64_t rows = 0;
  uint64_t bytes = 0;
  for (size_t i = first; i + 1 < parts.size() && parts[i].live && parts[i].pending() == 0; ++i, ++run.count) {
    rows += parts[i].rows();
    bytes += sequence_bytes(parts[i]);
    if (run.count > 0 && (rows > options.segment_rows_max || bytes > kSequenceBytesMax)) break;
  }
  return run;
}

}  // namespace

std::unique_ptr<LexicalJob> SegmentedIndex::State::job_on(size_t first_part, size_t count) {
  auto job = std::make_unique<SegmentJob>(files, retired);
  if (count == 0) return job;
  job->first = parts[first_part].first;
  for (const Part& part : std::span(parts).subspan(first_part, count)) {
    job->inputs.push_back({part.first, part.rows(), part.live, part.file, part.gone});
    job->rows += part.rows();
  }
  removals = job->removals;
  return job;
}

SegmentSource source_of(const Part& part, Row first) {
  SegmentSource source;
  source.live = part.live;
  source.file = part.file;
  source.new_rows.resize(part.rows());
  for (Row row = 0; row < part.rows(); ++row) {
    source.new_rows[row] = bit_of(part.counted, row) ? part.first - first + row : kGoneRow;
  }
  return source;
}

std::unique_ptr<LexicalJob> SegmentedIndex::plan(LexicalWork work) const {
  const std::vector<Part>& parts = state_->parts;
  Run chosen;
  for (size_t last = parts.size() - 1; last-- > 0 && chosen.count == 0;) {
    if (parts[last].pending() == 0) chosen = run_to(parts, last, state_->options);
  }
  for (size_t i = 0; i + 1 < parts.size() && chosen.count == 0; ++i) {
    if (work == LexicalWork::all) chosen = in_memory_from(parts, i, state_->options);
    if (parts[i].pending() == 0 && is_stale(parts[i])) chosen = {i, 1};
  }
  if (chosen.count == 0 && state_->retired->empty()) return nullptr;
  return state_->job_on(chosen.first, chosen.count);
}

std::unique_ptr<LexicalJob> SegmentedIndex::plan_write() const {
  const std::vector<Part>& parts = state_->parts;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const Run run = in_memory_from(parts, i, state_->options);
    if (run.count > 0) return state_->job_on(run.first, run.count);
  }
  return nullptr;
}

void SegmentedIndex::install(std::unique_ptr<LexicalJob> finished) {
  auto* const job = dynamic_cast<SegmentJob*>(finished.get());
  if (job == nullptr || !job->part.file) return;
  std::vector<Part>& parts = state_->parts;
  const auto begin = std::ranges::find(parts, job->first, &Part::first);
  if (static_cast<size_t>(parts.end() - begin) <= job->inputs.size()) return;
  const auto end = begin + static_cast<ptrdiff_t>(job->inputs.size());
  const auto same = [](const Part& part, const SegmentJob::Input& input) {
    return part.live == input.live && part.file == input.file && part.first == input.first;
  };
  if (!std::ranges::equal(begin, end, job->inputs.begin(), job->inputs.end(), same)) return;  // not our parts
  job->catch_up();
  for (auto part = begin; part != end; ++part) {
    if (part->live) state_->let_go(std::move(part->live));
    if (part->file) state_->let_go(std::move(part->file));
    if (part->removed) state_->let_go(std::move(part->removed));
  }
  *begin = std::move(job->part);
  parts.erase(begin + 1, end);
  state_->count_waiting();
}

}  // namespace tessera::index
