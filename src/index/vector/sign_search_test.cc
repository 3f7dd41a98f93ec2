#include "index/vector/sign_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "index/vector/exact_search.h"
#include "index/vector/sign_kernels.h"
#include "index/vector/vector_index_model.h"

namespace tessera::index {
namespace {

Vector unit_vector(size_t dimensions, std::mt19937& random) {
  std::normal_distribution<float> normal;
  Vector vector(dimensions);
  for (float& x : vector) x = normal(random);
  const float length = std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0F));
  for (float& x : vector) x /= length;
  return vector;
}

TEST(SignRotation, KeepsLengthsAndProductsAndSpreadsSpikes) {
  std::mt19937 random(1);
  for (const size_t stride : {128U, 256U, 384U, 640U, 1536U}) {
    const SignRotation rotation(stride);
    const Vector a = unit_vector(stride, random);
    Vector spike(stride);
    spike[stride - 1] = 1;
    Vector turned = a;
    Vector spread = spike;
    rotation.apply(turned);
    rotation.apply(spread);
    EXPECT_NEAR(std::inner_product(turned.begin(), turned.end(), turned.begin(), 0.0F), 1, 1e-4);
    EXPECT_NEAR(std::inner_product(turned.begin(), turned.end(), spread.begin(), 0.0F), a[stride - 1], 1e-4);
    EXPECT_LT(*std::ranges::max_element(spread), 6 / std::sqrt(static_cast<float>(stride)));
  }
}

TEST(SignKernels, AllKindsGiveTheSameNumbers) {
  std::mt19937_64 random(2);
  for (const size_t words : {2U, 4U, 6U, 8U, 12U, 24U, 256U}) {
    constexpr size_t kRows = 37;
    std::vector<uint64_t> rows(kRows * words);
    std::vector<uint64_t> planes(4 * words);
    for (auto& word : rows) word = random();
    for (auto& word : planes) word = random();
    for (const unsigned shift : {0U, 2U}) {
      const SignQuery query{planes.data(), words, words == 256 ? 2 : shift};
      std::vector<uint16_t> expected(kRows);
      for (size_t row = 0; row < kRows; ++row) {
        uint64_t sum = 0;
        for (size_t bit = 0; bit < 64 * words; ++bit) {
          const auto at = [&](const std::vector<uint64_t>& from, size_t first) {
            return (from[first + bit / 64] >> (bit % 64)) & 1;
          };
          for (size_t j = 0; j < 4; ++j) sum += (at(rows, row * words) ^ at(planes, j * words)) << j;
        }
        expected[row] = static_cast<uint16_t>(sum >> query.shift);
      }
      for (size_t kind = 0; kind < sign_kernel_count(); ++kind) {
        std::vector<uint16_t> out(kRows + 1, 7);
        sign_kernels(kind).distances(rows.data(), kRows, query, out.data());
        EXPECT_EQ(out.back(), 7);
        out.pop_back();
        EXPECT_EQ(out, expected) << sign_kernels(kind).name << ", words " << words;
      }
    }
  }
  std::vector<uint16_t> values(192);
  for (auto& value : values) value = static_cast<uint16_t>(random());
  for (const uint16_t most : {uint16_t{0}, values[100], uint16_t{0x7FFF}, uint16_t{0x8000}, uint16_t{0xFFFF}}) {
    for (size_t kind = 0; kind < sign_kernel_count(); ++kind) {
      std::vector<uint64_t> bits(3);
      sign_kernels(kind).at_most(values.data(), 3, most, bits.data());
      for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ((bits[i / 64] >> (i % 64)) & 1, values[i] <= most ? 1 : 0);
    }
  }
}

TEST(SignEstimate, ErrsAsMuchAsItSays) {
  std::mt19937 random(3);
  for (const size_t stride : {128U, 384U, 1024U, 8192U}) {
    const SignRotation rotation(stride);
    const int rows = stride > 2000 ? 300 : 2000;
    int beyond = 0;
    double bias = 0;
    for (int i = 0; i < rows; ++i) {
      const Vector query = unit_vector(stride, random);
      Vector row = unit_vector(stride, random);
      const float toward = static_cast<float>(i % 10) / 10;
      for (size_t d = 0; d < stride; ++d) row[d] = toward * query[d] + std::sqrt(1 - toward * toward) * row[d];
      const float length = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0F));
      const float cosine = std::inner_product(row.begin(), row.end(), query.begin(), 0.0F) / length;
      rotation.apply(row);
      std::vector<uint64_t> signs(sign_words(stride));
      take_signs(row, signs.data());
      const SignEstimate estimate(query);
      uint16_t distance = 0;
      best_sign_kernels().distances(signs.data(), 1, estimate.query(), &distance);
      bias += estimate.cosine(distance) - cosine;
      beyond += distance > estimate.distance(cosine, 0.05) ? 1 : 0;
    }
    EXPECT_NEAR(bias / rows, 0, 0.2 / std::sqrt(static_cast<double>(stride))) << stride;
    EXPECT_LT(beyond, rows * 8 / 100) << stride;
  }
}

