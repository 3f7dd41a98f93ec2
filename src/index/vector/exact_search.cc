#include "index/vector/exact_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>

#include "index/top_rows.h"

namespace tessera::index {
namespace {

constexpr size_t kBatch = 64;
// The upper four bits leave out what is spread evenly over 16 steps: of standard deviation 16 / sqrt(12) a component,
// and as much for a whole row's product with a query of length 1.
constexpr float kCoarseError = 5 * 16 / 3.4641F;
constexpr float kRounding = 2e-5F;  // of the float arithmetic in bounds and in the exact product

}  // namespace

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
  alignas(64) std::array<uint8_t, kDimensionsMax> codes;
  kernels.join(planes.codes(row), planes.stride, codes.data());
  const float dot = kernels.exact(codes.data(), planes.low.at(row), unit, planes.stride);
  return std::clamp(dot * head.scale / 256, -1.0F, 1.0F);
}

/// The query as integers of up to 14 bits, fewer for very many dimensions so that no sum overflows 32 bits.
ExactSearch::ExactSearch(const VectorPlanes& planes, const DotKernels& kernels, std::span<const float> unit, size_t k,
                         bool coarse)
    : planes_(planes), kernels_(kernels), unit_(unit), k_(k), dots_(kBatch), coarse_(coarse) {
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
  if (!coarse) return;
  bytes_.assign(stride, 0);
  byte_scale_ = encode_query(unit, bytes_.data(), byte_query_);
  left_out = 0;
  for (size_t i = 0; i < stride; ++i) {
    const double rest = double{unit[i]} - double{byte_scale_} * bytes_[i];
    left_out += rest * rest;
  }
  byte_error_ = static_cast<float>(std::sqrt(left_out));
}

[[gnu::always_inline]] inline void ExactSearch::judge(Row row, float about, float error) {
  if (about + error < floor_) return;
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

[[gnu::always_inline]] inline void ExactSearch::judge(Row row, int32_t dot) {
  const VectorHead head = *planes_.heads.at(row);
  if (!sound(head)) return;
  judge(row, static_cast<float>(dot) * head.scale * scale_, error_ + head.error + kRounding);
}

[[gnu::always_inline]] inline void ExactSearch::judge_coarsely(Row row, int32_t dot) {
  const VectorHead head = *planes_.heads.at(row);
  if (!sound(head)) return;
  judge(row, static_cast<float>(dot) * head.scale * byte_scale_, byte_error_ + kCoarseError * head.scale);
}

void ExactSearch::flush() {
  if (coarse_) {
    kernels_.coarse(pointers_.data(), pointers_.size(), byte_query_, dots_.data());
    for (size_t i = 0; i < batch_.size(); ++i) judge_coarsely(batch_[i], dots_[i]);
  } else {
    kernels_.gather(pointers_.data(), pointers_.size(), codes_, dots_.data());
    for (size_t i = 0; i < batch_.size(); ++i) judge(batch_[i], dots_[i]);
  }
  distances_ += batch_.size();
  batch_.clear();
  pointers_.clear();
}

[[gnu::always_inline]] inline void ExactSearch::batch(Row row) {
  const SplitCodes codes = planes_.codes(row);
  planes_.prefetch_coarse(row);
  if (!coarse_) {
    const size_t bytes = std::min(planes_.stride / 2, VectorPlanes::kPrefetchBytes);
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(codes.lower + i);
  }
  batch_.push_back(row);
  pointers_.push_back(codes);
  if (batch_.size() == kBatch) flush();
}

void ExactSearch::look_at(Row first, Row end, const uint64_t* bits) {
  if (k_ == 0 || first >= end) return;
  for (Row word = first / 64; word < (size_t{end} + 63) / 64; ++word) {
    uint64_t set = bits[word];
    if (word == first / 64) set &= ~uint64_t{0} << (first % 64);
    if (word == end / 64) set &= (uint64_t{1} << (end % 64)) - 1;
    for (; set != 0; set &= set - 1) batch(static_cast<Row>(word * 64 + static_cast<Row>(std::countr_zero(set))));
  }
  flush();
}

/// Judges what a coarse search left by one byte a component.
void ExactSearch::look_closer() {
  coarse_ = false;
  std::erase_if(candidates_, [this](const Candidate& c) { return c.most < floor_; });
  const std::vector<Candidate> left = std::move(candidates_);
  candidates_.clear();
  least_.clear();
  floor_ = -std::numeric_limits<float>::infinity();
  for (const Candidate& candidate : left) batch(candidate.row);
  flush();
}

std::vector<RowHit> ExactSearch::take() {
  if (coarse_) look_closer();
  std::erase_if(candidates_, [this](const Candidate& c) { return c.most < floor_; });
  std::ranges::sort(candidates_, std::greater<>(), &Candidate::most);
  TopRows best(k_);
  for (const Candidate& candidate : candidates_) {
    if (candidate.most < best.floor()) break;
    best.offer({candidate.row, exact_score(planes_, candidate.row, unit_.data(), kernels_)});
  }
  return best.take();
}

}  // namespace tessera::index
