#include "index/filter/document_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "index/filter/filter_world.h"
#include "index/filter/metadata_columns.h"

namespace tessera::index {
namespace {

using Op = core::Filter::Op;

/// Everything that ever was, in plain structures.
struct Model {
  struct Document {
    int64_t key = 0;
    std::vector<int64_t> chunks;
    std::vector<uint32_t> lengths;
    core::Metadata metadata;
    bool live = false;
  };
  std::vector<Document> documents;

  [[nodiscard]] std::vector<bool> rows(const core::Filter* filter) const {
    std::vector<bool> rows;
    for (const Document& document : documents) {
      const bool selected = document.live && (filter == nullptr || core::matches(*filter, document.metadata));
      rows.insert(rows.end(), document.chunks.size(), selected);
    }
    return rows;
  }
  Document* live(int64_t key) {
    for (Document& document : documents) {
      if (document.live && document.key == key) return &document;
    }
    return nullptr;
  }
  [[nodiscard]] LiveCounts counts() const {
    LiveCounts counts;
    for (const Document& document : documents) {
      if (!document.live) continue;
      ++counts.documents;
      counts.rows += document.chunks.size();
      for (const uint32_t length : document.lengths) counts.length += length;
    }
    return counts;
  }
};

/// Bits of values too: NaN is NaN, and -0.0 is not 0.0.
bool same_value(const core::MetadataValue& a, const core::MetadataValue& b) {
  const auto* const x = std::get_if<double>(&a);
  const auto* const y = std::get_if<double>(&b);
  if (x != nullptr && y != nullptr) return std::memcmp(x, y, sizeof *x) == 0;
  return a == b;
}

bool same(const core::Metadata& a, const core::Metadata& b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return x.first == y.first && same_value(x.second, y.second); });
}

/// What is wrong with a selection; empty when nothing is.
std::string difference(const DocumentTable& table, const Model& model, const core::Filter* filter) {
  const std::vector<bool> expected = model.rows(filter);
  const RowSelection selection = table.select(filter);
  if (table.rows() != expected.size()) return "rows";
  if (selection.bits.size() != (expected.size() + 63) / 64) return "words";
  uint64_t count = 0;
  for (Row row = 0; row < expected.size(); ++row) {
    if (selection.contains(row) != expected[row]) return "row " + std::to_string(row);
    count += expected[row] ? 1U : 0U;
  }
  if (expected.size() % 64 != 0 && (selection.bits.back() >> (expected.size() % 64)) != 0) return "bits behind the end";
  if (selection.count != count) return "count";
  if (selection.filtered != (filter != nullptr)) return "filtered";
  return "";
}

std::string difference(const DocumentTable& table, const Model& model) {
  if (table.documents() != model.documents.size()) return "documents";
  if (table.live_counts() != model.counts()) return "live counts";
  Row row = 0;
  for (uint32_t i = 0; i < model.documents.size(); ++i) {
    const Model::Document& expected = model.documents[i];
    const DocumentRows got = table.document(i);
    const std::string name = " of document " + std::to_string(i);
    if (got.key != expected.key || got.first_row != row || got.rows != expected.chunks.size()) return "rows" + name;
    if (got.live != expected.live) return "life" + name;
    if (table.find(expected.key) == i ? !expected.live : expected.live) return "key" + name;
    if (!same(table.metadata(i), expected.metadata)) return "metadata" + name;
    for (size_t chunk = 0; chunk < expected.chunks.size(); ++chunk, ++row) {
      if (table.chunk_keys()[row] != expected.chunks[chunk]) return "chunk keys" + name;
      if (table.lengths()[row] != expected.lengths[chunk]) return "lengths" + name;
      if (table.row_documents()[row] != i) return "row's document" + name;
      if (table.is_live(row) != expected.live) return "row's life" + name;
    }
  }
  return difference(table, model, nullptr);
}

/// A table and its model, changed together.
struct Pair {
  FilterWorld world;
  Model model;
  std::unique_ptr<DocumentTable> table = std::make_unique<DocumentTable>();
  int64_t next_chunk = 1;

  explicit Pair(uint64_t seed) : world(seed) {}

  void put(int64_t key, size_t rows, bool activated = true) {
    Model::Document document{key, {}, {}, world.metadata(), false};
    const uint32_t number = table->begin(key, document.metadata);
    for (size_t left = rows; left > 0;) {
      const size_t slice = 1 + world.below(left);
      std::vector<int64_t> chunks;
      std::vector<uint32_t> lengths;
      for (size_t i = 0; i < slice; ++i) {
        chunks.push_back(next_chunk++);
        lengths.push_back(static_cast<uint32_t>(world.below(300)));
      }
      table->append(chunks, lengths);
      document.chunks.insert(document.chunks.end(), chunks.begin(), chunks.end());
      document.lengths.insert(document.lengths.end(), lengths.begin(), lengths.end());
      left -= slice;
    }
    Model::Document* const former = model.live(key);
    if (activated) {
      const auto retired = table->activate(number);
      ASSERT_EQ(retired.has_value(), former != nullptr);
      if (former != nullptr) {
        EXPECT_EQ(retired->key, key);
        EXPECT_EQ(retired->rows, former->chunks.size());
        EXPECT_FALSE(retired->live);
        former->live = false;
      }
      document.live = true;
    }
    model.documents.push_back(std::move(document));
  }
  void remove(int64_t key) {
    Model::Document* const former = model.live(key);
    EXPECT_EQ(table->remove(key).has_value(), former != nullptr);
    if (former != nullptr) former->live = false;
  }
  void compact() {
    const uint64_t rows = table->rows();
    DocumentTable::Compacted compacted = table->compacted();
    ASSERT_EQ(compacted.rows.size(), rows);
    Row next = 0;
    for (Row row = 0; row < rows; ++row) EXPECT_EQ(compacted.rows[row], table->is_live(row) ? next++ : kGoneRow);
    table = std::move(compacted.table);
    std::erase_if(model.documents, [](const Model::Document& document) { return !document.live; });
  }
};

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
    Pair pair(seed);
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
    Pair pair(seed);
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
  Pair pair(5);
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
  Pair pair(6);
  for (int64_t key = 0; key < 200; ++key) pair.put(key, 2);
  const core::Filter filter = condition(Op::exists, "lang", true);
  const RowSelection held = pair.table->select(&filter);
  const std::vector<uint64_t> bits(held.bits.begin(), held.bits.end());
  for (int64_t key = 0; key < 20; ++key) pair.remove(key);
  EXPECT_EQ(difference(*pair.table, pair.model, &filter), "");
  EXPECT_TRUE(std::ranges::equal(*held.owner, bits));
}

TEST(DocumentTable, AnswersManyThreadsAtOnce) {
  Pair pair(8);
  for (int64_t key = 0; key < 600; ++key) pair.put(key, 2);
  std::vector<core::Filter> filters;
  for (int i = 0; i < 30; ++i) filters.push_back(pair.world.filter());
  for (int round = 0; round < 5; ++round) {
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (const core::Filter& filter : filters)
          wrong += difference(*pair.table, pair.model, &filter).empty() ? 0 : 1;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(wrong, 0);
    for (int i = 0; i < 20; ++i) pair.put(int64_t(pair.world.below(700)), 3);
  }
}

TEST(DocumentTable, FreesWhatIsGoneWhenCompacted) {
  Pair pair(9);
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
