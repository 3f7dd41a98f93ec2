#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <memory>

#include "index/lexical/lexical_index.h"

namespace tessera::index {
namespace {

constexpr Row kWindowRows = 2048;
constexpr Row kNoRow = std::numeric_limits<Row>::max();

/// The length part of BM25's denominator: tf + offset + slope * length.
struct LengthNorm {
  float offset = 0;
  float slope = 0;
};

/// Walks one term's list forward, a block at a time, with the scores of the current block worked out.
class TermCursor {
 public:
  TermCursor(const QueryTerm& term, const RowTable& rows, LengthNorm norm)
      : list_(*term.list),
        blocks_(term.list->blocks()),
        weight_(term.weight),
        lengths_(rows.lengths.data()),
        norm_(norm) {}

  /// The first block that may hold `row` or a later one becomes the current one; false at the end of the list.
  bool skip_to(Row row) {
    while (block_ < blocks_ && list_.last_row(block_) < row) ++block_;
    return block_ < blocks_;
  }

  /// A row at or above `row` below which this list has nothing; kNoRow at its end. After skip_to(row).
  [[nodiscard]] Row next_possible(Row row) const {
    if (block_ >= blocks_) return kNoRow;
    const Row start = block_ == 0 ? 0 : list_.last_row(block_ - 1) + 1;
    return std::max(row, start);
  }

  /// No row in [from, end) scores above this. After skip_to(from).
  [[nodiscard]] float bound_until(Row end) const {
    float best = 0;
    for (size_t b = block_; b < blocks_; ++b) {
      if (b > 0 && list_.last_row(b - 1) + 1 >= end) break;
      const PostingList::Bound bound = list_.bound(b);
      best = std::max(best, score(bound.tf_max, bound.length_min));
    }
    return best;
  }

  /// Calls add(row, score) for each row in [from, end).
  template <class Add>
  void scan(Row from, Row end, Add&& add) {
    while (skip_to(from)) {
      if (decoded_ != block_) {
        if (next_possible(from) >= end) return;
        decode();
      }
      while (at_ < count_ && block_rows_[at_] < from) ++at_;
      for (; at_ < count_; ++at_) {
        if (block_rows_[at_] >= end) return;
        add(block_rows_[at_], scores_[at_]);
      }
      ++block_;
    }
  }

  /// The row's score, 0 when the list does not have it. Rows are asked in ascending order.
  float score_of(Row row) {
    if (!skip_to(row)) return 0;
    if (decoded_ != block_) {
      if (next_possible(row) > row) return 0;
      decode();
    }
    if (block_rows_[at_] < row) {
      const Row* const begin = block_rows_.data();
      at_ = static_cast<size_t>(std::lower_bound(begin + at_, begin + count_, row) - begin);
    }
    return block_rows_[at_] == row ? scores_[at_] : 0;
  }

 private:
  [[nodiscard]] float score(uint32_t tf, uint32_t length) const {
    const auto frequency = static_cast<float>(tf);
    return weight_ * frequency / (frequency + (norm_.offset + norm_.slope * static_cast<float>(length)));
  }

  void decode() {
    alignas(64) std::array<uint32_t, kBlockPostings> tfs;
    count_ = list_.decode(block_, block_rows_.data(), tfs.data());
    for (size_t i = 0; i < count_; ++i) scores_[i] = score(tfs[i], lengths_[block_rows_[i]]);
    decoded_ = block_;
    at_ = 0;
  }

