#include "index/lexical/part_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "index/varint.h"

namespace tessera::index {
namespace {

constexpr double kRestShare = 0.5;

/// The smallest score that may still reach `floor` with `rest` to come.
float limit_of(float floor, double rest, double slack) {
  constexpr float kSome = std::numeric_limits<float>::denorm_min();
  if (!(floor > 0)) return kSome;
  const double limit = (double{floor} - rest) / slack;
  return limit <= 0 ? kSome : std::max(kSome, std::nextafter(static_cast<float>(limit), 0.0F));
}

/// A bit for each of 64 sums that reach the limit.
uint64_t at_least(const float* sums, float limit) {
  uint64_t bits = 0;
#if defined(__x86_64__)
  const __m128 limits = _mm_set1_ps(limit);
  for (size_t i = 0; i < 64; i += 4) {
    bits |= static_cast<uint64_t>(_mm_movemask_ps(_mm_cmpge_ps(_mm_load_ps(sums + i), limits))) << i;
  }
#else
  for (size_t i = 0; i < 64; ++i) bits |= uint64_t{sums[i] >= limit} << i;
#endif
  return bits;
}

}  // namespace

PartSearch::PartSearch(const QueryPlan& plan, const RowSelection& selection, double average_length, Pruning pruning,
                       TopRows& best)
    : plan_(plan),
      selection_(selection),
      average_length_(std::max(average_length, 1e-9)),
      pruning_(pruning),
      best_(best),
      norm_{static_cast<float>(Bm25::kK1 * (1 - Bm25::kB)), static_cast<float>(Bm25::kK1 * Bm25::kB / average_length_)},
      slack_(1.0 + 1e-6 * static_cast<double>(plan.terms.size() + 8)) {}

void PartSearch::run(const Part& part, std::span<const uint32_t> numbers) {
  if (!open(part, numbers)) return;
  const Row rows = part.rows();
  Row from = 0;
  while ((from = next_row(from)) < rows) {
    const Row end = std::min<Row>(rows, from + kWindowRows);
    search_window(from, end);
    from = end;
  }
}

bool PartSearch::open(const Part& part, std::span<const uint32_t> numbers) {
  part_ = &part;
  cursors_.clear();
  drivers_.clear();
  excluded_.clear();
  places_.assign(plan_.terms.size(), QueryPlan::kNoTerm);
  cursors_.reserve(plan_.terms.size());
  for (size_t t = 0; t < plan_.terms.size(); ++t) {
    if (numbers[t] == QueryPlan::kNoTerm || plan_.terms[t].count == 0) continue;
    places_[t] = static_cast<uint32_t>(cursors_.size());
    cursors_.emplace_back(part, numbers[t], plan_.terms[t].weight, norm_);
  }
  must_.assign(cursors_.size(), 0);
  groups_.assign(cursors_.size(), 0);
  rest_.assign(cursors_.size() + 1, 0);
  if (cursors_.empty() || !open_required(numbers)) return false;
  for (const uint32_t t : plan_.excluded) {
    if (numbers[t] != QueryPlan::kNoTerm) excluded_.emplace_back(part, numbers[t], 0.0F, norm_);
  }
  phrases_.clear();
  excluded_phrases_.clear();
  for (const QueryPlan::Phrase& phrase : plan_.phrases) {
    std::vector<uint32_t> codes;
    for (const uint32_t t : phrase.terms) {
      if (numbers[t] != QueryPlan::kNoTerm) codes.push_back(numbers[t] + 1);
    }
    if (codes.size() == phrase.terms.size())
      (phrase.excluded ? excluded_phrases_ : phrases_).push_back(std::move(codes));
  }
  return true;
}

/// Marks what each row must have, and chooses the rarest of it to drive the search; false if this part lacks some of
/// it.
bool PartSearch::open_required(std::span<const uint32_t> numbers) {
  all_groups_ = 0;
  uint64_t next_group = 1;
  uint64_t fewest = std::numeric_limits<uint64_t>::max();
  const std::vector<uint32_t>* driver = nullptr;
  for (const auto& group : plan_.required) {
    uint64_t rows = 0;
    for (const uint32_t t : group) {
      if (numbers[t] == QueryPlan::kNoTerm) continue;
      rows += part_->rows_with(numbers[t]);
      if (group.size() == 1) {
        must_[places_[t]] = 1;
      } else {
        groups_[places_[t]] |= next_group;
      }
    }
    if (rows == 0) return false;
    if (group.size() > 1) {
      all_groups_ |= next_group;
      next_group <<= 1;
    }
    if (rows < fewest) {
      fewest = rows;
      driver = &group;
    }
  }
  if (driver == nullptr) return true;
  for (const uint32_t t : *driver) {
    if (numbers[t] != QueryPlan::kNoTerm) drivers_.emplace_back(*part_, numbers[t], 0.0F, norm_);
  }
  return true;
}

/// The first row at or above `from` that a list may have and that, if rows are selected, is one of them.
Row PartSearch::next_row(Row from) {
  std::vector<ListCursor>& lists = drivers_.empty() ? cursors_ : drivers_;
  const Row rows = part_->rows();
  while (from < rows) {
    Row next = kNoRow;
    for (ListCursor& cursor : lists) {
      cursor.seek(from);
      next = std::min(next, cursor.next_possible(from));
      if (next == from) break;
    }
    if (next >= rows) return kNoRow;
    if (!selection_.filtered) return next;
    size_t at = size_t{part_->first} + next;
    const size_t end = size_t{part_->first} + rows;
    uint64_t word = selection_.bits[at / 64] >> (at % 64);
    while (word == 0) {
      at = (at / 64 + 1) * 64;
      if (at >= end) return kNoRow;
      word = selection_.bits[at / 64];
    }
    at += static_cast<size_t>(std::countr_zero(word));
    if (at >= end) return kNoRow;
    const auto selected = static_cast<Row>(at - part_->first);
    if (selected == next) return next;
    from = selected;
  }
  return kNoRow;
}

void PartSearch::load_selection(Row from, Row end) {
  const size_t first = size_t{part_->first} + from;
  const unsigned shift = first % 64;
  const size_t rows = end - from;
  selected_count_ = 0;
  for (size_t w = 0; w < kWords; ++w) {
    uint64_t word = 0;
    if (w * 64 < rows) {
      const size_t at = first / 64 + w;
      word = selection_.bits[at] >> shift;
      if (shift != 0 && at + 1 < selection_.bits.size()) word |= selection_.bits[at + 1] << (64 - shift);
      if (rows - w * 64 < 64) word &= (uint64_t{1} << (rows - w * 64)) - 1;
    }
    selected_[w] = word;
    selected_count_ += static_cast<uint32_t>(std::popcount(word));
  }
}

/// Fills rest_: what the terms from i on can add to a row of the window. Returns how many leading terms are essential:
/// a row without any of them cannot reach the top.
size_t PartSearch::bound_window(Row from, Row end) {
  const ImpactScale scale(part_->live ? part_->live->reference_length() : part_->file->reference_length(),
                          average_length_);
  for (size_t i = cursors_.size(); i-- > 0;) {
    cursors_[i].seek(from);
    const ImpactBound bound = cursors_[i].bound_until(end);
    rest_[i] = rest_[i + 1] + (bound == 0 ? 0 : scale(bound) * cursors_[i].weight() * slack_);
  }
  size_t essential = cursors_.size();
  while (essential > 0 && rest_[essential - 1] < best_.floor()) --essential;
  if (essential == 0) return 0;
  // Adding up a few terms more leaves far fewer rows to look the others up for.
  while (essential < cursors_.size() && rest_[essential] > kRestShare * double{best_.floor()}) ++essential;
  return essential;
}

void PartSearch::search_window(Row from, Row end) {
  constexpr uint32_t kLookUpCost = 12;  // in postings added up
  size_t essential = cursors_.size();
  if (pruning_ == Pruning::on) {
    essential = bound_window(from, end);
    if (essential == 0) return;
  } else {
    std::ranges::fill(rest_, std::numeric_limits<double>::infinity());
  }
  load_selection(from, end);
  candidates_.clear();
  if (!drivers_.empty()) {
    std::array<uint64_t, kWords> bits{};
    for (ListCursor& driver : drivers_) driver.mark_rows(from, end, bits.data());
    for (size_t w = 0; w < kWords; ++w) selected_[w] &= bits[w];
    collect_marked(from);
    add_terms(0);
  } else {
    uint64_t work = 0;
    if (selection_.filtered) {
      for (size_t i = 0; i < essential; ++i) {
        cursors_[i].seek(from);
        work += uint64_t{cursors_[i].blocks_until(end)} * kListBlock;
      }
    }
    if (selection_.filtered && uint64_t{selected_count_} * essential * kLookUpCost < work) {
      collect_marked(from);
      add_terms(0);
    } else {
      collect_scored(from, end, essential);
      add_terms(essential);
    }
  }
  exclude();
  offer();
}

/// Adds up the essential terms and keeps the selected rows that still have a chance.
void PartSearch::collect_scored(Row from, Row end, size_t essential) {
  uint64_t touched = 0;
  for (size_t i = 0; i < essential; ++i) touched |= cursors_[i].add_scores(from, end, sums_.data());
  const float limit = limit_of(best_.floor(), rest_[essential], slack_);
  for (; touched != 0; touched &= touched - 1) {
    const auto word = static_cast<size_t>(std::countr_zero(touched));
    float* const sums = sums_.data() + word * 64;
    for (uint64_t reached = at_least(sums, limit) & selected_[word]; reached != 0; reached &= reached - 1) {
      const auto bit = static_cast<size_t>(std::countr_zero(reached));
      candidates_.push_back({from + static_cast<Row>(word * 64 + bit), sums[bit], 0});
    }
    std::memset(sums, 0, 64 * sizeof(float));
  }
}

/// All selected rows of the window, with nothing added up yet.
void PartSearch::collect_marked(Row from) {
  for (size_t word = 0; word < kWords; ++word) {
    for (uint64_t bits = selected_[word]; bits != 0; bits &= bits - 1) {
      candidates_.push_back({from + static_cast<Row>(word * 64 + static_cast<size_t>(std::countr_zero(bits))), 0, 0});
    }
  }
}

/// Adds the terms from `first` on to the candidates, dropping those that cannot reach the top any more or lack a
/// required term.
void PartSearch::add_terms(size_t first) {
  const ImpactScale scale(part_->live ? part_->live->reference_length() : part_->file->reference_length(),
                          average_length_);
  for (size_t i = first; i < cursors_.size() && !candidates_.empty(); ++i) {
    ListCursor& cursor = cursors_[i];
    const double floor = best_.floor();
    const bool prune = pruning_ == Pruning::on && floor > 0;
    const bool filter = prune && rest_[i] < floor;
    const float limit = filter ? limit_of(best_.floor(), rest_[i], slack_) : 0;
    const double after = rest_[i + 1];
    size_t kept = 0;
    for (Candidate& candidate : candidates_) {
      if (filter && candidate.sum < limit) continue;
      if (prune && (double{candidate.sum} + cursor.bound_of(candidate.row, scale)) * slack_ + after < floor) continue;
      if (cursor.find(candidate.row)) {
        candidate.sum += cursor.score();
        candidate.groups |= groups_[i];
      } else if (must_[i] != 0) {
        continue;
      }
      candidates_[kept++] = candidate;
    }
    candidates_.resize(kept);
  }
}

void PartSearch::exclude() {
  std::erase_if(candidates_, [&](const Candidate& candidate) {
    return !(candidate.sum > 0) || candidate.sum < best_.floor() || (candidate.groups & all_groups_) != all_groups_;
  });
  for (ListCursor& cursor : excluded_) {
    std::erase_if(candidates_, [&](const Candidate& candidate) { return cursor.find(candidate.row); });
  }
}

void PartSearch::offer() {
  for (const Candidate& candidate : candidates_) {
    if (candidate.sum < best_.floor()) continue;
    const auto has = [&](const auto& codes) { return has_phrase(candidate.row, codes); };
    if (!std::ranges::all_of(phrases_, has) || std::ranges::any_of(excluded_phrases_, has)) continue;
    best_.offer({part_->first + candidate.row, candidate.sum});
  }
}

bool PartSearch::has_phrase(Row row, std::span<const uint32_t> codes) {
  codes_.clear();
  VarintReader reader(part_->sequence(row));
  while (!reader.at_end()) codes_.push_back(reader.next());
  return !std::ranges::search(codes_, codes).empty();
}

}  // namespace tessera::index
