#include "index/lexical/segmented_index.h"

#include <algorithm>
#include <memory>
#include <span>

#include "index/lexical/part_search.h"
#include "index/lexical/query_plan.h"
#include "index/lexical/segmented_state.h"
#include "index/lexical/term_key.h"

namespace tessera::index {

SegmentedIndex::SegmentedIndex(FileStore& files) : SegmentedIndex(files, Options()) {}

SegmentedIndex::SegmentedIndex(FileStore& files, Options options)
    : state_(std::make_unique<State>(State{.files = files, .options = options})) {
  state_->options.freeze_rows = std::clamp<size_t>(options.freeze_rows, 1, LiveSegment::kRowsMax);
  state_->options.segment_rows_max = std::clamp<size_t>(options.segment_rows_max, 1, kSegmentRowsMax);
  state_->begin_live();
}

SegmentedIndex::~SegmentedIndex() = default;
SegmentedIndex::SegmentedIndex(SegmentedIndex&&) noexcept = default;
SegmentedIndex& SegmentedIndex::operator=(SegmentedIndex&&) noexcept = default;

Part& SegmentedIndex::State::part_of(Row row) {
  return *(std::ranges::upper_bound(parts, row, {}, &Part::first) - 1);
}

void SegmentedIndex::State::begin_live() {
  constexpr size_t kTermsExpectedMax = size_t{1} << 18;
  Row first = 0;
  size_t terms = 0;
  if (!parts.empty()) {
    first = rows();
    if (parts.back().live) terms = std::min<size_t>(parts.back().live->terms(), kTermsExpectedMax);
  }
  Part part;
  part.first = first;
  part.live = std::make_shared<LiveSegment>(first, static_cast<float>(average_length()), terms);
  parts.push_back(std::move(part));
  count_waiting();
}

void SegmentedIndex::State::count_waiting() {
  waiting_rows = 0;
  waiting_bytes = 0;
  for (const Part& part : std::span(parts).first(parts.size() - 1)) {
    if (!part.live) continue;
    waiting_rows += part.rows();
    waiting_bytes += part.live->memory_bytes();
  }
}

void SegmentedIndex::State::settle() {
  constexpr Row kRowsATurn = 256;
  for (Part& part : parts) {
    if (part.unsettled.empty()) continue;
    part.settle(kRowsATurn);
    return;
  }
}

void SegmentedIndex::make_room(const PreparedRows& rows) {
  state_->retired->clear();
  state_->parts.back().live->prepare_room(rows);
}

void SegmentedIndex::append(const PreparedRows& rows) {
  const Part& last = state_->parts.back();
  if (last.rows() > 0 && (last.rows() >= state_->options.freeze_rows || !last.live->has_room(rows))) {
    state_->begin_live();
  }
  state_->parts.back().append(rows);
  state_->settle();
}

void SegmentedIndex::freeze(Row rows_min) {
  const Part& last = state_->parts.back();
  if (last.rows() >= std::max<Row>(rows_min, 1) && last.pending() == 0) state_->begin_live();
}

std::unique_ptr<SegmentedIndex> SegmentedIndex::snapshot() {
  if (state_->parts.back().rows() > 0) state_->begin_live();
  auto copy = std::make_unique<SegmentedIndex>(state_->files, state_->options);
  copy->state_->parts.clear();
  for (const Part& part : state_->parts) {
    if (part.rows() == 0) continue;
    Part& same = copy->state_->parts.emplace_back();
    same.first = part.first;
    same.live = part.live;
    same.file = part.file;
    same.counted = part.counted;
    same.gone = part.gone;
  }
  return copy;
}

void SegmentedIndex::activate(Row first, Row count) {
  state_->change(first, count, [](Part& part, RowRange range) { part.activate(range); });
}

void SegmentedIndex::remove(Row first, Row count) {
  if (const auto log = state_->removals.lock()) log->add({first, first + count});
  state_->change(first, count, [](Part& part, RowRange range) { part.remove(range); });
  state_->settle();
}

std::vector<RowHit> SegmentedIndex::search(const LexicalQuery& query, size_t k, const RowSelection& selection,
                                           Pruning pruning) const {
  k = std::min<size_t>({k, selection.count, state_->live_rows});
  if (k == 0 || query.empty()) return {};
  const std::vector<Part>& parts = state_->parts;
  const QueryPlan plan = plan_query(query, parts, {state_->live_rows, state_->average_length()});
  if (plan.impossible || plan.terms.empty()) return {};
  TopRows best(k);
  const auto search = std::make_unique<PartSearch>(plan, selection, state_->average_length(), pruning, best);
  std::vector<size_t> order(parts.size());  // the largest first: it raises the floor for the others
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return parts[a].counted_rows != parts[b].counted_rows ? parts[a].counted_rows > parts[b].counted_rows : a < b;
  });
  for (const size_t i : order) {
    if (parts[i].counted_rows > 0) {
      search->run(parts[i], std::span(plan.numbers).subspan(i * plan.terms.size(), plan.terms.size()));
    }
  }
  return best.take();
}

Row SegmentedIndex::rows() const {
  return state_->rows();
}

uint64_t SegmentedIndex::live_rows() const {
  return state_->live_rows;
}

uint64_t SegmentedIndex::rows_with(std::string_view term) const {
  uint64_t rows = 0;
  for (const Part& part : state_->parts) {
    const uint32_t number = part.find(term, term_hash(term));
    if (number != LiveSegment::kNone) rows += part.rows_with(number);
  }
  return rows;
}

uint64_t SegmentedIndex::terms() const {
  uint64_t most = 0;
  uint64_t sum = 0;
  uint64_t parts = 0;
  for (const Part& part : state_->parts) {
    if (part.counted_rows == 0) continue;
    const uint64_t terms = part.terms();
    most = std::max(most, terms);
    sum += terms;
    ++parts;
  }
  return parts < 2 ? sum : most + (sum - most) / 2;
}

size_t SegmentedIndex::memory_bytes() const {
  size_t bytes = 0;
  for (const Part& part : state_->parts) {
    bytes += sizeof(Part) + (part.counted.capacity() + part.gone.capacity()) * sizeof(uint64_t);
    if (part.live) bytes += part.live->memory_bytes();
    if (part.removed) bytes += part.removed->memory_bytes();
    if (part.file && !state_->files.on_disk()) bytes += part.file->file().bytes().size();
  }
  return bytes;
}

size_t SegmentedIndex::file_bytes() const {
  size_t bytes = 0;
  for (const Part& part : state_->parts) {
    if (part.file) bytes += part.file->file().bytes().size();
  }
  return bytes;
}

bool SegmentedIndex::behind() const {
  constexpr uint64_t kSegmentsMax = 8;
  constexpr size_t kBytesMax = size_t{256} << 20;
  return state_->waiting_bytes > kBytesMax || state_->waiting_rows > kSegmentsMax * state_->options.freeze_rows;
}

size_t SegmentedIndex::segments() const {
  return state_->parts.size();
}

}  // namespace tessera::index
