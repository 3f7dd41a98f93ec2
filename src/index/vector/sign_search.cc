#include "index/vector/sign_search.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>

#include "index/vector/exact_search.h"
#include "index/vector/sign_kernels.h"

namespace tessera::index {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kFewTimes = 6;    // a row's signs alone cost so many of those read in order
constexpr size_t kSamples = 1024;  // rows whose distances tell where the nearest begin
// So many rows are looked at first, to learn what the k-th is like; more of them tell it better.
constexpr size_t kFirstTimes = 4;
constexpr size_t kFirstSpare = 64;
// Standard deviations of the difference of two rows' errors, in steps of their codes: rounding to a sixteenth of them,
// or to one and the query's to about as much.
constexpr float kCoarseMargin = 2 * 16 * 1.41F / 3.46F;
constexpr float kByteMargin = 4 * 1.41F * 1.41F / 3.46F;
constexpr int kSteps = 3;  // in which the rest is looked at
constexpr uint16_t kFarthest = std::numeric_limits<uint16_t>::max();

/// Copies the signs of the first `count` rows one after the other; asks for those of the next in good time. kWords: how
/// many a row has, 0: any number.
template <size_t kWords>
void bring_together(const VectorPlanes& planes, std::span<const Row> rows, size_t count, uint64_t* to) {
  constexpr size_t kAhead = 32;
  const size_t words = kWords > 0 ? kWords : sign_words(planes.stride);
  for (size_t i = 0; i < count; ++i) {
    if (i + kAhead < rows.size()) __builtin_prefetch(planes.signs.at(rows[i + kAhead]));
    std::memcpy(to + i * words, planes.signs.at(rows[i]), words * sizeof(uint64_t));
  }
}

}  // namespace

SignSearch::SignSearch(const VectorPlanes& planes, const DotKernels& kernels, std::span<const float> unit)
    : planes_(planes), kernels_(kernels), unit_(unit), estimate_(unit), bytes_(unit.size()), dots_(kBatch) {
  query_scale_ = encode_query(unit, bytes_.data(), query_);
  batch_.reserve(kBatch);
  pointers_.reserve(kBatch);
}

uint64_t SignSearch::places(size_t word) const {
  if (rows_.empty()) return bits_[word];
  return (word + 1) * 64 <= count_ ? ~uint64_t{0} : (uint64_t{1} << (count_ % 64)) - 1;
}

/// A distance that about kFirstTimes k of the selected rows do not exceed.
uint16_t SignSearch::first_limit(size_t k, size_t selected) const {
  const size_t wanted = kFirstTimes * k + kFirstSpare;
  if (selected <= wanted) return kFarthest;
  std::vector<uint16_t> sample;
  sample.reserve(2 * kSamples);
  // Words rather than rows: neighbours in a word are as good as any where rows come in no order, and enough words
  // apart where they do.
  const size_t words = (count_ + 63) / 64;
  const size_t step = std::max<size_t>(1, selected / kSamples);
  for (size_t word = 0; word < words; word += step) {
    for (uint64_t set = places(word); set != 0; set &= set - 1) {
      sample.push_back(distances_[word * 64 + static_cast<size_t>(std::countr_zero(set))]);
    }
  }
  const size_t rank = sample.size() * wanted / selected;
  if (rank >= sample.size()) return kFarthest;
  std::ranges::nth_element(sample, sample.begin() + static_cast<ptrdiff_t>(rank));
  return sample[rank];
}

void SignSearch::flush() {
  kernels_.coarse(pointers_.data(), pointers_.size(), query_, dots_.data());
  for (size_t i = 0; i < batch_.size(); ++i) {
    const VectorHead head = *planes_.heads.at(batch_[i]);
    const float score = static_cast<float>(dots_[i]) * head.scale * query_scale_;
    if (score >= floor_ && sound(head)) scored_.push_back({batch_[i], score});
  }
  looked_at_ += batch_.size();
  batch_.clear();
  pointers_.clear();
}

/// Scores the selected rows with distances above one limit (at any distance, if it is the first time) and up to
/// another.
void SignSearch::score(uint16_t above, uint16_t limit, bool first) {
  const SignKernels& kernels = best_sign_kernels();
  constexpr size_t kWords = 32;
  uint64_t near[kWords];
  uint64_t done[kWords] = {};
  const size_t words = (count_ + 63) / 64;
  for (size_t word = 0; word < words; word += kWords) {
    const size_t count = std::min(kWords, words - word);
    kernels.at_most(distances_.get() + word * 64, count, limit, near);
    if (!first) kernels.at_most(distances_.get() + word * 64, count, above, done);
    for (size_t i = 0; i < count; ++i) {
      for (uint64_t set = near[i] & ~done[i] & places(word + i); set != 0; set &= set - 1) {
        const Row row = row_at((word + i) * 64 + static_cast<size_t>(std::countr_zero(set)));
        planes_.prefetch_coarse(row);
        batch_.push_back(row);
        pointers_.push_back(planes_.codes(row));
        if (batch_.size() == kBatch) flush();
      }
    }
  }
  flush();
}

