#include "index/vector/vector_store.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tessera::index {
namespace {

std::vector<float> random_rows(size_t rows, size_t dimensions, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(rows * dimensions);
  for (float& x : out) x = normal(random);
  return out;
}

RowTable table_of(size_t rows) {
  RowTable table;
  for (size_t i = 0; i < rows; ++i) {
    DocumentSlot& slot = table.slots.emplace_back();
    slot.key = static_cast<int64_t>(i);
    slot.first_row = table.size();
    slot.rows = 1;
    table.append(static_cast<int64_t>(1000 + i), static_cast<uint32_t>(i), 1);
    table.set_live(static_cast<uint32_t>(i), true);
  }
  return table;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

TEST(VectorStore, FindsTheExactBestForEveryKernelAndShape) {
  for (const size_t dimensions : {1, 3, 64, 256, 300, 1537}) {
    const size_t count = dimensions > 1000 ? 1500 : 2500;
    const std::vector<float> values = random_rows(count, dimensions, dimensions);
    VectorStore store;
    store.start(dimensions, 0);
    store.append(encode_vectors(values, dimensions));
    const RowTable table = table_of(count);
    for (uint64_t round = 0; round < 4; ++round) {
      const std::vector<float> query = random_rows(1, dimensions, 99 + round);
      std::vector<double> expected;
      for (size_t row = 0; row < count; ++row) {
        expected.push_back(cosine(query, std::span(values).subspan(row * dimensions, dimensions)));
      }
      std::vector<double> sorted = expected;
      std::ranges::sort(sorted, std::greater<>());
      for (size_t kind = 0; kind < dot_kernel_count(); ++kind) {
        RowFilter filter(table, nullptr);
        const auto hits = store.search(table, query, 20, filter, dot_kernels(kind));
        ASSERT_EQ(hits.size(), 20U);
        for (size_t i = 0; i < hits.size(); ++i) {
          ASSERT_NEAR(hits[i].score, expected[static_cast<size_t>(hits[i].chunk_key - 1000)], 1e-4);
          ASSERT_NEAR(hits[i].score, sorted[i], 1e-4) << dimensions << " " << dot_kernels(kind).name;
        }
      }
    }
  }
}

TEST(VectorStore, SpikesAndTinyValuesKeepTheirDirection) {
  const size_t dimensions = 128;
  std::vector<float> values = random_rows(300, dimensions, 5);
  for (size_t row = 0; row < 300; ++row) {
    values[row * dimensions + row % dimensions] *= 1000;  // one component far above the others
    if (row % 3 == 0) {
      for (size_t i = 0; i < dimensions; ++i) values[row * dimensions + i] *= 1e-18F;
    }
  }
  VectorStore store;
  store.start(dimensions, 0);
  store.append(encode_vectors(values, dimensions));
  const RowTable table = table_of(300);
  const std::vector<float> query = random_rows(1, dimensions, 6);
  RowFilter filter(table, nullptr);
  const auto hits = store.search(table, query, 300, filter, best_dot_kernels());
  ASSERT_EQ(hits.size(), 300U);
  for (const auto& hit : hits) {
    const auto row = static_cast<size_t>(hit.chunk_key - 1000);
    ASSERT_NEAR(hit.score, cosine(query, std::span(values).subspan(row * dimensions, dimensions)), 1e-3);
  }
}

TEST(VectorStore, IdenticalVectorsComeByChunkKey) {
  std::vector<float> values;
  const std::vector<float> one = random_rows(1, 64, 1);
  for (int i = 0; i < 3000; ++i) values.insert(values.end(), one.begin(), one.end());
  VectorStore store;
  store.start(64, 0);
  store.append(encode_vectors(values, 64));
  const RowTable table = table_of(3000);
  RowFilter filter(table, nullptr);
  const auto hits = store.search(table, one, 5, filter, best_dot_kernels());
  ASSERT_EQ(hits.size(), 5U);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(hits[i].chunk_key, 1000 + static_cast<int64_t>(i));
}

}  // namespace
}  // namespace tessera::index
