#include "index/vector/graph_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <thread>

namespace tessera::index {
namespace {

using Vector = std::vector<float>;

/// Points around centres, as embeddings of chunks of related documents are.
class Cloud {
 public:
  Cloud(size_t dimensions, size_t centres, float spread, uint32_t seed) : random_(seed), spread_(spread) {
    for (size_t i = 0; i < centres; ++i) centres_.push_back(gauss(dimensions));
  }
  Vector next() {
    Vector vector = gauss(centres_[0].size());
    const Vector& centre = centres_[random_() % centres_.size()];
    for (size_t i = 0; i < vector.size(); ++i) vector[i] = centre[i] + spread_ * vector[i];
    return vector;
  }

 private:
  Vector gauss(size_t dimensions) {
    std::normal_distribution<float> normal;
    Vector vector(dimensions);
    for (float& x : vector) x = normal(random_);
    return vector;
  }
  std::mt19937 random_;
  float spread_;
  std::vector<Vector> centres_;
};

/// The truth: every vector as it came.
class Model {
 public:
  void add(Row row, const Vector& vector) { vectors_[row] = vector; }
  void remove(Row row) { vectors_.erase(row); }
  [[nodiscard]] size_t size() const { return vectors_.size(); }
  [[nodiscard]] bool has(Row row) const { return vectors_.contains(row); }
  [[nodiscard]] const std::map<Row, Vector>& all() const { return vectors_; }

  [[nodiscard]] float cosine(Row row, const Vector& query) const {
    const Vector& vector = vectors_.at(row);
    double dot = 0;
    double a = 0;
    double b = 0;
    for (size_t i = 0; i < query.size(); ++i) {
      dot += double{vector[i]} * query[i];
      a += double{vector[i]} * vector[i];
      b += double{query[i]} * query[i];
    }
    return static_cast<float>(dot / std::sqrt(a * b));
  }
  [[nodiscard]] std::vector<GraphHit> search(const Vector& query, size_t k,
                                             const std::vector<uint64_t>* allowed) const {
    std::vector<GraphHit> hits;
    for (const auto& [row, vector] : vectors_) {
      if (allowed == nullptr || (((*allowed)[row / 64] >> (row % 64)) & 1) != 0)
        hits.push_back({row, cosine(row, query)});
    }
    std::ranges::sort(hits, std::greater<>(), &GraphHit::score);
    if (hits.size() > k) hits.resize(k);
    return hits;
  }

