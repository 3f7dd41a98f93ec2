#include <algorithm>
#include <bit>
#include <limits>

#include "index/lexical/segmented_state.h"
#include "index/varint.h"

namespace tessera::index {
namespace {

constexpr uint32_t kRecordVersion = 1;
/// A live segment with fewer rows stays live after a save: its file is written again by the next.
constexpr Row kKeepLiveRows = 4096;
constexpr std::array<char, 8> kRemovalsMagic = {'T', 'S', 'R', 'E', 'M', 'O', 'V', 'D'};

/// Which rows of a segment count, and how many each term lost.
base::Result<std::shared_ptr<const IndexFile>> write_removals(FileStore& files, const Part& part) {
  const auto writer = files.create("removals");
  writer->put_array(std::span<const char>(kRemovalsMagic));
  writer->put(uint32_t{part.rows()});
  writer->put(uint32_t{part.stale_rows});
  writer->put_array(std::span<const uint64_t>(part.counted));
  std::vector<uint8_t> pairs;
  uint32_t before = 0;
  const std::unique_ptr<RemovedTerms> settled = part.unsettled.empty() ? nullptr : part.settled();
  const RemovedTerms* const removed = part.live ? nullptr : settled ? settled.get() : part.removed.get();
  for (uint32_t term = 0; removed != nullptr && term < removed->terms(); ++term) {
    const uint32_t count = removed->count(term);
    if (count == 0) continue;
    append_varint(pairs, term - before);
    append_varint(pairs, count);
    before = term;
  }
  writer->put_array(std::span<const uint8_t>(pairs));
  return writer->finish();
}

bool read_removals(std::string_view bytes, Part& part) {
  ByteReader reader(bytes);
  const std::string_view magic = reader.take(kRemovalsMagic.size());
  const auto rows = reader.get<uint32_t>();
  part.stale_rows = reader.get<uint32_t>();
  if (!reader.good() || magic != std::string_view(kRemovalsMagic.data(), kRemovalsMagic.size()) ||
      rows != part.rows()) {
    return false;
  }
  part.counted = reader.get_array<uint64_t>((uint64_t{rows} + 63) / 64);
  if (!reader.good() || (rows % 64 != 0 && part.counted.back() >> (rows % 64) != 0)) return false;
  std::string_view rest = bytes.substr(16 + part.counted.size() * sizeof(uint64_t));
  if (rest.empty()) return true;
  part.removed = std::make_unique<RemovedTerms>(part.file->terms());
  VarintReader pairs({reinterpret_cast<const uint8_t*>(rest.data()), rest.size()});
  uint64_t term = 0;
  while (!pairs.at_end()) {
    term += pairs.next();
    const uint32_t count = pairs.next();
    if (!pairs.good() || term >= part.file->terms()) return false;
    part.removed->set(static_cast<uint32_t>(term), count);
  }
  return true;
}

/// What is known of a part beside its files: whatever does not count is gone.
bool finish_part(Part& part) {
  const std::vector<uint64_t> all = all_bits(part.rows());
  part.gone.resize(all.size());
  for (size_t w = 0; w < all.size(); ++w) {
    part.gone[w] = all[w] & ~part.counted[w];
    part.counted_rows += static_cast<Row>(std::popcount(part.counted[w]));
  }
  part.gone_rows = part.rows() - part.counted_rows;
  return part.stale_rows <= part.gone_rows && part.counted_length <= part.file->length_sum();
}

base::Result<Part> load_part(FileStore& files, ByteReader& record, Row first) {
  Part part;
  part.first = first;
  const FileEntry entry = record.get_entry();
  const auto rows = record.get<uint32_t>();
  part.counted_length = record.get<uint64_t>();
  const bool has_removals = record.get<uint8_t>() != 0;
  const FileEntry removals = has_removals ? record.get_entry() : FileEntry();
  if (!record.good()) return files_damaged("segments", "the record of the lexical index ends early");
  TESSERA_TRY(auto file, files.open(entry, Verify::later));
  TESSERA_TRY(part.file, Segment::open(std::move(file)));
  if (part.rows() != rows) return files_damaged(entry.name, "another number of rows than recorded");
  if (has_removals) {
    TESSERA_TRY(part.saved_removals, files.open(removals, Verify::now));
    if (!read_removals(part.saved_removals->bytes(), part)) return files_damaged(removals.name, "not sound");
  } else {
    part.counted = all_bits(part.rows());
  }
  if (!finish_part(part)) return files_damaged(entry.name, "counts that contradict each other");
  return part;
}

}  // namespace

base::Result<> SegmentedIndex::save(ByteWriter& record, std::vector<FileEntry>& entries) {
  const std::atomic<bool> never{false};
  state_->retired->clear();
  std::vector<Part*> kept;
  for (Part& part : state_->parts) {
    if (part.rows() > 0) kept.push_back(&part);
  }
  record.put(kRecordVersion);
  record.put(static_cast<uint32_t>(kept.size()));
  for (Part* const part : kept) {
    if (part->live && !part->saved) {
      const SegmentSource source = source_of(*part, part->first);
      TESSERA_TRY(part->saved, write_segment(state_->files, {&source, 1}, part->rows(), never));
    }
    if ((part->gone_rows > 0 || part->pending() > 0) && !part->saved_removals) {
      TESSERA_TRY(part->saved_removals, write_removals(state_->files, *part));
    }
    const IndexFile& file = part->live ? part->saved->file() : part->file->file();
    record.put_entry(file.entry());
    entries.push_back(file.entry());
    record.put(uint32_t{part->rows()});
    record.put(part->counted_length);
    record.put(static_cast<uint8_t>(part->saved_removals ? 1 : 0));
    if (!part->saved_removals) continue;
    record.put_entry(part->saved_removals->entry());
    entries.push_back(part->saved_removals->entry());
  }
  return {};
}

void SegmentedIndex::release_saved() {
  std::vector<Part>& parts = state_->parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (!parts[i].live || !parts[i].saved || parts[i].pending() > 0) continue;
    if (last && parts[i].rows() < kKeepLiveRows) continue;
    if (last) state_->begin_live();
    Part& part = parts[i];
    part.file = std::move(part.saved);  // which has only the rows that count
    state_->let_go(std::move(part.live));
    part.removed.reset();
    part.unsettled.clear();
    if (last) break;
  }
  state_->count_waiting();
}

