#include "index/vector/vector_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <set>
#include <string>

#include "index/vector/vector_index_model.h"

namespace tessera::index {
namespace {

using Plan = VectorWork::Plan;

TEST(VectorIndex, IsExactForEveryKernelAndDimensionWhileItIsSmall) {
  for (const size_t dimensions : {1U, 3U, 64U, 100U, 256U, 300U, 1537U}) {
    for (size_t kind = 0; kind < dot_kernel_count(); ++kind) {
      Cloud cloud(dimensions, 10, 0.8F, 5);
      VectorSubject subject({.kernels = &dot_kernels(kind)}, dimensions);
      for (int i = 0; i < 700; ++i) subject.add(cloud.next());
      for (int round = 0; round < 4; ++round) {
        const Vector query = cloud.next();
        const size_t k = size_t{1} << (3 * round);
        EXPECT_EQ(subject.check({.vector = query, .k = k}), std::min<size_t>(k, 700)) << dot_kernels(kind).name;
      }
    }
  }
}

TEST(VectorIndex, BuildsAGraphThatFindsTheNearestOfClusters) {
  for (const size_t dimensions : {24U, 100U, 256U}) {
    Cloud cloud(dimensions, 40, 0.8F, 5);
    VectorSubject subject({.ef_construction = 100, .graph_rows = 1000}, dimensions);
    const auto measure = [&](const char* when) {
      size_t found = 0;
      for (int i = 0; i < 40; ++i) {
        const Vector query = cloud.next();
        found += subject.check({.vector = query, .k = 10, .ef = 64});
      }
      EXPECT_GE(found, 380U) << when << ", dimensions " << dimensions;
    };
    for (int i = 0; i < 4000; ++i) subject.add(cloud.next());
    measure("scanned");
    subject.maintain();
    EXPECT_EQ(subject.index().stats().pending, 0U);
    measure("built");
    for (Row row = 0; row < 4000; row += 2) subject.remove(row);
    measure("half removed");
    subject.maintain();
    EXPECT_LT(subject.index().stats().removed, 200U);
    measure("repaired");
    for (int i = 0; i < 1000; ++i) subject.add(cloud.next());
    measure("a quarter pending");
    subject.maintain();
    measure("added again");
    subject.compact();
    EXPECT_EQ(subject.index().rows(), 3000U);
    measure("compacted");
  }
}

TEST(VectorIndex, RandomChangesJobsFilesAndSearchesKeepItsRules) {
  constexpr size_t kDimensions = 20;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    std::mt19937 random(seed);
    Cloud cloud(kDimensions, 5, 0.5F, seed);
    const std::filesystem::path directory = seed % 2 == 0 ? test_directory("vector_model") : std::filesystem::path();
    VectorSubject subject({.m = 4 + seed * 2, .ef_construction = 30, .graph_rows = 300}, kDimensions, directory);
    for (int step = 0; step < 400; ++step) {
      const uint32_t what = random() % 100;
      const size_t rows = subject.index().rows();
      if (what < 40) {
        const size_t count = random() % 40;
        for (size_t i = 0; i < count; ++i) {
          const uint32_t kind = random() % 12;
          subject.add(kind == 0               ? Vector(kDimensions)
                      : kind == 1 && rows > 0 ? subject.some_vector(random())
                                              : cloud.next());
        }
      } else if (what < 60 && rows > 0) {
        const size_t count = random() % 30;
        for (size_t i = 0; i < count; ++i) subject.remove(static_cast<Row>(random() % rows));
      } else if (what < 75) {
        subject.maintain_once(random() % 3 == 0);
      } else if (what < 78) {
        ASSERT_TRUE(subject.save_and_load());
      } else if (what < 80) {
        subject.compact();
      } else {
        const Vector query = cloud.next();
        const std::vector<uint64_t> allowed = subject.random_filter(static_cast<uint32_t>(random()), random() % 9);
        const size_t k = random() % 40;
        const size_t ef = random() % 2 == 0 ? 0 : 1 + random() % 60;
        subject.check({.vector = query, .k = k, .ef = ef});
        subject.check({.vector = query, .k = k, .ef = ef}, &allowed);
        const size_t wanted = subject.matches(k, &allowed);
        EXPECT_EQ(subject.check({.vector = query, .k = k, .recall = 1}, &allowed), wanted);
      }
      if (testing::Test::HasFailure()) FAIL() << "seed " << seed << ", step " << step;
    }
  }
}

TEST(VectorIndex, RemovingWhatJoinsTwoIslandsLosesNobody) {
  // Two far clusters and a bridge between them; then the bridge and almost one island go.
  VectorSubject subject({.m = 4, .ef_construction = 16, .graph_rows = 1}, 16);
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 0.01F);
  for (Row row = 0; row < 2400; ++row) {
    Vector vector(16);
    for (float& x : vector) x = normal(random);
    vector[row % 3 == 0 ? 0 : 1] += 1;
    if (row % 100 == 0) vector[0] = vector[1] = 1;
    subject.add(vector);
  }
  subject.maintain();
  for (Row row = 0; row < 2400; ++row) {
    if (row % 100 != 0 && row % 3 != 0 && row > 30) continue;
    if (row % 3 == 0 && row % 100 != 0 && row % 2 == 0) continue;
    subject.remove(row);
  }
  Vector query(16);
  query[0] = 1;
  for (const size_t k : {1U, 10U, 500U, 2400U}) subject.check({.vector = query, .k = k, .ef = 10});
  subject.maintain();
  for (const size_t k : {1U, 10U, 500U, 2400U}) subject.check({.vector = query, .k = k, .ef = 10});
}

