#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "index/vector/graph_scratch.h"

namespace tessera::index {
namespace {

constexpr uint64_t kMagic = 0x48505247'45565354;  // "TSVEGRPH"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = 4096;

struct Head {
  uint64_t magic = kMagic;
  uint32_t version = kVersion;
  uint32_t m = 0;
  uint64_t ef_construction = 0;
  uint64_t seed = 0;
  uint32_t rows = 0;
  uint32_t entry = 0;
  uint32_t entry_level = 0;
  uint32_t upper_rows = 0;
};
static_assert(sizeof(Head) == 48);

}  // namespace

base::Result<std::shared_ptr<const IndexFile>> GraphIndex::write(FileStore& store) const {
  const auto writer = store.create("graph");
  const Row rows = rows_.load(std::memory_order_relaxed);
  const uint64_t entry = entry_.load(std::memory_order_relaxed);
  Head head;
  head.m = static_cast<uint32_t>(options_.m);
  head.ef_construction = options_.ef_construction;
  head.seed = options_.seed;
  head.rows = rows;
  head.entry = static_cast<Row>(entry);
  head.entry_level = static_cast<uint32_t>(entry >> 32);
  for (Row row = 0; row < rows; ++row) head.upper_rows += top_of(row) > 0 && bit(linked_, row) ? 1 : 0;
  writer->put_array(std::span<const Head>(&head, 1));
  writer->align(kPage);
  links_.pieces(0, rows, [&](const uint32_t* from, size_t count) {
    writer->put_array(std::span<const uint32_t>(from, count * width(0)));
  });
  writer->put_array(std::span<const uint32_t>(std::vector<uint32_t>((whole_blocks(rows) - rows) * width(0))));
  writer->put_array(std::span<const uint64_t>(linked_));
  for (Row row = 0; row < rows; ++row) {
    const size_t levels = top_of(row);
    if (levels == 0 || !bit(linked_, row)) continue;
    writer->put(row);
    writer->put_array(std::span<const uint32_t>(pool_.at(*upper_.at(row)), 1 + levels * options_.m));
  }
  return writer->finish();
}

/// The lists of upper levels: only of rows in the graph, rows ascending, leading to rows of at least that level.
bool GraphIndex::take_upper(ByteReader& reader, Row rows) {
  std::vector<uint32_t> lists;
  std::vector<Row> upper;
  for (Row row = 0; !reader.at_end(); upper.push_back(row)) {
    row = reader.get<Row>();
    const auto levels = reader.get<uint32_t>();
    if (!reader.good() || row >= rows || !bit(linked_, row) || (!upper.empty() && row <= upper.back())) return false;
    if (levels == 0 || levels >= kLevelsMax) return false;
    const std::string_view bytes = reader.take(levels * options_.m * sizeof(uint32_t));
    if (!reader.good()) return false;
    reserve_upper(row, levels);
    std::memcpy(pool_.at(*upper_.at(row)) + 1, bytes.data(), bytes.size());
  }
  for (const Row row : upper) {
    for (size_t level = 1; level <= top_of(row); ++level) {
      const uint32_t* list = links(row, level);
      for (size_t i = 0; i < options_.m; ++i) {
        if (list[i] != 0 && (list[i] > rows || top_of(list[i] - 1) < level)) return false;
      }
    }
  }
  return true;
}

/// The lists of the lowest level: pages of the file that a change makes the graph's own.
bool GraphIndex::take_links(const FileStore& store, const IndexFile& file, uint64_t offset, Row rows) {
  const std::span<const uint32_t> all = file.array<uint32_t>(offset, whole_blocks(rows) * width(0));
  if (all.empty()) return rows == 0;
  uint32_t largest = 0;
  for (const uint32_t link : all) largest = std::max(largest, link);
  if (largest > rows) return false;
  Row whole = 0;
  if (store.on_disk()) {
    const std::string path = store.directory() / file.entry().name;
    const int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened >= 0) {
      whole = static_cast<Row>(rows / kPlaneAlign * kPlaneAlign);
      if (!links_.borrow(0, whole, opened, offset)) whole = 0;
      ::close(opened);
    }
  }
  const uint32_t* from = all.data() + whole * width(0);
  links_.pieces(whole, rows, [&](uint32_t* to, size_t count) {
    std::memcpy(to, from, count * width(0) * sizeof(uint32_t));
    from += count * width(0);
  });
  return true;
}

void GraphIndex::take_live(std::span<const uint64_t> live) {
  uint64_t alive = 0;
  uint64_t dead = 0;
  for (size_t word = 0; word < linked_.size(); ++word) {
    dead_[word] = linked_[word] & ~live[word];
    dead += static_cast<uint64_t>(std::popcount(dead_[word]));
    alive += static_cast<uint64_t>(std::popcount(linked_[word] & live[word]));
  }
  live_count_.store(alive, std::memory_order_relaxed);
  dead_count_.store(dead, std::memory_order_relaxed);
}