  const PostingList& list_;
  size_t blocks_;
  float weight_;
  const uint32_t* lengths_;
  LengthNorm norm_;
  size_t block_ = 0;
  size_t decoded_ = std::numeric_limits<size_t>::max();
  size_t at_ = 0;
  size_t count_ = 0;
  alignas(64) std::array<Row, kBlockPostings> block_rows_;
  alignas(64) std::array<float, kBlockPostings> scores_;
};

/// Scores a window of rows at a time. Terms keep one fixed order (heaviest first) and every row adds them up in that
/// order, so that what pruning skips never changes a sum.
class WindowScorer {
 public:
  WindowScorer(const RowTable& rows, std::span<const QueryTerm> terms, RowFilter& filter, TopK& best)
      : rows_(rows),
        filter_(filter),
        best_(best),
        rest_(terms.size() + 1),
        slack_(1.0 + 1e-6 * static_cast<double>(terms.size() + 8)) {
    const double average =
        rows.live_rows == 0 ? 1 : static_cast<double>(rows.live_length) / static_cast<double>(rows.live_rows);
    const LengthNorm norm{static_cast<float>(Bm25::kK1 * (1 - Bm25::kB)),
                          static_cast<float>(Bm25::kK1 * Bm25::kB / std::max(average, 1e-9))};
    cursors_.reserve(terms.size());
    for (const QueryTerm& term : terms) cursors_.emplace_back(term, rows, norm);
  }

  void run(Pruning pruning) {
    Row from = 0;
    while ((from = next_row(from)) < rows_.size()) {
      const Row end = std::min<Row>(rows_.size(), from + kWindowRows);
      const size_t essential = pruning == Pruning::on ? bound_window(end) : cursors_.size();
      if (essential > 0) score_window(from, end, essential);
      from = end;
    }
  }

 private:
  /// The first row at or above `from` that some list may have.
  Row next_row(Row from) {
    Row next = kNoRow;
    for (TermCursor& cursor : cursors_) {
      cursor.skip_to(from);
      next = std::min(next, cursor.next_possible(from));
    }
    return next;
  }

  /// Fills rest_: what the terms from i on can add to a row. Returns how many leading terms are essential: a row
  /// without any of them cannot reach the top.
  size_t bound_window(Row end) {
    rest_[cursors_.size()] = 0;
    for (size_t i = cursors_.size(); i-- > 0;) rest_[i] = rest_[i + 1] + double{cursors_[i].bound_until(end)} * slack_;
    size_t essential = cursors_.size();
    while (essential > 0 && rest_[essential - 1] < best_.floor()) --essential;
    return essential;
  }

  void score_window(Row from, Row end, size_t essential) {
    for (size_t i = 0; i < essential; ++i) {
      cursors_[i].scan(from, end, [&](Row row, float score) {
        const Row at = row - from;
        sums_[at] += score;
        touched_[at / 64] |= uint64_t{1} << (at % 64);
      });
    }
    for (size_t word = 0; word < touched_.size(); ++word) {
      while (touched_[word] != 0) {
        const auto at = static_cast<Row>(word * 64 + static_cast<size_t>(std::countr_zero(touched_[word])));
        touched_[word] &= touched_[word] - 1;
        const float sum = sums_[at];
        sums_[at] = 0;
        finish_row(from + at, sum, essential);
      }
    }
  }

  void finish_row(Row row, float sum, size_t essential) {
    for (size_t i = essential; i < cursors_.size(); ++i) {
      if (double{sum} * slack_ + rest_[i] < best_.floor()) return;
      sum += cursors_[i].score_of(row);
    }
    if (sum < best_.floor() || !filter_.accepts(row)) return;
    best_.offer({rows_.chunk_keys[row], rows_.slots[rows_.documents[row]].key, sum});
  }

  const RowTable& rows_;
  RowFilter& filter_;
  TopK& best_;
  std::vector<TermCursor> cursors_;
  std::vector<double> rest_;
  double slack_;  // bounds and sums are rounded in different orders
  std::array<float, kWindowRows> sums_{};
  std::array<uint64_t, kWindowRows / 64> touched_{};
};

}  // namespace

std::vector<core::IndexHit> score_terms(const RowTable& rows, std::span<const QueryTerm> terms, size_t k,
                                        RowFilter& filter, Pruning pruning) {
  TopK best(std::min<size_t>(k, rows.live_rows));
  if (k > 0 && !terms.empty() && rows.live_rows > 0) {
    const auto scorer = std::make_unique<WindowScorer>(rows, terms, filter, best);
    scorer->run(pruning);
  }
  return best.take();
}

}  // namespace tessera::index