TEST(VectorIndex, FindsWhateverRowsAFilterLeaves) {
  constexpr Row kRows = 20000;
  Cloud cloud(32, 20, 0.7F, 2);
  VectorSubject subject({.ef_construction = 60}, 32);
  for (Row row = 0; row < kRows; ++row) subject.add(cloud.next());
  subject.maintain();
  std::set<Plan> plans;
  for (const Row every : {10000U, 1000U, 100U, 20U, 5U, 2U}) {
    std::vector<uint64_t> allowed(kRows / 64 + 1);
    for (Row row = 7 % every; row < kRows; row += every) allowed[row / 64] |= uint64_t{1} << (row % 64);
    size_t found = 0;
    size_t wanted = 0;
    for (int i = 0; i < 20; ++i) {
      const Vector query = cloud.next();
      VectorWork work;
      found += subject.check({.vector = query, .k = 10, .ef = 64}, &allowed, &work);
      wanted += std::min<size_t>(10, kRows / every);
      plans.insert(work.plan);
    }
    EXPECT_GE(found * 100, wanted * 95) << "one in " << every;
  }
  EXPECT_TRUE(plans.contains(Plan::gather));
  EXPECT_TRUE(plans.contains(Plan::filtered_walk));
  // Anti-correlated: only the rows farthest from the query are allowed.
  for (int i = 0; i < 5; ++i) {
    const Vector query = cloud.next();
    const std::vector<uint64_t> far = subject.farthest(query, kRows / 2);
    EXPECT_EQ(subject.check({.vector = query, .k = 10, .ef = 64}, &far), 10U);
  }
}

TEST(VectorIndex, LooksAtTheSignsOfAllWhereTheGraphLosesItsWay) {
  constexpr size_t kDimensions = 64;
  Cloud cloud(kDimensions, 1, 1000, 8);
  VectorSubject subject({.m = 8, .ef_construction = 60, .graph_rows = 1000}, kDimensions, test_directory("signs"));
  for (int i = 0; i < 12000; ++i) subject.add(cloud.next());
  for (Row row = 0; row < 12000; row += 5) subject.remove(row);
  subject.maintain();
  const auto measure = [&](const std::vector<uint64_t>* allowed) {
    size_t found = 0;
    for (int i = 0; i < 40; ++i) {
      VectorWork work;
      const Vector query = cloud.next();
      found += subject.check({.vector = query, .k = 100}, allowed, &work);
      EXPECT_EQ(work.plan, Plan::signs);
    }
    EXPECT_GE(found, 40 * 95);
  };
  measure(nullptr);
  const std::vector<uint64_t> most = subject.random_filter(3, 1);
  measure(&most);
  ASSERT_TRUE(subject.save_and_load());
  measure(nullptr);
  subject.compact();
  measure(nullptr);
}

