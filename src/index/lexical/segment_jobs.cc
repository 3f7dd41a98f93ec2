#include <algorithm>
#include <bit>

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
  explicit SegmentJob(FileStore& files) : files_(files) {}

  base::Result<> run(const std::atomic<bool>& stop) override {
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
    TESSERA_TRY(result, write_segment(files_, sources, rows, stop));
    return {};
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
  std::shared_ptr<const Segment> result;

 private:
  FileStore& files_;
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

}  // namespace

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

std::unique_ptr<LexicalJob> SegmentedIndex::plan() const {
  const std::vector<Part>& parts = state_->parts;
  Run chosen;
  for (size_t last = parts.size() - 1; last-- > 0 && chosen.count == 0;) {
    if (parts[last].pending() > 0) continue;
    chosen = run_to(parts, last, state_->options);
    if (chosen.count == 0 && (parts[last].live || is_stale(parts[last]))) chosen = {last, 1};
  }
  if (chosen.count == 0) return nullptr;
  auto job = std::make_unique<SegmentJob>(state_->files);
  job->first = parts[chosen.first].first;
  for (const Part& part : std::span(parts).subspan(chosen.first, chosen.count)) {
    job->inputs.push_back({part.first, part.rows(), part.live, part.file, part.gone});
    job->rows += part.rows();
  }
  return job;
}

void SegmentedIndex::install(std::unique_ptr<LexicalJob> finished) {
  auto* const job = dynamic_cast<SegmentJob*>(finished.get());
  if (job == nullptr || !job->result) return;
  std::vector<Part>& parts = state_->parts;
  const auto begin = std::ranges::find(parts, job->first, &Part::first);
  if (static_cast<size_t>(parts.end() - begin) <= job->inputs.size()) return;
  Part merged;
  merged.first = job->first;
  merged.file = job->result;
  merged.counted.resize((job->rows + 63) / 64);
  merged.gone.resize(merged.counted.size());
  for (size_t i = 0; i < job->inputs.size(); ++i) {
    const Part& part = begin[static_cast<ptrdiff_t>(i)];
    const SegmentJob::Input& input = job->inputs[i];
    if (part.live != input.live || part.file != input.file || part.first != input.first) return;  // not our parts
    const Row shift = part.first - merged.first;
    for (Row row = 0; row < part.rows(); ++row) {
      if (bit_of(part.counted, row)) set_bit(merged.counted, shift + row);
      if (!bit_of(part.gone, row)) continue;
      set_bit(merged.gone, shift + row);
      if (bit_of(input.gone, row)) continue;
      ++merged.stale_rows;
      if (!merged.removed) merged.removed = std::make_unique<RemovedTerms>(merged.file->terms());
      merged.removed->add_row(shift + row, merged.file->sequence(shift + row));
    }
    merged.counted_rows += part.counted_rows;
    merged.gone_rows += part.gone_rows;
    merged.counted_length += part.counted_length;
  }
  *begin = std::move(merged);
  parts.erase(begin + 1, begin + static_cast<ptrdiff_t>(job->inputs.size()));
}

}  // namespace tessera::index