/// The share of the true nearest that a search finds; the exact search is tested elsewhere.
double recall_of(const VectorPlanes& planes, const Vector& query, size_t k, double recall,
                 const std::vector<uint64_t>& bits) {
  const DotKernels& kernels = best_dot_kernels();
  const std::vector<float> unit = unit_query(query, planes.stride);
  ExactSearch exact(planes, kernels, unit, k);
  exact.look_at(0, planes.rows, bits.data());
  const std::vector<RowHit> truth = exact.take();
  size_t selected = 0;
  for (const uint64_t word : bits) selected += static_cast<size_t>(std::popcount(word));
  const std::vector<RowHit> found = SignSearch(planes, kernels, unit).search(k, 1 - recall, bits.data(), selected);
  EXPECT_EQ(found.size(), truth.size());
  size_t right = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const RowHit& hit = found[i];
    EXPECT_EQ((bits[hit.row / 64] >> (hit.row % 64)) & 1, 1U);
    EXPECT_EQ(hit.score, exact_score(planes, hit.row, unit.data(), kernels));
    if (i > 0) EXPECT_LE(hit.score, found[i - 1].score);
    right += hit.score >= truth.back().score ? 1 : 0;
  }
  return truth.empty() ? 1 : static_cast<double>(right) / static_cast<double>(truth.size());
}

TEST(SignSearch, FindsTheShareAskedForInCloudsOfEveryKind) {
  struct Case {
    size_t dimensions;
    size_t centres;
    float spread;
  };
  for (const Case& kind : {Case{256, 1, 1000.0F}, Case{100, 1, 1000.0F}, Case{384, 30, 0.8F}, Case{128, 300, 0.3F}}) {
    constexpr Row kRows = 12000;
    Cloud cloud(kind.dimensions, kind.centres, kind.spread, 9);
    VectorPlanes planes(kind.dimensions);
    planes.grow(kRows);
    for (Row row = 0; row < kRows; ++row) {
      const EncodedVectors encoded = encode_vectors(cloud.next(), kind.dimensions);
      planes.split(row, encoded.codes.data());
      std::ranges::copy(encoded.low, planes.low.at(row));
      std::ranges::copy(encoded.signs, planes.signs.at(row));
      *planes.heads.at(row) = encoded.heads[0];
    }
    std::mt19937_64 random(5);
    std::vector<uint64_t> all((kRows + 63) / 64, ~uint64_t{0});
    all.back() = (uint64_t{1} << (kRows % 64)) - 1;
    std::vector<uint64_t> some = all;
    for (uint64_t& word : some) word &= random() & random();
    std::vector<uint64_t> block(all.size());
    std::fill(block.begin() + 100, block.begin() + 110, ~uint64_t{0});
    for (const double recall : {0.8, 0.95, 0.99}) {
      for (const size_t k : {1U, 10U, 100U}) {
        for (const auto* bits : {&all, &some, &block}) {
          double sum = 0;
          constexpr int kQueries = 30;
          for (int i = 0; i < kQueries; ++i) sum += recall_of(planes, cloud.next(), k, recall, *bits);
          EXPECT_GE(sum / kQueries, recall - (k == 1 ? 0.07 : 0)) << kind.dimensions << ", k " << k << ", " << recall;
        }
      }
    }
    EXPECT_EQ(recall_of(planes, cloud.next(), 2000, 0.9, block), 1);  // more than there are
  }
}

TEST(SignSearch, LeavesOutRowsWithoutVectors) {
  std::mt19937 random(6);
  VectorPlanes planes(128);
  planes.grow(300);
  for (Row row = 0; row < 300; row += 3) {
    const EncodedVectors encoded = encode_vectors(unit_vector(128, random), 128);
    planes.split(row, encoded.codes.data());
    std::ranges::copy(encoded.signs, planes.signs.at(row));
    *planes.heads.at(row) = encoded.heads[0];
  }
  std::vector<uint64_t> bits(5, ~uint64_t{0});
  bits.back() = (uint64_t{1} << 44) - 1;
  const std::vector<float> unit = unit_query(unit_vector(128, random), 128);
  SignSearch search(planes, best_dot_kernels(), unit);
  const std::vector<RowHit> found = search.search(200, 0.05, bits.data(), 300);
  EXPECT_EQ(found.size(), 100U);
  EXPECT_TRUE(std::ranges::all_of(found, [](const RowHit& hit) { return hit.row % 3 == 0; }));
}

}  // namespace
}  // namespace tessera::index