/// Leaves those that are among the best k, or come so close that an error of `margin`, in steps of a row's codes, could
/// decide; what is scored from now on must come as close. Returns the score of the k-th.
float SignSearch::keep(std::vector<RowHit>& hits, size_t k, float margin) {
  if (hits.size() < k) return floor_;
  const auto kth = hits.begin() + static_cast<ptrdiff_t>(k - 1);
  std::ranges::nth_element(hits, kth, std::greater<>(), &RowHit::score);
  const float score = kth->score;
  floor_ = score - margin * planes_.heads.at(kth->row)->scale;
  const auto end = std::partition(kth + 1, hits.end(), [&](const RowHit& hit) { return hit.score >= floor_; });
  hits.erase(end, hits.end());
  return score;
}

/// Orders the best by all of the first byte, and the best of these by both.
std::vector<RowHit> SignSearch::best(size_t k) {
  std::vector<RowHit> hits = std::move(scored_);
  keep(hits, k, kCoarseMargin);
  for (size_t at = 0; at < hits.size(); at += kBatch) {
    const size_t count = std::min(kBatch, hits.size() - at);
    pointers_.clear();
    for (size_t i = at; i < at + count; ++i) pointers_.push_back(planes_.codes(hits[i].row));
    kernels_.dots(pointers_.data(), count, query_, dots_.data());
    for (size_t i = 0; i < count; ++i) {
      hits[at + i].score = static_cast<float>(dots_[i]) * planes_.heads.at(hits[at + i].row)->scale * query_scale_;
    }
  }
  pointers_.clear();
  keep(hits, k, kByteMargin);
  for (RowHit& hit : hits) hit.score = exact_score(planes_, hit.row, unit_.data(), kernels_);
  std::ranges::sort(
      hits, [](const RowHit& a, const RowHit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; });
  hits.resize(std::min(hits.size(), k));
  return hits;
}

void SignSearch::list_selected(size_t selected) {
  rows_.reserve(selected);
  for (size_t word = 0; word < (size_t{planes_.rows} + 63) / 64; ++word) {
    for (uint64_t set = bits_[word]; set != 0; set &= set - 1) {
      rows_.push_back(static_cast<Row>(word * 64 + static_cast<size_t>(std::countr_zero(set))));
    }
  }
}

void SignSearch::look_at_all() {
  const SignKernels& kernels = best_sign_kernels();
  const SignQuery query = estimate_.query();
  // Where nothing is selected for long, nothing is read.
  constexpr Row kPiece = 4096;
  for (Row first = 0; first < planes_.rows; first += kPiece) {
    const Row end = std::min(planes_.rows, first + kPiece);
    const uint64_t* begin = bits_ + first / 64;
    if (std::all_of(begin, begin + (end - first + 63) / 64, [](uint64_t word) { return word == 0; })) {
      std::fill(distances_.get() + first, distances_.get() + end, kFarthest);
      continue;
    }
    kernels.distances(planes_.signs.at(first), end - first, query, distances_.get() + first);
  }
}

/// Brings the signs of the selected rows together, as the kernels want them.
void SignSearch::look_at_selected() {
  const SignKernels& kernels = best_sign_kernels();
  const SignQuery query = estimate_.query();
  std::vector<uint64_t> together(kBatch * query.words);
  for (size_t first = 0; first < rows_.size(); first += kBatch) {
    const size_t count = std::min(kBatch, rows_.size() - first);
    const std::span rows = std::span(rows_).subspan(first);
    switch (query.words) {
      case 2:
        bring_together<2>(planes_, rows, count, together.data());
        break;
      case 4:
        bring_together<4>(planes_, rows, count, together.data());
        break;
      case 6:
        bring_together<6>(planes_, rows, count, together.data());
        break;
      default:
        bring_together<0>(planes_, rows, count, together.data());
    }
    kernels.distances(together.data(), count, query, distances_.get() + first);
  }
}

std::vector<RowHit> SignSearch::search(size_t k, double missed, const uint64_t* bits, size_t selected) {
  bits_ = bits;
  rows_.clear();
  scored_.clear();
  floor_ = -std::numeric_limits<float>::infinity();
  looked_at_ = 0;
  if (selected == 0 || k == 0) return {};
  const bool few = selected * kFewTimes < planes_.rows;
  if (few) list_selected(selected);
  count_ = few ? rows_.size() : planes_.rows;
  if (count_ == 0) return {};
  const size_t whole = (count_ + 63) / 64 * 64;
  distances_ = std::make_unique_for_overwrite<uint16_t[]>(whole);
  std::fill(distances_.get() + count_, distances_.get() + whole, kFarthest);
  few ? look_at_selected() : look_at_all();
  uint16_t limit = first_limit(k, selected);
  score(0, limit, true);
  while (scored_.size() < k && limit != kFarthest) {
    const auto wider = static_cast<uint16_t>(std::min<uint32_t>(kFarthest, limit + limit / 8U + 1));
    score(limit, wider, false);
    limit = wider;
  }
  if (scored_.size() < k) return best(k);
  // Half of the way, then half of what is left and so on: the k-th becomes better on it, and the way shorter.
  for (int step = 0; step < kSteps; ++step) {
    const float kth = keep(scored_, k, kCoarseMargin);
    const uint16_t far = estimate_.distance(kth, missed);
    if (far <= limit) break;
    const auto next = static_cast<uint16_t>(step + 1 < kSteps ? limit + (far - limit + 1) / 2 : far);
    score(limit, next, false);
    limit = next;
  }
  return best(k);
}

}  // namespace tessera::index