TEST(VectorIndex, NamesWhatIsNoVector) {
  VectorIndex index({});
  const RowSelection none;
  EXPECT_TRUE(index.search({.vector = Vector{1, 2}, .k = 3}, none)->empty());
  EXPECT_EQ(index.encode(Vector{1, 2, 3}, 2, 2).error().name, "VECTOR_SHAPE");
  index.append_nothing(3);
  index.append(*index.encode(Vector{1, 0, 0, 0, 0, 0, 0, std::numeric_limits<float>::quiet_NaN(), 1, 1, 1,
                                    std::numeric_limits<float>::infinity(), 3, 4, 0},
                             5, 3));
  EXPECT_EQ(index.rows(), 8U);
  EXPECT_EQ(index.vectors(), 2U);
  const std::vector<uint64_t> live{0xFF};
  const RowSelection all{live, 8, false, nullptr};
  const auto hits = *index.search({.vector = Vector{3, 4, 0}, .k = 10}, all);
  ASSERT_EQ(hits.size(), 2U);
  EXPECT_EQ(hits[0].row, 7U);
  EXPECT_NEAR(hits[0].score, 1, 1e-4);
  EXPECT_NEAR(hits[1].score, 0.6, 1e-4);
  Vector back(3);
  EXPECT_TRUE(index.vector_of(7, back));
  EXPECT_NEAR(back[1], 0.8, 1e-4);
  EXPECT_FALSE(index.vector_of(4, back));
  EXPECT_TRUE(index.search({.vector = Vector{0, 0, 0}, .k = 10}, all)->empty());
  EXPECT_TRUE(index.search({.vector = Vector{1, 0, 0}, .k = 0}, all)->empty());
  EXPECT_EQ(index.search({.vector = Vector{1, 0, NAN}, .k = 1}, all).error().name, "VECTOR_NOT_FINITE");
  const auto wrong = index.search({.vector = Vector{1, 0}, .k = 1}, all);
  EXPECT_EQ(wrong.error().name, "DIMENSION_MISMATCH");
  EXPECT_NE(wrong.error().message.find("2 dimensions, the collection's have 3"), std::string::npos)
      << wrong.error().message;
  // Vectors of another model: those before are forgotten.
  EXPECT_GT(index.vectors(), 0U);
  index.append(*index.encode(Vector{1, 2}, 1, 2));
  EXPECT_EQ(index.dimensions(), 2U);
  EXPECT_EQ(index.vectors(), 1U);
  index.remove(0, 8);  // had none any more
  EXPECT_EQ(index.vectors(), 1U);
  const std::vector<uint64_t> last{0x100};
  EXPECT_EQ(index.search({.vector = Vector{1, 2}, .k = 5}, {last, 1, false, nullptr})->at(0).row, 8U);
}

TEST(VectorIndex, IdenticalVectorsComeByRow) {
  VectorSubject subject({.graph_rows = 500}, 64);
  const Vector one = Cloud(64, 1, 1, 1).next();
  for (int i = 0; i < 2000; ++i) subject.add(one);
  subject.maintain();
  const auto hits = subject.search({.vector = one, .k = 5, .recall = 1});
  ASSERT_EQ(hits.size(), 5U);
  for (Row i = 0; i < 5; ++i) EXPECT_EQ(hits[i].row, i);
  EXPECT_EQ(subject.check({.vector = one, .k = 1500}), 1500U);
}

TEST(VectorIndex, MeasuresItsRecallAndChoosesEfForATarget) {
  Cloud cloud(48, 3, 1.0F, 8);
  VectorSubject subject({.m = 8, .ef_construction = 60, .graph_rows = 1000}, 48);
  for (Row row = 0; row < 12000; ++row) subject.add(cloud.next());
  subject.maintain();
  const VectorStats stats = subject.index().stats();
  EXPECT_GE(stats.measured_rows, 4096U);
  EXPECT_GE(stats.recall, 0.94);
  EXPECT_EQ(stats.recall_target, 0.95);
  for (const double target : {0.8, 0.95, 0.99}) {
    for (const size_t k : {10U, 100U}) {
      size_t found = 0;
      for (int i = 0; i < 200; ++i) {
        const Vector query = cloud.next();
        found += subject.check({.vector = query, .k = k, .recall = target});
      }
      EXPECT_GE(static_cast<double>(found), (target - 0.02) * 200 * static_cast<double>(k)) << target << " of " << k;
    }
  }
  VectorWork low;
  VectorWork high;
  const Vector query = cloud.next();
  subject.check({.vector = query, .k = 10, .recall = 0.8}, nullptr, &low);
  subject.check({.vector = query, .k = 10, .recall = 0.99}, nullptr, &high);
  EXPECT_LT(low.distances, high.distances);
}

