#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "index/vector/graph_index.h"
#include "index/vector/vector_store.h"

namespace tessera::index {
namespace {

struct Head {
  uint32_t dimensions = 0;
  uint32_t m = 0;
  uint32_t ef_construction = 0;
  uint32_t rerank = 0;
  uint64_t seed = 0;
  uint32_t rows = 0;
  uint32_t entry = 0;
  uint64_t upper_links = 0;
};
static_assert(sizeof(Head) == 40);

template <class T>
void put(std::string& out, const T* from, size_t count) {
  if (count > 0) out.append(reinterpret_cast<const char*>(from), count * sizeof(T));
}

template <class T>
void take(std::string_view& from, T* to, size_t count) {
  if (count > 0) std::memcpy(to, from.data(), count * sizeof(T));
  from.remove_prefix(count * sizeof(T));
}

auto damaged() {
  return base::fail(base::Code::invalid, "INDEX_DAMAGED", "The vector index is damaged and must be built again.");
}

}  // namespace

void GraphIndex::serialize(std::string& out) const {
  const auto lock = access_.read();
  Head head;
  head.dimensions = static_cast<uint32_t>(options_.dimensions);
  head.m = static_cast<uint32_t>(options_.m);
  head.ef_construction = static_cast<uint32_t>(options_.ef_construction);
  head.rerank = options_.rerank ? 1 : 0;
  head.seed = options_.seed;
  head.rows = rows_;
  head.entry = entry_;
  head.upper_links = upper_links_.size();
  put(out, &head, 1);
  put(out, codes_.data(), rows_ * stride_);
  put(out, links_.data(), rows_ * width(0));
  put(out, scales_.data(), rows_);
  if (options_.rerank) put(out, low_.data(), rows_ * stride_);
  put(out, upper_.data(), rows_);
  put(out, upper_links_.data(), upper_links_.size());
  put(out, live_.data(), live_.size());
  put(out, dead_.data(), dead_.size());
}

base::Result<std::unique_ptr<GraphIndex>> GraphIndex::open(std::string_view bytes, const GraphKernels* kernels) {
  Head head;
  if (bytes.size() < sizeof(head)) return damaged();
  take(bytes, &head, 1);
  const bool sane = head.dimensions >= 1 && head.dimensions <= kDimensionsMax && head.m >= 4 &&
                    head.m <= kLinksMax / 2 && head.ef_construction >= head.m && head.ef_construction <= 4096 &&
                    head.rerank <= 1 && head.rows < (Row{1} << 31) && head.upper_links >= 1 &&
                    head.upper_links <= bytes.size();
  if (!sane) return damaged();
  const GraphOptions options{head.dimensions, head.m, head.ef_construction, head.rerank != 0, head.seed, kernels};
  auto index = std::make_unique<GraphIndex>(options);
  const size_t rows = head.rows;
  const size_t words = (rows + 63) / 64;
  const size_t row_bytes = index->stride_ * (1 + head.rerank) + index->width(0) * sizeof(Row) + 8;
  if (bytes.size() != rows * row_bytes + head.upper_links * sizeof(Row) + words * 16) return damaged();
  index->codes_.reserve(rows * index->stride_);
  index->links_.reserve(rows * index->width(0));
  index->scales_.reserve(rows);
  index->upper_.reserve(rows);
  if (options.rerank) index->low_.reserve(rows * index->stride_);
  index->upper_links_.resize(head.upper_links);
  index->live_.resize(words);
  index->dead_.resize(words);
  index->retiring_.resize(words);
  take(bytes, index->codes_.data(), rows * index->stride_);
  take(bytes, index->links_.data(), rows * index->width(0));
  take(bytes, index->scales_.data(), rows);
  if (options.rerank) take(bytes, index->low_.data(), rows * index->stride_);
  take(bytes, index->upper_.data(), rows);
  take(bytes, index->upper_links_.data(), head.upper_links);
  take(bytes, index->live_.data(), words);
  take(bytes, index->dead_.data(), words);
  index->rows_ = head.rows;
  index->entry_ = head.entry;
  for (const uint64_t word : index->live_) index->live_count_ += std::popcount(word);
  for (const uint64_t word : index->dead_) index->dead_count_ += std::popcount(word);
  if (!index->holds()) return damaged();
  if (index->entry_ != kNone) index->top_level_ = index->level_of(index->entry_);
  return index;
}

/// Whether the rows of an opened index are what they should be and every list leads to rows that are there.
bool GraphIndex::holds() const {
  if (rows_ % 64 != 0 && ((live_.back() | dead_.back()) >> (rows_ % 64)) != 0) return false;
  for (size_t word = 0; word < live_.size(); ++word) {
    if ((live_[word] & dead_[word]) != 0) return false;
  }
  for (Row row = 0; row < rows_; ++row) {
    const size_t top = level_of(row);
    if (upper_[row] != 0 && (top == 0 || upper_[row] + top * options_.m > upper_links_.size())) return false;
    if (there(row) && (top > 0) != (upper_[row] != 0)) return false;
    if (there(row) && !(scales_[row] > 0 && std::isfinite(scales_[row]))) return false;
    for (size_t level = 0; level <= (upper_[row] == 0 ? 0 : top); ++level) {
      if (!list_holds(row, level)) return false;
    }
  }
  return live_count_ == 0 ? entry_ == kNone && dead_count_ == 0 : entry_ < rows_ && bit(live_, entry_);
}

bool GraphIndex::list_holds(Row row, size_t level) const {
  const Row* list = links(row, level);
  const Row* end = std::find(list, list + width(level), kNone);
  for (const Row* to = list; to < end; ++to) {
    if (*to >= rows_ || *to == row || !there(*to)) return false;
    if (level > 0 && level_of(*to) < level) return false;
  }
  return std::all_of(end, list + width(level), [](Row to) { return to == kNone; });
}

}  // namespace tessera::index