 private:
  std::map<Row, Vector> vectors_;
};

/// Every rule an answer keeps however the graph looks; returns how many of the truth were found.
size_t check(const Model& model, const GraphIndex& index, const GraphQuery& query,
             const std::vector<uint64_t>* allowed = nullptr) {
  const Vector vector(query.vector.begin(), query.vector.end());
  const auto truth = model.search(vector, query.k, allowed);
  const auto hits = index.search(query);
  EXPECT_EQ(hits.size(), truth.size());
  std::set<Row> rows;
  size_t found = 0;
  for (size_t i = 0; i < hits.size(); ++i) {
    EXPECT_TRUE(model.has(hits[i].row)) << "a removed row";
    EXPECT_TRUE(rows.insert(hits[i].row).second) << "a row twice";
    if (allowed != nullptr)
      EXPECT_TRUE(((*allowed)[hits[i].row / 64] >> (hits[i].row % 64)) & 1) << "a row not allowed";
    if (i > 0) EXPECT_GE(hits[i - 1].score, hits[i].score);
    if (model.has(hits[i].row)) EXPECT_NEAR(hits[i].score, model.cosine(hits[i].row, vector), 5e-3);
    found += model.has(hits[i].row) && model.cosine(hits[i].row, vector) >= truth.back().score ? 1 : 0;
  }
  return found;
}

TEST(GraphKernels, AllKindsGiveTheSameIntegers) {
  std::mt19937 random(3);
  for (const size_t stride : {64U, 128U, 256U, 320U, 384U, 768U}) {
    std::vector<uint8_t> codes(40 * stride);
    for (auto& code : codes) code = static_cast<uint8_t>(1 + random() % 255);
    std::vector<int8_t> values(stride);
    for (size_t count = 1; count < 12; ++count) {
      std::vector<Row> rows(count);
      for (Row& row : rows) row = static_cast<Row>(random() % 40);
      const Row asked = static_cast<Row>(random() % 40);
      std::vector<int32_t> expected(count);
      for (size_t kind = 0; kind < graph_kernel_count(); ++kind) {
        const GraphKernels& kernels = graph_kernels(kind);
        const int32_t sum = kernels.flip(codes.data() + asked * stride, stride, values.data());
        std::vector<int32_t> out(count + 1, 77);
        kernels.dots(codes.data(), rows.data(), count, {values.data(), sum, stride}, out.data());
        EXPECT_EQ(out[count], 77);
        for (size_t i = 0; i < count; ++i) {
          int32_t dot = 0;
          for (size_t j = 0; j < stride; ++j) {
            dot += (int{codes[rows[i] * stride + j]} - 128) * (int{codes[asked * stride + j]} - 128);
          }
          EXPECT_EQ(out[i], dot) << kernels.name << " stride " << stride;
        }
      }
    }
  }
}

class GraphRecall : public testing::TestWithParam<std::tuple<size_t, bool>> {};

TEST_P(GraphRecall, IsHighOnClustersAndStaysSoAfterRemovals) {
  const auto [dimensions, rerank] = GetParam();
  Cloud cloud(dimensions, 40, 0.8F, 5);
  GraphIndex index({.dimensions = dimensions, .ef_construction = 100, .rerank = rerank});
  Model model;
  const auto measure = [&](const char* when) {
    size_t found = 0;
    for (int i = 0; i < 40; ++i) {
      const Vector query = cloud.next();
      found += check(model, index, {.vector = query, .k = 10, .ef = 64});
    }
    EXPECT_GE(found, 380U) << when << ", dimensions " << dimensions;
  };
  for (Row row = 0; row < 3000; ++row) {
    const Vector vector = cloud.next();
    ASSERT_TRUE(index.add(row, vector));
    model.add(row, vector);
  }
  measure("built");
  for (Row row = 0; row < 3000; row += 2) {
    ASSERT_TRUE(index.remove(row));
    model.remove(row);
  }
  measure("half removed");
  index.repair();
  measure("repaired");
  for (Row row = 0; row < 3000; row += 4) {
    const Vector vector = cloud.next();
    ASSERT_TRUE(index.add(row, vector));
    model.add(row, vector);
  }
  measure("added again");
}

INSTANTIATE_TEST_SUITE_P(Dimensions, GraphRecall, testing::Combine(testing::Values(24, 64, 100, 256), testing::Bool()));

TEST(GraphIndex, EveryKindOfProcessorMakesTheSameGraph) {
  std::set<std::string> bytes;
  for (size_t kind = 0; kind < graph_kernel_count(); ++kind) {
    Cloud cloud(70, 8, 0.7F, 9);
    GraphIndex index({.dimensions = 70, .ef_construction = 60, .kernels = &graph_kernels(kind)});
    for (Row row = 0; row < 700; ++row) index.add(row, cloud.next());
    for (Row row = 0; row < 700; row += 3) index.remove(row);
    std::string out;
    index.serialize(out);
    bytes.insert(out);
  }
  EXPECT_EQ(bytes.size(), 1U);
}

TEST(GraphIndex, RandomChangesAndSearchesKeepItsRules) {
  constexpr size_t kDimensions = 20;
  for (uint32_t seed = 0; seed < 6; ++seed) {
    std::mt19937 random(seed);
    Cloud cloud(kDimensions, 5, 0.5F, seed);
    auto index = std::make_unique<GraphIndex>(
        GraphOptions{.dimensions = kDimensions, .m = 4 + seed * 2, .ef_construction = 30, .rerank = seed % 2 == 0});
    Model model;
    const uint32_t adding = seed < 3 ? 60 : 50;  // in a hundred; the rest removes
    for (int step = 0; step < 4000; ++step) {
      const auto row = static_cast<Row>(random() % 1500);
      if (random() % 100 < adding) {
        const Vector vector = random() % 10 == 0 && !model.all().empty() ? model.all().begin()->second : cloud.next();
        EXPECT_EQ(index->add(row, vector), !model.has(row));
        if (!model.has(row)) model.add(row, vector);
      } else {
        EXPECT_EQ(index->remove(row), model.has(row));
        model.remove(row);
      }
      ASSERT_EQ(index->size(), model.size());
      if (step % 50 != 0) continue;
      std::vector<uint64_t> allowed(index->rows() / 64 + 1);
      const uint64_t share = random() % 4;
      for (uint64_t& word : allowed) {
        for (int bit = 0; bit < 64; ++bit) word |= uint64_t{random() % 4 <= share ? 1U : 0U} << bit;
      }
      const Vector query = cloud.next();
      const size_t k = random() % 40;
      check(model, *index, {.vector = query, .k = k, .ef = 1 + random() % 60});
      check(model, *index, {.vector = query, .k = k, .ef = 1, .allowed = allowed.data()}, &allowed);
      if (step % 500 == 0) {
        std::string bytes;
        index->serialize(bytes);
        auto opened = GraphIndex::open(bytes);
        ASSERT_TRUE(opened);
        index = std::move(*opened);
      }
    }
  }
}

TEST(GraphIndex, RemovingWhatJoinsTwoIslandsLosesNobody) {
  // Two far clusters and a bridge between them; then the bridge and almost one island go.
  GraphIndex index({.dimensions = 16, .m = 4, .ef_construction = 16});
  Model model;
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 0.01F);
  for (Row row = 0; row < 2400; ++row) {
    Vector vector(16);
    for (float& x : vector) x = normal(random);
    vector[row % 3 == 0 ? 0 : 1] += 1;
    if (row % 100 == 0) vector[0] = vector[1] = 1;
    index.add(row, vector);
    model.add(row, vector);
  }
  for (Row row = 0; row < 2400; ++row) {
    if (row % 100 != 0 && row % 3 != 0 && row > 30) continue;
    if (row % 3 == 0 && row % 100 != 0 && row % 2 == 0) continue;
    index.remove(row);
    model.remove(row);
  }
  Vector query(16);
  query[0] = 1;
  for (const size_t k : {1U, 10U, 500U, 2400U}) check(model, index, {.vector = query, .k = k, .ef = 10});
  index.repair();
  for (const size_t k : {1U, 10U, 500U, 2400U}) check(model, index, {.vector = query, .k = k, .ef = 10});
}

TEST(GraphIndex, FindsWhateverFewRowsTheFilterLeaves) {
  Cloud cloud(32, 20, 0.7F, 2);
  GraphIndex index({.dimensions = 32, .ef_construction = 40});
  Model model;
  constexpr Row kRows = 20000;
  for (Row row = 0; row < kRows; ++row) {
    const Vector vector = cloud.next();
    index.add(row, vector);
    model.add(row, vector);
  }
  for (const Row every : {10000U, 1000U, 100U, 10U, 2U}) {
    std::vector<uint64_t> allowed(kRows / 64 + 1);
    for (Row row = 7 % every; row < kRows; row += every) allowed[row / 64] |= uint64_t{1} << (row % 64);
    size_t found = 0;
    size_t wanted = 0;
    for (int i = 0; i < 10; ++i) {
      const Vector query = cloud.next();
      found += check(model, index, {.vector = query, .k = 10, .ef = 64, .allowed = allowed.data()}, &allowed);
      wanted += std::min<size_t>(10, kRows / every);
    }
    EXPECT_GE(found * 100, wanted * 95) << "one in " << every;
  }
  // Anti-correlated: only the rows farthest from the query are allowed.
  const Vector query = cloud.next();
  auto ranked = model.search(query, kRows, nullptr);
  std::vector<uint64_t> far(kRows / 64 + 1);
  for (size_t i = kRows / 2; i < kRows; ++i) far[ranked[i].row / 64] |= uint64_t{1} << (ranked[i].row % 64);
  EXPECT_GE(check(model, index, {.vector = query, .k = 10, .ef = 64, .allowed = far.data()}, &far), 9U);
}

TEST(GraphIndex, RefusesWhatIsNoVector) {
  GraphIndex index({.dimensions = 3});
  EXPECT_FALSE(index.add(0, Vector{0, 0, 0}));
  EXPECT_FALSE(index.add(0, Vector{1, std::numeric_limits<float>::quiet_NaN(), 0}));
  EXPECT_FALSE(index.add(0, Vector{1, std::numeric_limits<float>::infinity(), 0}));
  EXPECT_FALSE(index.add(0, Vector{1, 2}));
  EXPECT_FALSE(index.remove(0));
  EXPECT_TRUE(index.search({.vector = Vector{1, 2, 3}}).empty());
  EXPECT_TRUE(index.add(5, Vector{1, 2, 3}));
  EXPECT_FALSE(index.add(5, Vector{1, 2, 3}));
  EXPECT_TRUE(index.search({.vector = Vector{0, 0, 0}}).empty());
  EXPECT_TRUE(index.search({.vector = Vector{1, 2, 3}, .k = 0}).empty());
  const Vector same{2, 4, 6};
  const auto hits = index.search({.vector = same, .k = 100});
  ASSERT_EQ(hits.size(), 1U);
  EXPECT_EQ(hits[0].row, 5U);
  EXPECT_NEAR(hits[0].score, 1, 1e-4);
  EXPECT_TRUE(index.remove(5));
  EXPECT_TRUE(index.search({.vector = same}).empty());
  EXPECT_TRUE(index.add(5, Vector{3, 2, 1}));
  EXPECT_EQ(index.search({.vector = same}).size(), 1U);
}

TEST(GraphIndex, ChoosesTheEfThatReachesARecall) {
  Cloud cloud(48, 3, 1.0F, 8);
  GraphIndex index({.dimensions = 48, .m = 8, .ef_construction = 60});
  Model model;
  for (Row row = 0; row < 4000; ++row) {
    const Vector vector = cloud.next();
    index.add(row, vector);
    model.add(row, vector);
  }
  const size_t low = index.ef_for_recall(0.5, 10, 60);
  const size_t high = index.ef_for_recall(0.97, 10, 60);
  EXPECT_LT(low, high);
  size_t found = 0;
  for (int i = 0; i < 50; ++i) {
    const Vector query = cloud.next();
    found += check(model, index, {.vector = query, .k = 10, .ef = high});
  }
  EXPECT_GE(found, 460U);
}

TEST(GraphIndex, DamagedBytesNeverLeadAWalkOutOfMemory) {
  Cloud cloud(10, 3, 0.7F, 1);
  GraphIndex index({.dimensions = 10, .m = 4, .ef_construction = 20});
  for (Row row = 0; row < 300; ++row) index.add(row, cloud.next());
  for (Row row = 0; row < 20; ++row) index.remove(row);
  std::string bytes;
  index.serialize(bytes);
  for (size_t length = 0; length < bytes.size(); length += 131) EXPECT_FALSE(GraphIndex::open({bytes.data(), length}));
  EXPECT_FALSE(GraphIndex::open(bytes + "x"));
  std::mt19937 random(6);
  const Vector query = cloud.next();
  size_t refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string changed = bytes;
    const size_t at = i < 320 ? static_cast<size_t>(i / 8) : random() % changed.size();  // first each bit of the head
    changed[at] = static_cast<char>(changed[at] ^ (1 << (i % 8)));
    auto opened = GraphIndex::open(changed);
    if (!opened) {
      ++refused;
      continue;
    }
    // What the checks let through is a flipped bit of a vector, or another valid link: searches stay within bounds.
    EXPECT_EQ((*opened)->search({.vector = Vector((*opened)->dimensions(), 1.0F), .k = 10, .ef = 20}).size(), 10U);
    EXPECT_TRUE((*opened)->add(301, Vector((*opened)->dimensions(), 1.0F)));
    (*opened)->repair();
  }
  EXPECT_GT(refused, 300U);
  auto whole = GraphIndex::open(bytes);
  ASSERT_TRUE(whole);
  const auto before = index.search({.vector = query, .k = 10, .ef = 20});
  const auto after = (*whole)->search({.vector = query, .k = 10, .ef = 20});
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].row, after[i].row);
}

TEST(GraphIndex, IsSearchedWhileItChanges) {
  Cloud cloud(32, 10, 0.7F, 3);
  GraphIndex index({.dimensions = 32, .m = 8, .ef_construction = 30});
  std::vector<Vector> queries;
  for (int i = 0; i < 50; ++i) queries.push_back(cloud.next());
  for (Row row = 0; row < 300; ++row) index.add(row, cloud.next());  // these stay
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      while (!done) {
        for (const Vector& query : queries) {
          const auto hits = index.search({.vector = query, .k = 10, .ef = 20});
          EXPECT_EQ(hits.size(), 10U);
          for (size_t i = 1; i < hits.size(); ++i) EXPECT_NE(hits[i - 1].row, hits[i].row);
        }
      }
    });
  }
  for (Row row = 300; row < 2000; ++row) {
    index.add(row, cloud.next());
    if (row % 3 != 0) index.remove(row - 1 < 300 ? row : row - 1);
  }
  done = true;
  for (auto& reader : readers) reader.join();
}

}  // namespace
}  // namespace tessera::index
