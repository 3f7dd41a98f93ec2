#include "index/vector/exact_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

namespace tessera::index {
namespace {

constexpr size_t kWindow = 256;      // rows scanned at a time
constexpr size_t kWindowDense = 96;  // of which so many are selected; below, gathering them is cheaper
constexpr size_t kBatch = 64;
constexpr float kRounding = 2e-5F;  // of the float arithmetic in bounds and in the exact product

bool ranks_above(const RowHit& a, const RowHit& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

}  // namespace

void BestRows::offer(RowHit hit) {
  if (k_ == 0) return;
  if (heap_.size() < k_) {
    heap_.push_back(hit);
    std::ranges::push_heap(heap_, ranks_above);
  } else if (ranks_above(hit, heap_.front())) {
    std::ranges::pop_heap(heap_, ranks_above);
    heap_.back() = hit;
    std::ranges::push_heap(heap_, ranks_above);
  }
  if (heap_.size() == k_) floor_ = heap_.front().score;
}

std::vector<RowHit> BestRows::take() {
  std::ranges::sort_heap(heap_, ranks_above);
  return std::move(heap_);
}

std::vector<float> unit_query(std::span<const float> vector, size_t stride) {
  double squares = 0;
  for (const float x : vector) squares += double{x} * x;
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm) || norm < 1e-30) return {};
  std::vector<float> unit(stride, 0.0F);
  for (size_t i = 0; i < vector.size(); ++i) unit[i] = static_cast<float>(vector[i] / norm);
  return unit;
}

float exact_score(const VectorPlanes& planes, Row row, const float* unit, const DotKernels& kernels) {
  const VectorHead head = *planes.heads.at(row);
  if (!sound(head)) return 0;
  const float dot = kernels.exact(planes.codes.at(row), planes.low.at(row), unit, planes.stride);
  return std::clamp(dot * head.scale / 256, -1.0F, 1.0F);
}

/// The query as integers of up to 14 bits, fewer for very many dimensions so that no sum overflows 32 bits.
ExactSearch::ExactSearch(const VectorPlanes& planes, const DotKernels& kernels, std::span<const float> unit, size_t k)
    : planes_(planes), kernels_(kernels), unit_(unit), k_(k), dots_(kWindow) {
  const size_t stride = unit.size();
  values_.assign(stride, 0);
  high_.assign(stride, 0);
  low_.assign(stride, 0);
  float largest = 0;
  for (const float x : unit) largest = std::max(largest, std::fabs(x));
  const double most = std::min(8000.0, 2147483647.0 / (128.0 * static_cast<double>(stride)));
  scale_ = static_cast<float>(largest / std::floor(most));
  double left_out = 0;
  int32_t sum = 0;
  for (size_t i = 0; i < stride; ++i) {
    const auto value = static_cast<int>(std::lround(unit[i] / scale_));
    const int high = (value + 64) >> 7;
    values_[i] = static_cast<int16_t>(value);
    high_[i] = static_cast<int8_t>(high);
    low_[i] = static_cast<int8_t>(value - high * 128);
    const double rest = double{unit[i]} - double{scale_} * value;
    left_out += rest * rest;
    sum += value;
  }
  error_ = static_cast<float>(std::sqrt(left_out));
  codes_ = {values_.data(), high_.data(), low_.data(), sum, stride};
}

[[gnu::always_inline]] inline void ExactSearch::judge(Row row, int32_t dot) {
  const VectorHead head = *planes_.heads.at(row);
  const float about = static_cast<float>(dot) * head.scale * scale_;
  const float error = error_ + head.error + kRounding;
  if (about + error < floor_ || !sound(head)) return;
  candidates_.push_back({row, about + error});
  const float least = about - error;
  if (least_.size() < k_) {
    least_.push_back(least);
    std::ranges::push_heap(least_, std::greater<>());
  } else if (least > least_.front()) {
    std::ranges::pop_heap(least_, std::greater<>());
    least_.back() = least;
    std::ranges::push_heap(least_, std::greater<>());
  }
  if (least_.size() == k_) floor_ = least_.front();
  if (candidates_.size() >= prune_at_) {
    std::erase_if(candidates_, [this](const Candidate& c) { return c.most < floor_; });
    prune_at_ = std::max<size_t>(4096, candidates_.size() * 2);
  }
}

void ExactSearch::flush() {
  kernels_.gather(pointers_.data(), pointers_.size(), codes_, dots_.data());
  for (size_t i = 0; i < batch_.size(); ++i) judge(batch_[i], dots_[i]);
  distances_ += batch_.size();
  batch_.clear();
  pointers_.clear();
}

void ExactSearch::look_at_all(Row first, size_t count, const uint64_t* bits) {
  kernels_.scan(planes_.codes.at(first), count, codes_, dots_.data());
  distances_ += count;
  for (size_t i = 0; i < count; ++i) {
    const auto row = static_cast<Row>(first + i);
    if (((bits[row / 64] >> (row % 64)) & 1) != 0) judge(row, dots_[i]);
  }
}

void ExactSearch::look_at(Row first, Row end, const uint64_t* bits) {
  if (k_ == 0) return;
  while (first < end) {
    const Row next = std::min<Row>(end, (first / kWindow + 1) * kWindow);
    uint64_t words[kWindow / 64] = {};
    size_t selected = 0;
    for (Row word = first / 64; word < (next + 63) / 64; ++word) {
      uint64_t set = bits[word];
      if (word == first / 64) set &= ~uint64_t{0} << (first % 64);
      if (word == next / 64) set &= (uint64_t{1} << (next % 64)) - 1;
      words[word % (kWindow / 64)] = set;
      selected += static_cast<size_t>(std::popcount(set));
    }
    if (selected >= kWindowDense) {
      look_at_all(first, next - first, bits);
    } else if (selected > 0) {
      for (size_t word = 0; word < kWindow / 64; ++word) {
        for (uint64_t set = words[word]; set != 0; set &= set - 1) {
          const auto row =
              static_cast<Row>(first / kWindow * kWindow + word * 64 + static_cast<size_t>(std::countr_zero(set)));
          const uint8_t* codes = planes_.codes.at(row);
          for (size_t i = 0; i < std::min<size_t>(planes_.stride, 512); i += 64) __builtin_prefetch(codes + i);
          __builtin_prefetch(planes_.heads.at(row));
          batch_.push_back(row);
          pointers_.push_back(codes);
          if (batch_.size() == kBatch) flush();
        }
      }
    }
    first = next;
  }
  flush();
}

std::vector<RowHit> ExactSearch::take() {
  std::erase_if(candidates_, [this](const Candidate& c) { return c.most < floor_; });
  std::ranges::sort(candidates_, std::greater<>(), &Candidate::most);
  BestRows best(k_);
  for (const Candidate& candidate : candidates_) {
    if (candidate.most < best.floor()) break;
    best.offer({candidate.row, exact_score(planes_, candidate.row, unit_.data(), kernels_)});
  }
  return best.take();
}

}  // namespace tessera::index