base::Result<std::unique_ptr<GraphIndex>> GraphIndex::read(const FileStore& store, const IndexFile& file,
                                                           std::shared_ptr<const VectorPlanes> planes,
                                                           std::span<const uint64_t> live, const DotKernels* kernels) {
  const std::span<const Head> heads = file.array<Head>(0, 1);
  if (heads.empty()) return files_damaged(file.entry().name, "it is cut short");
  const Head head = heads.front();
  const bool sane = head.magic == kMagic && head.version == kVersion && head.m >= 4 && head.m <= kLinksMax / 2 &&
                    head.ef_construction >= head.m && head.ef_construction <= 4096 && head.rows <= planes->rows &&
                    live.size() * 64 >= head.rows;
  if (!sane) return files_damaged(file.entry().name, "it is no graph of these vectors");
  auto graph =
      std::make_unique<GraphIndex>(std::move(planes), GraphOptions{head.m, head.ef_construction, head.seed, kernels});
  const size_t words = (size_t{head.rows} + 63) / 64;
  const uint64_t links_bytes = whole_blocks(head.rows) * graph->width(0) * sizeof(uint32_t);
  const std::span<const uint64_t> linked = file.array<uint64_t>(kPage + links_bytes, words);
  if (file.bytes().size() < kPage + links_bytes + words * 8 || linked.size() != words) {
    return files_damaged(file.entry().name, "it is cut short");
  }
  graph->make_bits(head.rows);
  std::ranges::copy(linked, graph->linked_.begin());
  if (head.rows % 64 != 0 && graph->linked_.back() >> (head.rows % 64) != 0)
    return files_damaged(file.entry().name, "it has rows too many");
  graph->links_.grow(head.rows);
  graph->upper_.grow(head.rows);
  graph->upper_rows_ = head.rows;
  if (!graph->take_links(store, file, kPage, head.rows))
    return files_damaged(file.entry().name, "it has a link to a row that is not there");
  ByteReader upper(file.bytes().substr(kPage + links_bytes + words * 8));
  if (!graph->take_upper(upper, head.rows)) return files_damaged(file.entry().name, "its upper levels are wrong");
  graph->take_live(live);
  graph->rows_.store(head.rows, std::memory_order_release);
  if (head.entry != kNone) {
    const bool there =
        head.entry < head.rows && bit(graph->linked_, head.entry) && head.entry_level <= graph->top_of(head.entry);
    if (!there) return files_damaged(file.entry().name, "it begins at a row that is not there");
    graph->set_entry(head.entry, head.entry_level);
  }
  if (graph->live() > 0 && (head.entry == kNone || bit(graph->dead_, head.entry))) graph->choose_entry();
  return graph;
}

std::unique_ptr<GraphIndex> GraphIndex::compacted(std::shared_ptr<const VectorPlanes> planes, const RowMap& map) const {
  auto graph = std::make_unique<GraphIndex>(std::move(planes), options_);
  const Row rows = rows_.load(std::memory_order_relaxed);
  Bits gone(linked_.size());
  Row kept = 0;
  for (Row row = 0; row < rows; ++row) {
    kept += map[row] != kGoneRow ? 1 : 0;
    if (map[row] == kGoneRow && bit(linked_, row)) set_bit(gone, row, true);
  }
  graph->links_.grow(kept);
  graph->upper_.grow(kept);
  graph->upper_rows_ = kept;
  graph->make_bits(kept);
  for (Row row = 0; row < rows; ++row) {
    if (map[row] != kGoneRow && bit(linked_, row) && top_of(row) > 0) graph->reserve_upper(map[row], top_of(row));
  }
  const Lease lease(*this);
  Scratch& scratch = *lease;
  scratch.start(rows, planes_->stride);
  uint64_t live = 0;
  uint64_t dead = 0;
  for (Row row = 0; row < rows; ++row) {
    if (map[row] == kGoneRow || !bit(linked_, row)) continue;
    for (size_t level = 0; level <= top_of(row); ++level) {
      if (!choose_past(row, level, gone, scratch)) {
        scratch.chosen.resize(width(level));
        scratch.chosen.resize(read_links(row, level, scratch.chosen.data()));
      }
      for (Row& to : scratch.chosen) to = map[to];
      graph->write_links(map[row], level, scratch.chosen);
    }
    set_bit(graph->linked_, map[row], true);
    set_bit(graph->dead_, map[row], bit(dead_, row));
    ++(bit(dead_, row) ? dead : live);
  }
  graph->live_count_.store(live, std::memory_order_relaxed);
  graph->dead_count_.store(dead, std::memory_order_relaxed);
  graph->rows_.store(kept, std::memory_order_release);
  graph->choose_entry();
  return graph;
}

}  // namespace tessera::index