base::Result<std::unique_ptr<SegmentedIndex>> SegmentedIndex::load(FileStore& files, ByteReader& record) {
  return load(files, record, Options());
}

base::Result<std::unique_ptr<SegmentedIndex>> SegmentedIndex::load(FileStore& files, ByteReader& record,
                                                                   Options options) {
  auto index = std::make_unique<SegmentedIndex>(files, options);
  State& state = *index->state_;
  state.parts.clear();
  const auto version = record.get<uint32_t>();
  const auto count = record.get<uint32_t>();
  if (!record.good() || version != kRecordVersion) return files_damaged("segments", "not a record of a lexical index");
  uint64_t rows = 0;
  for (uint32_t i = 0; i < count; ++i) {
    TESSERA_TRY(Part part, load_part(files, record, static_cast<Row>(rows)));
    rows += part.rows();
    if (rows > std::numeric_limits<Row>::max() / 2)
      return files_damaged("segments", "more rows than a collection can have");
    state.add_totals(part);
    state.parts.push_back(std::move(part));
  }
  state.begin_live();
  return index;
}

base::Result<std::unique_ptr<SegmentedIndex>> SegmentedIndex::compacted(const RowMap& map) const {
  const std::atomic<bool> never{false};
  auto fresh = std::make_unique<SegmentedIndex>(state_->files, state_->options);
  std::vector<Part>& parts = fresh->state_->parts;
  parts.clear();
  uint64_t done = 0;
  for (size_t i = 0; i < state_->parts.size();) {
    std::vector<SegmentSource> sources;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    const uint64_t first = done;
    for (; i < state_->parts.size(); ++i) {
      const Part& part = state_->parts[i];
      const uint64_t more = part.file ? part.file->sequence_bytes() : part.live->memory_bytes();
      if (!sources.empty() &&
          (rows + part.rows() > state_->options.segment_rows_max || bytes + more > uint64_t{3} << 30)) {
        break;
      }
      SegmentSource source;
      source.live = part.live;
      source.file = part.file;
      source.new_rows.assign(part.rows(), kGoneRow);
      for (Row row = 0; row < part.rows(); ++row) {
        const Row to = map[part.first + row];
        if (to == kGoneRow) continue;
        if (to != done) return files_damaged("segments", "the rows to keep are not numbered one after the other");
        if (bit_of(part.counted, row)) source.new_rows[row] = static_cast<Row>(to - first);
        ++done;
      }
      rows += part.rows();
      bytes += more;
      sources.push_back(std::move(source));
    }
    if (done == first) continue;
    Part part;
    part.first = static_cast<Row>(first);
    TESSERA_TRY(part.file, write_segment(state_->files, sources, static_cast<Row>(done - first), never));
    part.counted = all_bits(part.rows());
    part.gone.resize(part.counted.size());
    part.counted_rows = part.rows();
    part.counted_length = part.file->length_sum();
    fresh->state_->add_totals(part);
    parts.push_back(std::move(part));
  }
  fresh->state_->begin_live();
  return fresh;
}

}  // namespace tessera::index