TEST(VectorIndex, DamagedFilesAreRefusedOrSearchedWithinMemory) {
  Cloud cloud(10, 3, 0.7F, 1);
  FileStore store{std::filesystem::path()};
  VectorIndex index({.m = 4, .ef_construction = 20, .graph_rows = 100});
  std::vector<uint64_t> live;
  for (Row row = 0; row < 700; ++row) {
    index.append(*index.encode(cloud.next(), 1, 10));
    if (row % 64 == 0) live.push_back(0);
    live[row / 64] |= uint64_t{row >= 20 ? 1U : 0U} << (row % 64);
  }
  const std::atomic<bool> stop = false;
  const auto maintain = [&stop](VectorIndex& of) {
    while (auto job = of.plan()) {
      job->run(stop);
      of.install(std::move(job));
    }
  };
  maintain(index);
  index.remove(0, 20);
  ByteWriter record;
  std::vector<FileEntry> files;
  ASSERT_TRUE(index.save(store, record, files));
  ASSERT_EQ(files.size(), 2U);
  std::mt19937 random(6);
  size_t refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::vector<std::string> contents{std::string(record.bytes())};
    for (const FileEntry& file : files) contents.emplace_back((*store.open(file, Verify::later))->bytes());
    const size_t which = random() % 3;
    std::string& changed = contents[which];
    if (i % 10 == 0) {
      changed.resize(random() % changed.size());
    } else {
      // The heads as often as all that follows.
      const size_t at = i % 2 == 0 ? random() % std::min<size_t>(64, changed.size()) : random() % changed.size();
      changed[at] = static_cast<char>(changed[at] ^ (1 << (random() % 8)));
    }
    FileStore other{std::filesystem::path()};
    auto loaded = load_parts(other, contents, files, live, {.m = 4, .ef_construction = 20, .graph_rows = 100});
    if (!loaded) {
      ++refused;
      continue;
    }
    VectorIndex& opened = **loaded;
    uint64_t selected = 0;
    for (const uint64_t word : live) selected += static_cast<uint64_t>(std::popcount(word));
    const RowSelection all{live, selected, false, nullptr};
    const Vector query(opened.dimensions(), 1.0F);
    const auto hits = opened.search({.vector = query, .k = 10}, all);
    if (opened.dimensions() > 0) EXPECT_EQ(hits->size(), 10U);
    static_cast<void>(opened.search({.vector = query, .k = 10, .recall = 1}, all));
    opened.remove(20, 200);
    maintain(opened);
    static_cast<void>(opened.compacted(RowMap(opened.rows(), kGoneRow)));
  }
  EXPECT_GT(refused, 300U);
}

TEST(VectorIndex, SavesOnlyWhatIsNewAndKeepsFewFiles) {
  Cloud cloud(128, 3, 1.0F, 8);
  VectorSubject subject({.ef_construction = 40, .graph_rows = 1000}, 128, test_directory("vector_files"));
  uint64_t written = 0;
  for (int save = 0; save < 60; ++save) {
    for (int i = 0; i < 100; ++i) subject.add(cloud.next());
    const std::vector<FileEntry> before = subject.files();
    ASSERT_TRUE(subject.save());
    for (const FileEntry& file : subject.files()) {
      if (std::ranges::count(before, file) == 0) written += file.bytes;
    }
    EXPECT_LE(subject.files().size(), 8U);
  }
  EXPECT_LT(written, 6000U * 2 * 128 * 10);
  subject.maintain();
  ASSERT_TRUE(subject.save());
  const std::vector<FileEntry> before = subject.files();
  ASSERT_TRUE(subject.save());
  EXPECT_EQ(before, subject.files());
  ASSERT_TRUE(subject.save_and_load());
  EXPECT_EQ(subject.index().stats().pending, 0U);
  EXPECT_EQ(before, subject.files());
}

}  // namespace
}  // namespace tessera::index
