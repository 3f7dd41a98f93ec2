#include "index/vector/sign_codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

namespace tessera::index {
namespace {

constexpr size_t kRounds = 2;
constexpr int kPlanes = 4;
constexpr int kMost = 15;         // of the integers
constexpr float kReach = 2.5F;    // standard deviations that the integers cover: least error for normal components
constexpr float kSpread = 0.27F;  // relative, of what signs keep of a vector's length, times the root of its components

/// SplitMix64 (Steele, Lea and Flood, 2014).
uint64_t mix(uint64_t number) {
  number += 0x9E3779B97F4A7C15U;
  number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9U;
  number = (number ^ (number >> 27)) * 0x94D049BB133111EBU;
  return number ^ (number >> 31);
}

void transform(float* values, size_t count) {
  for (size_t half = 1; half < count; half *= 2) {
    for (size_t at = 0; at < count; at += 2 * half) {
      for (size_t i = at; i < at + half; ++i) {
        const float sum = values[i] + values[i + half];
        values[i + half] = values[i] - values[i + half];
        values[i] = sum;
      }
    }
  }
}

/// How many standard deviations a normal variable is exceeded by with this chance.
double deviations(double chance) {
  double low = -8;
  double high = 8;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::numbers::sqrt2) / 2 > chance ? low : high) = middle;
  }
  return low;
}

}  // namespace

SignRotation::SignRotation(size_t stride) : part_(std::bit_floor(stride)), flips_(kRounds * stride) {
  unit_ = 1 / std::sqrt(static_cast<float>(part_));
  for (size_t at = 0; at < flips_.size(); at += 64) {
    const uint64_t bits = mix(at / 64);
    for (size_t i = 0; i < 64; ++i) flips_[at + i] = static_cast<uint32_t>(bits >> i) << 31;
  }
}

void SignRotation::apply(std::span<float> values) const {
  const size_t stride = values.size();
  for (size_t round = 0; round < kRounds; ++round) {
    const uint32_t* flips = flips_.data() + round * stride;
    for (size_t i = 0; i < stride; ++i) values[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(values[i]) ^ flips[i]);
    for (const size_t first : {size_t{0}, stride - part_}) {
      transform(values.data() + first, part_);
      for (size_t i = first; i < first + part_; ++i) values[i] *= unit_;
      if (part_ == stride) break;
    }
  }
}

void take_signs(std::span<const float> rotated, uint64_t* words) {
  for (size_t at = 0; at < rotated.size(); at += 64) {
    uint64_t word = 0;
    for (size_t i = 0; i < 64; ++i) word |= static_cast<uint64_t>(rotated[at + i] >= 0 ? 1 : 0) << i;
    words[at / 64] = word;
  }
}

SignEstimate::SignEstimate(std::span<const float> unit)
    : stride_(unit.size()), planes_(kPlanes * sign_words(unit.size())) {
  std::vector<float> rotated(unit.begin(), unit.end());
  SignRotation(stride_).apply(rotated);
  const auto components = static_cast<float>(stride_);
  const float step = kReach / std::sqrt(components) / kMost;
  double left_out = 0;
  double along = 0;  // the integers' product with the query: less than 1, for its largest components are cut
  for (size_t i = 0; i < stride_; ++i) {
    // The nearest odd integer v, and (v + 15) / 2 in binary: a set bit j stands for +2^j, another for -2^j.
    const int index = std::clamp(static_cast<int>(std::floor(rotated[i] / step / 2)) + 8, 0, kMost);
    const double value = static_cast<double>(step) * (2 * index - kMost);
    const double rest = double{rotated[i]} - value;
    left_out += rest * rest;
    along += value * rotated[i];
    for (int plane = 0; plane < kPlanes; ++plane) {
      planes_[static_cast<size_t>(plane) * sign_words(stride_) + i / 64] |= uint64_t{(index >> plane) & 1U} << (i % 64);
    }
  }
  while (((size_t{kMost} * stride_) >> shift_) > std::numeric_limits<uint16_t>::max()) ++shift_;
  // A random unit vector's product with its own signs, scaled to length 1.
  const float kept = std::sqrt(2 / std::numbers::pi_v<float>);
  step_ = step / std::sqrt(components) / kept / static_cast<float>(along);
  noise_ = std::sqrt((1 - kept * kept + static_cast<float>(left_out)) / components) / kept;
}

float SignEstimate::cosine(uint16_t distance) const {
  const auto off = static_cast<float>(uint32_t{distance} << shift_);
  return step_ * (static_cast<float>(kMost) * static_cast<float>(stride_) - 2 * off);
}

uint16_t SignEstimate::distance(float cosine, double missed) const {
  const float spread = kSpread * cosine / std::sqrt(static_cast<float>(stride_));
  const float error = std::sqrt(noise_ * noise_ + spread * spread);
  const float least = cosine - static_cast<float>(deviations(missed)) * error;
  const float off = (static_cast<float>(kMost) * static_cast<float>(stride_) - least / step_) / 2;
  const float most = std::numeric_limits<uint16_t>::max();
  return static_cast<uint16_t>(std::clamp(std::ceil(off / static_cast<float>(1U << shift_)), 0.0F, most));
}

}  // namespace tessera::index
