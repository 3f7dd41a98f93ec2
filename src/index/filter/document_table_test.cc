#include "index/filter/document_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "index/filter/document_table_model.h"
#include "index/filter/metadata_columns.h"

namespace tessera::index {
namespace {

using Op = core::Filter::Op;

/// The table saved and loaded again; null when that failed.
std::unique_ptr<DocumentTable> again(DocumentTable& table, FileStore& store, size_t* files = nullptr) {
  ByteWriter record;
  std::vector<FileEntry> entries;
  if (!table.save(store, record, entries).has_value()) return nullptr;
  if (files != nullptr) *files = entries.size();
  ByteReader reader(record.bytes());
  auto loaded = DocumentTable::load(store, reader);
  if (!loaded.has_value() || !reader.at_end()) return nullptr;
  return std::move(*loaded);
}

core::Filter condition(Op op, std::string field, core::MetadataValue value) {
  return {op, std::move(field), {std::move(value)}, {}};
}

TEST(DocumentTable, AgreesWithTheMeaningOfFilters) {
  for (const uint64_t seed : {1U, 2U, 3U}) {
    TablePair pair(seed);
    const size_t rows_max = seed == 1 ? 1 : 4;
    for (int64_t key = 0; key < 4700; ++key) pair.put(key, seed == 1 ? 1 : pair.world.below(rows_max));
    for (int64_t key = 0; key < 4700; key += 7) pair.remove(key);
    ASSERT_EQ(difference(*pair.table, pair.model), "");
    FileStore store("");
    const auto loaded = again(*pair.table, store);
    ASSERT_NE(loaded, nullptr);
    for (int i = 0; i < 250; ++i) {
      const core::Filter filter = pair.world.filter();
      ASSERT_EQ(difference(*pair.table, pair.model, &filter), "") << "seed " << seed << " filter " << i;
      ASSERT_EQ(difference(*loaded, pair.model, &filter), "") << "loaded, seed " << seed << " filter " << i;
    }
  }
}

TEST(DocumentTable, AgreesWithAModelThroughRandomChanges) {
  for (uint64_t seed = 10; seed < 16; ++seed) {
    TablePair pair(seed);
    FileStore store("");
    std::vector<core::Filter> filters;  // asked again and again, so that remembered selections are brought up to date
    for (int i = 0; i < 12; ++i) filters.push_back(pair.world.filter());
    for (int step = 0; step < 1500; ++step) {
      const auto key = static_cast<int64_t>(pair.world.below(300));
      const uint64_t action = pair.world.below(100);
      if (action < 50) {
        pair.put(key, pair.world.below(5), pair.world.below(20) > 0);
      } else if (action < 70) {
        pair.remove(key);
      } else if (action < 90) {
        const core::Filter& filter = filters[pair.world.below(filters.size())];
        ASSERT_EQ(difference(*pair.table, pair.model, &filter), "") << "seed " << seed << " step " << step;
      } else if (action < 96) {
        const core::Filter filter = pair.world.filter();
        ASSERT_EQ(difference(*pair.table, pair.model, &filter), "") << "seed " << seed << " step " << step;
      } else if (action < 99) {
        auto loaded = again(*pair.table, store);
        ASSERT_NE(loaded, nullptr);
        ASSERT_EQ(difference(*loaded, pair.model), "") << "seed " << seed << " step " << step;
        if (action == 98) pair.table = std::move(loaded);
      } else {
        pair.compact();
      }
    }
    ASSERT_EQ(difference(*pair.table, pair.model), "");
  }
}

TEST(DocumentTable, KeepsFieldsBeyondThoseWithColumns) {
  TablePair pair(5);
  core::Metadata wide;
  for (size_t i = 0; i < 100; ++i) {
    wide.clear();
    for (size_t field = 0; field < 20; ++field) wide["f" + std::to_string(i * 20 + field)] = int64_t(i);
    wide["all"] = "yes";
    const uint32_t document = pair.table->begin(int64_t(i), wide);
    pair.table->append(std::vector<int64_t>{int64_t(i)}, std::vector<uint32_t>{1});
    pair.table->activate(document);
    pair.model.documents.push_back({int64_t(i), {int64_t(i)}, {1}, wide, true});
  }
  FileStore store("");
  const auto loaded = again(*pair.table, store);
  ASSERT_NE(loaded, nullptr);
  EXPECT_EQ(difference(*loaded, pair.model), "");
  pair.remove(3);
  pair.compact();
  ASSERT_EQ(difference(*pair.table, pair.model), "");
  for (const std::string field : {"f5", "f1023", "f1024", "f1990", "all", "none"}) {
    for (const Op op : {Op::eq, Op::ne, Op::exists, Op::gte}) {
      const core::Filter filter = condition(op, field, int64_t{99});
      EXPECT_EQ(difference(*pair.table, pair.model, &filter), "") << field;
    }
  }
}

TEST(DocumentTable, HidesADocumentUntilItIsActivated) {
  DocumentTable table;
  const uint32_t first = table.begin(7, {{"a", true}});
  table.append(std::vector<int64_t>{1, 2}, std::vector<uint32_t>{10, 20});
  const core::Filter filter = condition(Op::eq, "a", true);
  EXPECT_EQ(table.select(&filter).count, 0U);
  EXPECT_FALSE(table.find(7).has_value());
  EXPECT_FALSE(table.activate(first).has_value());
  EXPECT_EQ(table.select(&filter).count, 2U);
  EXPECT_EQ(table.live_counts(), (LiveCounts{2, 1, 30}));
  const uint32_t second = table.begin(7, {{"a", false}});
  table.append(std::vector<int64_t>{3}, std::vector<uint32_t>{5});
  EXPECT_EQ(table.select(&filter).count, 2U);
  const auto retired = table.activate(second);
  ASSERT_TRUE(retired.has_value());
  EXPECT_EQ(retired->first_row, 0U);
  EXPECT_EQ(retired->rows, 2U);
  EXPECT_EQ(table.select(&filter).count, 0U);
  EXPECT_EQ(table.find(7), second);
  EXPECT_FALSE(table.activate(second).has_value());
  EXPECT_EQ(table.live_counts(), (LiveCounts{1, 1, 5}));
}

TEST(DocumentTable, LeavesASelectionAloneThatSomebodyHolds) {
  TablePair pair(6);
  for (int64_t key = 0; key < 200; ++key) pair.put(key, 2);
  const core::Filter filter = condition(Op::exists, "lang", true);
  const RowSelection held = pair.table->select(&filter);
  const std::vector<uint64_t> bits(held.bits.begin(), held.bits.end());
  for (int64_t key = 0; key < 20; ++key) pair.remove(key);
  EXPECT_EQ(difference(*pair.table, pair.model, &filter), "");
  EXPECT_TRUE(std::ranges::equal(*held.owner, bits));
}

TEST(DocumentTable, FreesWhatIsGoneWhenCompacted) {
  TablePair pair(9);
  for (int64_t key = 0; key < 3000; ++key) pair.put(key, 3);
  const uint64_t before = pair.table->memory_bytes();
  for (int64_t key = 100; key < 3000; ++key) pair.remove(key);
  pair.compact();
  EXPECT_EQ(difference(*pair.table, pair.model), "");
  EXPECT_LT(pair.table->memory_bytes() * 5, before);
}

class ScanKernelsTest : public testing::Test {
 protected:
  static constexpr size_t kWords = 16;
  template <class T>
  struct alignas(64) Values {
    std::array<T, kWords * 64> values{};
  };
  template <class T>
  Values<T> values(uint64_t bound) {
    Values<T> made;
    for (T& value : made.values) value = static_cast<T>(random_() % bound);
    return made;
  }
  std::mt19937_64 random_{42};
};

TEST_F(ScanKernelsTest, AllFindTheSame) {
  for (int round = 0; round < 50; ++round) {
    const auto bytes = values<uint8_t>(256);
    const auto words = values<uint16_t>(65'536);
    const auto longs = values<uint32_t>(uint64_t{1} << 32);
    auto numbers = values<int64_t>(uint64_t{1} << 63);
    for (size_t i = 0; i < numbers.values.size(); i += 2) numbers.values[i] *= -1;
    ByteSet set;
    std::array<bool, 256> in_set{};
    for (uint64_t i = random_() % 300; i > 0; --i) {
      const auto code = static_cast<uint8_t>(random_());
      set.add(code);
      in_set[code] = true;
    }
    std::array<uint64_t, kWords> among{};
    for (uint64_t& word : among) word = random_() & random_();
    const auto pick = [&](const auto& from) {
      auto a = from.values[random_() % from.values.size()];
      auto b = from.values[random_() % from.values.size()];
      return std::minmax({a, b});
    };
    const auto [byte_low, byte_high] = pick(bytes);
    const auto [word_low, word_high] = pick(words);
    const auto [long_low, long_high] = pick(longs);
    const auto [number_low, number_high] = pick(numbers);
    std::vector<std::array<uint64_t, 5 * kWords>> results(scan_kernel_count());
    for (size_t kind = 0; kind < scan_kernel_count(); ++kind) {
      const ScanKernels& kernels = scan_kernels(kind);
      uint64_t* const out = results[kind].data();
      std::fill_n(out, 5 * kWords, uint64_t{1});  // is kept
      kernels.within8(bytes.values.data(), kWords, byte_low, byte_high, out);
      kernels.within16(words.values.data(), kWords, word_low, word_high, out + kWords);
      kernels.within32(longs.values.data(), kWords, long_low, long_high, out + 2 * kWords);
      kernels.among8(bytes.values.data(), kWords, set, out + 3 * kWords);
      kernels.between(numbers.values.data(), kWords, {number_low, number_high}, among.data(), out + 4 * kWords);
      EXPECT_EQ(results[kind], results[0]) << kernels.name;
    }
    for (size_t i = 0; i < kWords * 64; ++i) {
      const auto expected = [&](bool found) { return found || i % 64 == 0; };
      const auto got = [&](size_t section) { return ((results[0][section * kWords + i / 64] >> (i % 64)) & 1) != 0; };
      ASSERT_EQ(got(0), expected(bytes.values[i] >= byte_low && bytes.values[i] <= byte_high));
      ASSERT_EQ(got(3), expected(in_set[bytes.values[i]]));
    }
  }
}

TEST(Spread, GivesDocumentsTheirRows) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    const size_t documents = 1 + random() % 400;
    const uint64_t rows_max = uint64_t{1} << (random() % 9);
    const bool empties = random() % 3 == 0;
    std::vector<Row> first_rows{0};
    for (size_t i = 0; i < documents; ++i) {
      const auto rows = static_cast<Row>(empties && random() % 3 == 0 ? 0 : 1 + random() % rows_max);
      first_rows.push_back(first_rows.back() + rows);
    }
    const size_t words = first_rows.back() / 64 + 1;
    std::vector<uint64_t> starts(words);
    std::vector<uint64_t> selected(documents / 64 + (documents % 64 != 0 ? 1 : 0));
    std::vector<uint64_t> expected(words);
    const uint64_t share = 1 + random() % 100;
    for (size_t i = 0; i < documents; ++i) {
      if (first_rows[i] < first_rows[i + 1]) set_bits(starts.data(), first_rows[i], 1, true);
      if (random() % 100 >= share) continue;
      selected[i / 64] |= uint64_t{1} << (i % 64);
      for (Row row = first_rows[i]; row < first_rows[i + 1]; ++row) expected[row / 64] |= uint64_t{1} << (row % 64);
    }
    for (const bool portable : {false, true}) {
      std::vector<uint64_t> rows(words);
      spread({first_rows, starts, empties}, 0, selected, rows.data(), portable);
      ASSERT_EQ(rows, expected) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace tessera::index
