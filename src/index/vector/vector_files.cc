#include <algorithm>
#include <cstring>

#include "index/vector/vector_state.h"

namespace tessera::index {
namespace {

constexpr uint64_t kExtentMagic = 0x5458455645565354;  // "TSVEVEXT"
constexpr uint32_t kVersion = 2;
constexpr uint64_t kPage = 4096;
constexpr Row kExtentFull = kSlabRows;    // extents of so many rows are not written again
constexpr uint64_t kGraphShare = 16;      // the graph is written when one in so many of its rows came or went...
constexpr uint64_t kGraphMost = 1 << 16;  // ...or so many did
constexpr Row kRowsMax = (Row{1} << 31) - 1;

struct ExtentHead {
  uint64_t magic = kExtentMagic;
  uint32_t version = kVersion;
  uint32_t dimensions = 0;
  uint64_t first = 0;
  uint64_t rows = 0;
};
static_assert(sizeof(ExtentHead) == 32);

uint64_t extent_bytes(const VectorPlanes& planes, uint64_t rows) {
  return kPage + whole_blocks(rows) * (2 * planes.stride + sizeof(VectorHead) + planes.stride / 8);
}

template <class T>
void put_rows(FileWriter& writer, const RowPlane<T>& plane, Row first, Row end) {
  plane.pieces(first, end,
               [&](const T* from, size_t rows) { writer.put_array(std::span<const T>(from, rows * plane.width())); });
  // Zeros up to a whole block, written as they are in the plane would race with an append; these are none of its rows.
  const std::vector<T> nothing((whole_blocks(end - first) - (end - first)) * plane.width());
  writer.put_array(std::span<const T>(nothing));
}

base::Result<std::shared_ptr<const IndexFile>> write_extent(FileStore& store, const VectorPlanes& planes, Row first,
                                                            Row end) {
  const auto writer = store.create("vectors");
  ExtentHead head;
  head.dimensions = static_cast<uint32_t>(planes.dimensions);
  head.first = first;
  head.rows = end - first;
  writer->put_array(std::span<const ExtentHead>(&head, 1));
  writer->align(kPage);
  planes.for_each_plane([&](const auto& plane) { put_rows(*writer, plane, first, end); });
  return writer->finish();
}

/// The planes of an extent, wherever it begins.
struct ExtentParts {
  std::span<const uint8_t> upper;
  std::span<const uint8_t> lower;
  std::span<const int8_t> low;
  std::span<const VectorHead> heads;
  std::span<const uint64_t> signs;
};

ExtentParts parts_of(const IndexFile& file, const VectorPlanes& planes, uint64_t rows) {
  const uint64_t blocks = whole_blocks(rows);
  return {file.array<uint8_t>(kPage, blocks * planes.stride / 2),
          file.array<uint8_t>(kPage + blocks * planes.stride / 2, blocks * planes.stride / 2),
          file.array<int8_t>(kPage + blocks * planes.stride, blocks * planes.stride),
          file.array<VectorHead>(kPage + 2 * blocks * planes.stride, blocks),
          file.array<uint64_t>(kPage + blocks * (2 * planes.stride + sizeof(VectorHead)),
                               blocks * sign_words(planes.stride))};
}

/// Shares the whole blocks of a file's part with the plane and copies the rows behind, which others may follow.
template <class T>
void place(RowPlane<T>& plane, Row first, Row rows, std::span<const T> values, bool mapped) {
  const Row whole = mapped ? rows / kPlaneAlign * kPlaneAlign : 0;
  if (whole > 0) plane.share(first, values.first(whole * plane.width()));
  plane.write(first + whole, values.subspan(whole * plane.width(), (rows - whole) * plane.width()));
}

base::Result<> check_extent(const IndexFile& file, const VectorPlanes& planes, Row first, Row rows) {
  const std::span<const ExtentHead> heads = file.array<ExtentHead>(0, 1);
  if (heads.empty()) return files_damaged(file.entry().name, "it is cut short");
  const ExtentHead head = heads.front();
  const bool right = head.magic == kExtentMagic && head.version == kVersion && head.dimensions == planes.dimensions &&
                     head.first == first && head.rows >= rows && head.rows <= kRowsMax;
  if (!right) return files_damaged(file.entry().name, "it is not the file of vectors that is meant");
  if (file.bytes().size() != extent_bytes(planes, head.rows))
    return files_damaged(file.entry().name, "it has a wrong size");
  return {};
}

}  // namespace

base::Result<> VectorIndex::save(FileStore& store, ByteWriter& record, std::vector<FileEntry>& files, GraphFile graph) {
  State& state = *state_;
  if (state.planes != nullptr) {
    const Row saved = state.extents.empty() ? 0 : state.extents.back().first + state.extents.back().rows;
    if (saved < state.rows) {
      // Begins at a block's boundary, and takes up small files before it, so that they stay few: each row is written
      // again a logarithmic number of times at most.
      Row first = saved / kPlaneAlign * kPlaneAlign;
      size_t kept = state.extents.size();
      while (kept > 0) {
        const State::Extent& last = state.extents[kept - 1];
        const bool small = last.rows < kExtentFull && last.rows <= 2 * (state.rows - first);
        if (last.first < first && !small) break;
        first = std::min(first, last.first);
        --kept;
      }
      TESSERA_TRY(const auto file, write_extent(store, *state.planes, first, state.rows));
      state.extents.resize(kept);
      if (kept > 0) state.extents.back().rows = first - state.extents.back().first;
      state.extents.push_back({file, first, state.rows - first});
      // What is in a file need not be in memory: this plane is read for a search's best candidates only.
      const Row whole = (state.rows - first) / kPlaneAlign * kPlaneAlign;
      if (store.on_disk() && whole > 0) {
        state.planes->low.share(
            first, parts_of(*file, *state.planes, state.rows - first).low.first(whole * state.planes->stride));
      }
    }
    const uint64_t changed = state.graph->changes() - state.graph_changes;
    const bool due = changed >= std::min(kGraphMost, std::max<uint64_t>(1, state.graph->live() / kGraphShare));
    if (graph == GraphFile::when_due && state.graph->rows() > 0 && due) {
      TESSERA_TRY(state.graph_file, state.graph->write(store));
      state.graph_changes = state.graph->changes();
    }
  }
  record.put(state.rows);
  record.put(static_cast<uint32_t>(state.planes == nullptr ? 0 : state.planes->dimensions));
  state.recall.write(record);
  record.put(static_cast<uint32_t>(state.extents.size()));
  for (const State::Extent& extent : state.extents) {
    record.put_entry(extent.file->entry());
    record.put(extent.first);
    record.put(extent.rows);
    files.push_back(extent.file->entry());
  }
  record.put(static_cast<uint8_t>(state.graph_file != nullptr ? 1 : 0));
  if (state.graph_file != nullptr) {
    record.put_entry(state.graph_file->entry());
    files.push_back(state.graph_file->entry());
  }
  return {};
}

std::unique_ptr<VectorIndex> VectorIndex::snapshot() const {
  auto copy = std::make_unique<VectorIndex>(state_->options);
  *copy->state_ = *state_;
  return copy;
}

void VectorIndex::take_files(const VectorIndex& snapshot) {
  if (snapshot.state_->planes != state_->planes) return;  // began anew meanwhile
  state_->extents = snapshot.state_->extents;
  state_->graph_file = snapshot.state_->graph_file;
  state_->graph_changes = snapshot.state_->graph_changes;
}

base::Result<std::unique_ptr<VectorIndex>> VectorIndex::load(FileStore& store, ByteReader& record,
                                                             std::span<const uint64_t> live,
                                                             const VectorOptions& options) {
  auto index = std::make_unique<VectorIndex>(options);
  State& state = *index->state_;
  const Row rows = record.get<Row>();
  const auto dimensions = record.get<uint32_t>();
  const RecallTable recall = RecallTable::read(record);
  if (!record.good() || rows > kRowsMax || dimensions > kDimensionsMax || live.size() != (size_t{rows} + 63) / 64) {
    return files_damaged("vectors", "the record of a collection is wrong");
  }
  state.grow(rows);
  for (size_t word = 0; word < live.size(); ++word) state.removed[word] = ~live[word];
  if (rows % 64 != 0) state.removed.back() &= (uint64_t{1} << (rows % 64)) - 1;
  const auto extents = record.get<uint32_t>();
  if (dimensions == 0) {
    if (extents != 0 || record.get<uint8_t>() != 0)
      return files_damaged("vectors", "there are files without dimensions");
    return index;
  }
  state.start(dimensions);
  state.recall = recall;
  VectorPlanes& planes = *state.planes;
  Row next = 0;
  for (uint32_t i = 0; i < extents; ++i) {
    const FileEntry entry = record.get_entry();
    const Row first = record.get<Row>();
    const Row count = record.get<Row>();
    const bool last = i + 1 == extents;
    const bool right = record.good() && first == next && first % kPlaneAlign == 0 && count > 0 &&
                       count <= rows - first && (last || count % kPlaneAlign == 0);
    if (!right) return files_damaged("vectors", "the record of a collection is wrong");
    TESSERA_TRY(auto file, store.open(entry, Verify::later));
    TESSERA_CHECK(check_extent(*file, planes, first, count));
    const ExtentParts parts = parts_of(*file, planes, file->array<ExtentHead>(0, 1).front().rows);
    place(planes.upper, first, count, parts.upper, store.on_disk());
    place(planes.lower, first, count, parts.lower, store.on_disk());
    place(planes.low, first, count, parts.low, store.on_disk());
    place(planes.heads, first, count, parts.heads, store.on_disk());
    place(planes.signs, first, count, parts.signs, store.on_disk());
    state.extents.push_back({std::move(file), first, count});
    next = first + count;
  }
  if (next != rows) return files_damaged("vectors", "the record of a collection is wrong");
  for (Row row = 0; row < rows; ++row) state.vectors += planes.has(row) && !state.is_removed(row) ? 1 : 0;
  if (record.get<uint8_t>() != 0) {
    TESSERA_TRY(auto file, store.open(record.get_entry(), Verify::now));
    TESSERA_TRY(state.graph, GraphIndex::read(store, *file, state.planes, live, state.kernels));
    if (state.graph->options().m != std::clamp<size_t>(options.m, 4, 64) ||
        state.graph->options().ef_construction != state.graph_options().ef_construction) {
      state.graph = std::make_shared<GraphIndex>(state.planes, state.graph_options());  // other settings: built anew
      state.recall = {};
    } else {
      state.graph_file = std::move(file);
      state.graph_changes = state.graph->changes();
    }
    state.graph->grow(rows);
  }
  if (!record.good()) return files_damaged("vectors", "the record of a collection is wrong");
  return index;
}

std::unique_ptr<VectorIndex> VectorIndex::compacted(const RowMap& map) const {
  const State& state = *state_;
  auto index = std::make_unique<VectorIndex>(state.options);
  State& fresh = *index->state_;
  const auto kept = static_cast<Row>(map.size() - static_cast<size_t>(std::ranges::count(map, kGoneRow)));
  fresh.grow(kept);
  if (state.planes == nullptr || state.vectors == 0) return index;
  fresh.start(state.planes->dimensions);
  for (Row row = 0; row < state.rows; ++row) {
    const Row to = map[row];
    if (to == kGoneRow || !state.planes->has(row)) continue;
    std::memcpy(fresh.planes->upper.at(to), state.planes->upper.at(row), state.planes->stride / 2);
    std::memcpy(fresh.planes->lower.at(to), state.planes->lower.at(row), state.planes->stride / 2);
    std::memcpy(fresh.planes->low.at(to), state.planes->low.at(row), state.planes->stride);
    *fresh.planes->heads.at(to) = *state.planes->heads.at(row);
    std::memcpy(fresh.planes->signs.at(to), state.planes->signs.at(row), state.planes->stride / 8);
    if (!state.is_removed(row)) {
      ++fresh.vectors;
    } else {
      fresh.removed[to / 64] |= uint64_t{1} << (to % 64);
    }
  }
  if (state.graph->rows() > 0) {
    fresh.graph = state.graph->compacted(fresh.planes, map);
    fresh.graph->grow(kept);
    fresh.recall = state.recall;
  }
  return index;
}

}  // namespace tessera::index
